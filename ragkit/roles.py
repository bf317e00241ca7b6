"""The roles that models and indexes play, as Protocols: whatever has the methods can take the part.

Knows what each role promises; knows nothing of who plays it. `ragkit.testing` has a small player for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from ragkit.domain import Passage, Progress, Ranked, Span
from ragkit.domain.answers import GenerationOptions, Message

if TYPE_CHECKING:
    from ragkit.domain import ChunkIds, Vectors


class Tokenizer(Protocol):
    """Splits text into an encoder's tokens, as spans; special tokens are not counted."""

    def spans(self, text: str) -> Sequence[Span]: ...


class Embedder(Protocol):
    """Texts to unit vectors."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same text would get another vector."""
        ...

    @property
    def dimension(self) -> int: ...

    @property
    def max_tokens(self) -> int:
        """Longest input, special tokens excluded; what is longer is cut off."""
        ...

    def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"] = "passage", progress: Progress | None = None
    ) -> Vectors:
        """float32 array of shape (len(texts), dimension), rows of Euclidean norm 1."""
        ...


class Reranker(Protocol):
    """Scores how well each passage answers a query, in [0, 1]."""

    @property
    def name(self) -> str: ...

    @property
    def weight(self) -> float:
        """What its score deserves in the blend with the fused one, as measured; `rerank.weight` overrides it."""
        ...

    def score(self, query: str, passages: Sequence[Passage]) -> list[float]: ...


class Judge(Protocol):
    """A language model asked a question of two answers: nothing is written, so nothing has to be parsed."""

    @property
    def name(self) -> str: ...

    def log_odds(self, messages: Sequence[Message], yes: str, no: str) -> float:
        """ln(P(the reply begins with `yes`) / P(it begins with `no`)); finite."""
        ...


class Entailment(Protocol):
    """Says of two texts whether the first entails the second."""

    @property
    def name(self) -> str: ...

    def entailed(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """P(the first text entails the second) of each pair, in [0, 1]."""
        ...


class DenseIndex(Protocol):
    """Nearest neighbours by inner product."""

    def search(self, vector: Vectors, limit: int, allowed: ChunkIds | None = None) -> list[Ranked]:
        """`vector` has shape (dimension,); only ids in `allowed` come back, when it is given."""
        ...


class DocumentIndex(Protocol):
    """What the documents of chunks are about as a whole."""

    def near(self, vector: Vectors, ids: Sequence[int]) -> Mapping[int, tuple[float, float]]:
        """Of each chunk whose document has a vector: how much it says of the chunk, in (0, 1], and its cosine."""
        ...


class LexicalIndex(Protocol):
    """BM25 over analysed terms."""

    def search(self, terms: Sequence[str], limit: int, allowed: ChunkIds | None = None) -> list[Ranked]:
        """Entries with a score above zero, best first."""
        ...

    def holders(self, term: str) -> int:
        """How many chunks hold a term; chunks that were removed may count for a while."""
        ...

    def holding(self, terms: Sequence[str]) -> ChunkIds:
        """Ids of the chunks that hold every one of these terms, ascending."""
        ...


class Generator(Protocol):
    """Writes a continuation of a conversation."""

    @property
    def name(self) -> str: ...

    @property
    def context_tokens(self) -> int:
        """Size of the window, prompt and completion together."""
        ...

    def count(self, text: str) -> int:
        """Tokens of `text` in the generator's own tokenizer (an estimate, where it has none to offer)."""
        ...

    def generate(self, messages: Sequence[Message], settings: GenerationOptions) -> Iterator[str]:
        """Stream the reply in pieces."""
        ...

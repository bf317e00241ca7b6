"""Small real implementations of ragkit's roles, for tests and for trying things without a model.

Public and deterministic: each does the least that its Protocol promises. Knows no model, index or file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from ragkit.domain import Passage, Progress, Span
from ragkit.domain.answers import GenerationOptions, Message

if TYPE_CHECKING:
    from ragkit.domain import Vectors

_WORD = re.compile(r"\w+|[^\w\s]")


class WordTokenizer:
    """Words and single punctuation marks are tokens."""

    def spans(self, text: str) -> list[Span]:
        return [match.span() for match in _WORD.finditer(text)]


class HashEmbedder:
    """A bag of lower-cased words, each hashed to one signed dimension: shared words mean near vectors."""

    def __init__(self, dimension: int = 64, max_tokens: int = 256) -> None:
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.embedded = 0
        """Texts embedded so far: what a test of incremental ingest counts."""

    @property
    def fingerprint(self) -> str:
        return f"hash-{self.dimension}"

    def spans(self, text: str) -> list[Span]:
        return WordTokenizer().spans(text)

    def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"] = "passage", progress: Progress | None = None
    ) -> Vectors:
        import numpy as np

        self.embedded += len(texts)
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                digest = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
                vectors[row, digest % self.dimension] += 1.0 if digest >> 63 else -1.0
            if not vectors[row].any():
                vectors[row, 0] = 1.0
        if progress:
            progress("embed", len(texts), len(texts))
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


class NarrowEmbedder:
    """HashEmbedder with its vectors drawn into a cone, as BGE's and E5's are: a cosine of c becomes u + (1 - u) c,
    where u is `unrelated`. Whoever heeds that comes to the same scores with either."""

    def __init__(self, unrelated: float = 0.5, dimension: int = 64) -> None:
        self._inner = HashEmbedder(dimension)
        self.unrelated = unrelated
        self.dimension = self._inner.dimension + 1
        self.max_tokens = self._inner.max_tokens
        self.fingerprint = f"narrow-{unrelated}"

    def spans(self, text: str) -> list[Span]:
        return self._inner.spans(text)

    def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"] = "passage", progress: Progress | None = None
    ) -> Vectors:
        import numpy as np

        common = np.full((len(texts), 1), self.unrelated**0.5, dtype=np.float32)
        own = (1.0 - self.unrelated) ** 0.5 * self._inner.embed(texts, kind, progress)
        narrow: Vectors = np.hstack([common, own]).astype(np.float32)
        return narrow


class OverlapReranker:
    """Scores a passage by the share of the query's words that it holds."""

    name = "overlap"
    weight = 0.7

    def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
        wanted = set(re.findall(r"\w+", query.lower()))
        held = [set(re.findall(r"\w+", passage.chunk.indexed.lower())) for passage in passages]
        return [len(wanted & words) / max(1, len(wanted)) for words in held]


class ScriptedGenerator:
    """Writes what it is told to: a fixed reply, or a function of the messages. Remembers its prompts."""

    def __init__(self, reply: str | Callable[[Sequence[Message]], str], context_tokens: int = 4096) -> None:
        self.name = "scripted"
        self.context_tokens = context_tokens
        self.prompts: list[tuple[Message, ...]] = []
        self._reply = reply

    def count(self, text: str) -> int:
        return len(_WORD.findall(text))

    def generate(self, messages: Sequence[Message], settings: GenerationOptions) -> Iterator[str]:
        self.prompts.append(tuple(messages))
        reply = self._reply if isinstance(self._reply, str) else self._reply(messages)
        for count, piece in enumerate(re.findall(r"\S+\s*", reply)):
            if count >= settings.max_tokens:
                return
            yield piece

"""An embedder and a reranker that remember: under other settings the same questions meet the same passages again.

Knows texts, vectors and scores; knows nothing of searches or settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ragkit.domain import Progress

if TYPE_CHECKING:
    from ragkit.domain import Passage, Vectors
    from ragkit.roles import Embedder, Reranker

LIMIT = 200_000
"""Texts remembered at most: 300 MB at 384 dimensions."""


class Remembering:
    """Stands where an embedder is wanted; passes on what it does not know itself."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[tuple[str, str], Vectors] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._embedder, name)

    def embed(
        self, texts: Sequence[str], kind: Literal["query", "passage"] = "passage", progress: Progress | None = None
    ) -> Vectors:
        """As the embedder does, each text once."""
        import numpy as np

        new = list(dict.fromkeys(text for text in texts if (kind, text) not in self._known))
        if len(new) + len(self._known) > LIMIT:
            self._known.clear()
            new = list(dict.fromkeys(texts))
        if new or not texts:
            vectors = self._embedder.embed(new, kind, progress)
            if not texts:
                return vectors
            self._known.update(((kind, text), vector) for text, vector in zip(new, vectors, strict=True))
        return np.stack([self._known[kind, text] for text in texts])


class RememberingReranker:
    """Stands where a reranker is wanted; reads no question with the same text twice."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker
        self._known: dict[tuple[str, str], float] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reranker, name)

    def score(self, query: str, passages: Sequence[Passage]) -> list[float]:
        """As the reranker does, each pair once."""
        keys = [(query, passage.chunk.indexed) for passage in passages]
        new = {key: passage for key, passage in zip(keys, passages, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self._reranker.score(query, list(new.values())), strict=True))
        return [self._known[key] for key in keys]

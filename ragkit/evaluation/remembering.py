"""An embedder that remembers: under other settings the same questions meet the same sentences again.

Knows texts and vectors; knows nothing of searches or settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from ragkit.domain import Progress

if TYPE_CHECKING:
    from ragkit.domain import Vectors
    from ragkit.roles import Embedder

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

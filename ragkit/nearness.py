"""How near two texts are by the cosine of their vectors, whatever embedder made them.

Knows cosines, and what an embedder says of its own; knows nothing of texts, models or indexes.
"""

from __future__ import annotations

from ragkit.roles import Embedder


def unrelated_cosine(embedder: Embedder | None) -> float:
    """The cosine that texts without anything in common have by this embedder, in [0, 1); 0 where it does not say.

    Near 0 for all-MiniLM-L6-v2; about .5 for BGE and .7 for E5, whose contrastive loss had a low temperature.
    """
    value: float = getattr(embedder, "unrelated", 0.0)
    return value


def nearness(cosine: float, unrelated: float) -> float:
    """How near two texts are, whatever embedder says so: 0 where they have nothing in common, 1 where they are equal.

    >>> nearness(0.75, 0.5), nearness(0.4, 0.5), nearness(0.4, 0.0)
    (0.5, 0.0, 0.4)
    """
    return min(1.0, max(0.0, (cosine - unrelated) / (1.0 - unrelated)))

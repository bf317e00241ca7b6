"""The strategy that cuts where the meaning changes: between sentences whose surroundings are unlike as vectors.

Knows sentences, their vectors and tokens; of the document's structure only under which heading a chunk ends up. No
library is used: those that embed and cut bring models, servers or a framework along, and keep no offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragkit.chunking.atoms import sentence_atoms
from ragkit.chunking.cutter import SENTENCE, Atom, Cutter, Piece
from ragkit.chunking.plain import blind_budget, body, located
from ragkit.domain import Chunk

if TYPE_CHECKING:
    from ragkit.domain import Vectors

AROUND = 3
"""Sentences on either side of a cut whose mean vectors are compared; TextTiling (Hearst, 1997) compares words so."""
LEAST_PRICE = 0.05
"""What a cut costs at least, so that text is not cut without need wherever neighbours are unlike."""


def by_meaning(cutter: Cutter) -> list[Chunk]:
    """Fill chunks with whole sentences so that the cuts together fall where the text is least like itself.

    Of all ways to cut that keep every chunk within its limit, the one is taken whose cuts have the lowest sum of
    similarities across them: few cuts, at the deepest breaks. Raises ValueError when the cutter has no embedder.
    """
    if cutter.embed is None:
        raise ValueError("the strategy semantic compares sentences as vectors: pass embed to chunk()")
    start, end = body(cutter)
    budget = blind_budget(cutter)
    overlap = min(cutter.overlap, budget // 2)
    atoms = list(sentence_atoms(cutter, start, end, max(1, budget - overlap), SENTENCE))
    prices = similarities(cutter.embed([cutter.text[atom.start : atom.end] for atom in atoms]))
    tokens = [cutter.count(atom.start, atom.end) for atom in atoms]
    edges = cheapest(tokens, prices, budget - overlap)
    pieces: list[Piece] = []
    for first, stop in zip([0, *edges], [*edges, len(atoms)], strict=True):
        begin = _overlap_start(cutter, atoms, first, pieces)
        pieces.append(Piece(begin, atoms[first].start, atoms[stop - 1].end))
    return located(cutter, pieces)


def similarities(vectors: Vectors) -> list[float]:
    """Cosine of the means of the AROUND vectors before and after each cut; entry i is for the cut before vector i.

    The first entry, which is no cut, is 0; so is one where either side has no direction.
    """
    import numpy as np

    sums = np.vstack([np.zeros((1, vectors.shape[1])), np.cumsum(vectors, axis=0, dtype=np.float64)])
    at = np.arange(1, len(vectors))
    before = sums[at] - sums[np.maximum(0, at - AROUND)]
    after = sums[np.minimum(len(vectors), at + AROUND)] - sums[at]
    norms = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
    cosines = np.divide((before * after).sum(axis=1), norms, out=np.zeros_like(norms), where=norms > 1e-12)
    return [0.0, *cosines.tolist()]


def cheapest(tokens: Sequence[int], prices: Sequence[float], limit: int) -> list[int]:
    """Where to cut a row of sentences so that no part has more than `limit` tokens and the prices of the cuts add up
    to the least; cut i stands before sentence i. A sentence longer than the limit is a part by itself.

    >>> cheapest([4, 4, 4, 4], [0.0, 0.9, 0.8, 0.1], 12)
    [3]
    """
    least = [0.0] + [float("inf")] * len(tokens)
    came_from = [0] * (len(tokens) + 1)
    for stop in range(1, len(tokens) + 1):
        held = 0
        for start in range(stop - 1, -1, -1):
            held += tokens[start]
            if held > limit and start < stop - 1:
                break
            price = least[start] + (max(LEAST_PRICE, prices[start]) if start else 0.0)
            if price < least[stop]:
                least[stop], came_from[stop] = price, start
    edges: list[int] = []
    at = came_from[len(tokens)]
    while at:
        edges.append(at)
        at = came_from[at]
    return edges[::-1]


def _overlap_start(cutter: Cutter, atoms: Sequence[Atom], first: int, pieces: Sequence[Piece]) -> int:
    """Where a chunk starts that repeats the last whole sentences of the one before, as far as the overlap goes."""
    start = atoms[first].start
    at = first - 1
    while pieces and at > 0 and atoms[at].start > pieces[-1].fresh:
        if cutter.count(atoms[at].start, atoms[first].start) > cutter.overlap:
            break
        start = atoms[at].start
        at -= 1
    return start

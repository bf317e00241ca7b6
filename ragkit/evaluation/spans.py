"""How well retrieved stretches of text cover the stretches that answer a question.

Knows ranges of characters in documents; knows nothing of chunkers, engines or files. The metrics are those of
Smith and Troynikov, "Evaluating Chunking Strategies for Retrieval" (Chroma Technical Report, 2024), counted in
characters as their code counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

SCORES = ("Recall", "Precision", "IoU", "PrecisionOmega")


class Stretch(NamedTuple):
    """The characters from `start` up to `end` of a document."""

    path: str
    start: int
    end: int


def union(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same characters in stretches that are apart, in order; empty ones go.

    >>> union([Stretch("a", 4, 9), Stretch("a", 0, 5), Stretch("b", 0, 2), Stretch("b", 3, 3)])
    [Stretch(path='a', start=0, end=9), Stretch(path='b', start=0, end=2)]
    """
    found: list[Stretch] = []
    for path, start, end in sorted(stretches):
        if found and found[-1].path == path and start <= found[-1].end:
            found[-1] = Stretch(path, found[-1].start, max(end, found[-1].end))
        elif start < end:
            found.append(Stretch(path, start, end))
    return found


def length(stretches: Iterable[Stretch]) -> int:
    """Characters in all, those that are in several stretches counted as often."""
    return sum(end - start for _, start, end in stretches)


def shared(one: Iterable[Stretch], two: Iterable[Stretch]) -> int:
    """Characters that are in both, each counted once.

    >>> shared([Stretch("a", 0, 5), Stretch("a", 3, 8)], [Stretch("a", 4, 6), Stretch("b", 0, 9)])
    2
    """
    others = union(two)
    return sum(
        max(0, min(mine.end, its.end) - max(mine.start, its.start))
        for mine in union(one)
        for its in others
        if its.path == mine.path
    )


def _overlap(one: Stretch, two: Stretch) -> bool:
    return one.path == two.path and one.start < two.end and two.start < one.end


def score(retrieved: Sequence[Stretch], gold: Sequence[Stretch], chunks: Iterable[Stretch]) -> dict[str, float]:
    """Recall, Precision, IoU and PrecisionOmega of what was retrieved for one question, each in [0, 1].

    With e the characters of the gold and r those retrieved: recall |e & r| / |e|, precision |e & r| / |r|, IoU
    |e & r| / (|e| + |r| - |e & r|). A character found twice counts once as found and twice as retrieved: text that is
    repeated costs its place. PrecisionOmega is the precision of retrieving every one of `chunks` that holds any of
    the gold and no other, where text repeated between chunks counts once and gold that no chunk holds is added: what
    the way of cutting allows at most. `gold` must not be empty.

    >>> score([Stretch("a", 0, 10), Stretch("a", 8, 18)], [Stretch("a", 5, 10)], [Stretch("a", 0, 10)])
    {'Recall': 1.0, 'Precision': 0.25, 'IoU': 0.25, 'PrecisionOmega': 0.5}
    """
    gold = union(gold)
    wanted, found, taken = length(gold), shared(retrieved, gold), length(retrieved)
    holding = [chunk for chunk in chunks if any(_overlap(chunk, one) for one in gold)]
    held = shared(holding, gold)
    ideal = length(union(holding)) + wanted - held
    return {
        "Recall": found / wanted,
        "Precision": found / taken if taken else 0.0,
        "IoU": found / (wanted + taken - found),
        "PrecisionOmega": held / ideal,
    }

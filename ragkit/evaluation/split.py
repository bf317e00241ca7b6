"""Split questions into two parts that share no document, each with its share of every kind.

Pure. Knows questions and their gold; knows nothing of files or corpora.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence

from ragkit.errors import UsageError
from ragkit.evaluation.questions import Entry


def split(entries: Sequence[Entry], share: float, seed: int = 1) -> tuple[list[Entry], list[Entry]]:
    """(dev, test): about `share` of the questions of each kind in the first, in the order given.

    Questions whose gold lies in the same document stay together, so nothing learnt on one part answers the other.
    Raises UsageError when one of the parts would be empty.
    """
    if not 0 < share < 1:
        raise UsageError(f"the share of the first part must lie between 0 and 1, not {share}")
    kinds = Counter(entry.question.kind for entry in entries)
    wanted = {kind: share * count for kind, count in kinds.items()}
    groups = _groups(entries)
    random.Random(seed).shuffle(groups)
    groups.sort(key=len, reverse=True)  # the large ones are placed while there is room to even things out
    chosen: set[int] = set()
    held: Counter[str] = Counter()
    for group in groups:
        added = Counter(entries[at].question.kind for at in group)
        if _distance(wanted, held + added) < _distance(wanted, held):
            chosen.update(group)
            held += added
    dev = [entry for at, entry in enumerate(entries) if at in chosen]
    test = [entry for at, entry in enumerate(entries) if at not in chosen]
    if not dev or not test:
        raise UsageError(
            f"{len(entries)} questions over {len(groups)} groups of documents cannot be split at {share}",
            "one document may hold them all; add questions over others",
        )
    return dev, test


def _distance(wanted: dict[str, float], held: Counter[str]) -> float:
    """How far the first part is from what it should hold: by kind, and less so over all."""
    by_kind = sum((wanted[kind] - held[kind]) ** 2 / max(wanted[kind], 1.0) for kind in wanted)
    return by_kind + 0.1 * (sum(wanted.values()) - held.total()) ** 2 / max(sum(wanted.values()), 1.0)


def _groups(entries: Sequence[Entry]) -> list[list[int]]:
    """Indices of the questions that are tied by a document, directly or over others; each of the rest alone."""
    by_document: dict[str, list[int]] = defaultdict(list)
    for at, entry in enumerate(entries):
        for gold in entry.question.relevant:
            by_document[gold.path or gold.quote].append(at)
    parent = list(range(len(entries)))

    def root(at: int) -> int:
        while parent[at] != at:
            parent[at] = at = parent[parent[at]]
        return at

    for tied in by_document.values():
        for other in tied[1:]:
            parent[root(other)] = root(tied[0])
    groups: dict[int, list[int]] = defaultdict(list)
    for at in range(len(entries)):
        groups[root(at)].append(at)
    return list(groups.values())

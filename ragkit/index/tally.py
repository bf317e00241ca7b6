"""A file of counts: what was counted, in one or more fields, and how often, a line each, separated by tabs.

Knows lines and counters; knows nothing of what is counted or of when a file is read.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TypeAlias

Tally: TypeAlias = Counter[tuple[str, ...]]


def read(path: Path, fields: int) -> Tally:
    """The counts of a file; none where there is no file. Raises OSError, or ValueError for a line of another form."""
    counts: Tally = Counter()
    if not path.is_file():
        return counts
    for line in path.read_text(encoding="utf-8").splitlines():
        *key, count = line.split("\t")
        if len(key) != fields:
            raise ValueError(f"a line has {len(key)} fields before its count, not {fields}")
        counts[tuple(key)] = int(count)
    return counts


def write(path: Path, counts: Tally) -> None:
    """Write the counts above 0, in the order of what was counted."""
    lines = ("\t".join((*key, f"{count}\n")) for key, count in sorted(counts.items()) if count > 0)
    path.write_text("".join(lines), encoding="utf-8")


def change(base: Path, path: Path, fields: int, removed: Tally, added: Tally) -> None:
    """Write the counts of `base` without some and with others."""
    counts = read(base, fields)
    counts.subtract(removed)
    counts.update(added)
    write(path, counts)

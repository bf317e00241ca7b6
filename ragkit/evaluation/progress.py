"""Tell how far a loop is. Knows how many there are, and nothing of what is done with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from ragkit.domain import Progress

T = TypeVar("T")


def progressing(items: Sequence[T], what: str, progress: Progress | None) -> Iterator[T]:
    """The items; `progress` hears before each one how many are done, and at the end that all are.

    >>> list(progressing("ab", "spell", lambda what, done, total: print(what, done, total)))
    spell 0 2
    spell 1 2
    spell 2 2
    ['a', 'b']
    """
    for done, item in enumerate(items):
        if progress:
            progress(what, done, len(items))
        yield item
    if progress:
        progress(what, len(items), len(items))

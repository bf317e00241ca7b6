"""Examples of several kinds, some of each. Knows nothing of what an example is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeVar


class OfAKind(Protocol):
    """What has a kind."""

    @property
    def kind(self) -> str: ...


Example = TypeVar("Example", bound=OfAKind)


def some_of_each_kind(examples: Iterable[Example], each: int) -> list[Example]:
    """The first `each` of every kind, in their order."""
    seen: Counter[str] = Counter()
    kept = []
    for example in examples:
        seen[example.kind] += 1
        if seen[example.kind] <= each:
            kept.append(example)
    return kept

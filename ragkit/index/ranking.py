"""The order of a ranked list, the same for every engine. Knows ids and scores; knows no engine."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ragkit.domain import Ranked

if TYPE_CHECKING:
    from ragkit.domain import ChunkIds


def members(ids: Iterable[int], among: ChunkIds) -> list[int]:
    """Those of some ids that are among others, which ascend; in their order.

    They are looked up one by one: `among` may hold a hundred thousand, and a set of those takes longer than a search.
    """
    count = len(among)
    return [id for id in ids if (at := bisect_left(among, id)) < count and among[at] == id]


def settled(search: Callable[[int], list[Ranked]], limit: int, total: int) -> list[Ranked]:
    """The best `limit` entries, highest score first, equal scores by id, whatever order the engine gives ties.

    `search(n)` gives the engine's n best of `total`. Which of several entries with the score of the last
    place come back is the engine's accident; so more are asked for until the score drops below it.
    """
    if limit <= 0 or total <= 0:
        return []
    wanted = min(limit + 8, total)
    while True:
        found = search(wanted)
        complete = len(found) < wanted or wanted >= total
        if complete or found[-1].score < found[limit - 1].score:
            return sorted(found, key=lambda one: (-one.score, one.id))[:limit]
        wanted = min(wanted * 4, total)

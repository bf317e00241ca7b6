"""What stands around a hit: its neighbours in the document, or the section that it is a part of.

Knows passages in the order of their document; knows nothing of queries, scores, indexes or where passages are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ragkit.choices import Expand
from ragkit.domain import Excerpt, Hit, Passage

SECTION_PASSAGES = 12
"""A longer section is cut to this many passages on either side of the hit."""

Around = Callable[[int, int, int], Sequence[Passage]]
"""The passages around one (id, how many before, how many after), in order, itself included."""


def widen(hits: Sequence[Hit], how: Expand, around: Around, text_of: Callable[[int], str]) -> tuple[Hit, ...]:
    """The hits, each with the text from the first to the last passage that belongs to it as `expanded`."""
    if how == "none":
        return tuple(hits)
    return tuple(replace(hit, expanded=_excerpt(belonging(hit.passage, how, around), text_of)) for hit in hits)


def join(hits: Sequence[Hit], how: Expand, around: Around) -> tuple[Hit, ...]:
    """The hits, each followed by the passages that belong to it as hits of the same score; none comes twice."""
    if how == "none":
        return tuple(hits)
    found: dict[int, Hit] = {}
    for hit in hits:
        found.setdefault(hit.passage.id, hit)
        for passage in belonging(hit.passage, how, around):
            found.setdefault(passage.id, Hit(passage, hit.score))
    return tuple(found.values())


def belonging(passage: Passage, how: Expand, around: Around) -> tuple[Passage, ...]:
    """The passage and those that belong to it, in order: one on either side, or its section with its subsections.

    A passage without headings has no section; its neighbours stand in.
    """
    heading = passage.chunk.heading
    if how == "neighbours" or not heading:
        return tuple(around(passage.id, 1, 1))
    near = list(around(passage.id, SECTION_PASSAGES, SECTION_PASSAGES))
    first = last = next(at for at, one in enumerate(near) if one.id == passage.id)
    while first > 0 and near[first - 1].chunk.heading[: len(heading)] == heading:
        first -= 1
    while last + 1 < len(near) and near[last + 1].chunk.heading[: len(heading)] == heading:
        last += 1
    return tuple(near[first : last + 1])


def _excerpt(passages: Sequence[Passage], text_of: Callable[[int], str]) -> Excerpt:
    chunks = [passage.chunk for passage in passages]
    start, end = min(chunk.start for chunk in chunks), max(chunk.end for chunk in chunks)
    return Excerpt(
        passages[0].path,
        min(chunk.start_line for chunk in chunks),
        max(chunk.end_line for chunk in chunks),
        chunks[0].unit,
        text_of(passages[0].document_id)[start:end],
    )

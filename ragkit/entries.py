"""Queries that are a name and nothing else, and the section of that name: a symbol's entry in an API reference.

Knows names, headings and hits; knows nothing of indexes, or of how the hits were found. Such a query says nothing of
what is wanted but where it stands, so the entry comes first, whatever mentions the name more often.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from ragkit.domain import Hit, Passage, StageScore

STAGE = "name"
LOOKED_AT = 100
"""Fused hits among which the entry is looked for."""
MIN_WORDS = 6
"""A section with less to say only announces the entry, as `.. autofunction:: name` does."""
EXACT, LIKE = 0.5, 0.4
"""How much nearer to 1 an entry's score moves: of the very name, or of one that differs in case or in what it belongs
to."""
_NAME = re.compile(r"[^\W\d]\w*(?:(?:\.|::|#|->|-)\w+)*")
_CALLED = re.compile(r"\s*\(.*\)\s*$", re.DOTALL)


def name_in(query: str) -> str:
    """The name that the query is, or "" for any other query.

    >>> name_in("click.Option()"), name_in("--dry-run"), name_in("how to install")
    ('click.Option', 'dry-run', '')
    """
    bare = _bare(query)
    return bare if _NAME.fullmatch(bare) else ""


def likeness(name: str, passage: Passage) -> float:
    """EXACT where the passage is of the section that has this name, LIKE where it may well be, and 0."""
    heading = _bare(passage.chunk.heading[-1]) if passage.chunk.heading else ""
    if not heading or len(passage.chunk.text.split()) < MIN_WORDS:
        return 0.0
    if heading == name:
        return EXACT
    one, other = heading.casefold(), name.casefold()
    return LIKE if one == other or _tail(one, other) or _tail(other, one) else 0.0


def forward(name: str, hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """The hits, entries of that name before all others, so that a reranker reads them."""
    return tuple(sorted(hits, key=lambda hit: -likeness(name, hit.passage)))


def raised(name: str, hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """The hits in the order of their scores, those of entries nearer to 1."""
    found = []
    for hit in hits:
        like = likeness(name, hit.passage)
        stages = (*hit.stages, StageScore(STAGE, None, like)) if like else hit.stages
        found.append(dataclasses.replace(hit, score=hit.score + like * (1.0 - hit.score), stages=stages))
    return tuple(sorted(found, key=lambda hit: -hit.score))


def _bare(text: str) -> str:
    """A heading or query without what calls and quotes it."""
    return _CALLED.sub("", text.strip().strip("`'\"")).strip("`'\" -")


def _tail(whole: str, end: str) -> bool:
    """Whether `whole` is `end` with the names of what it belongs to in front."""
    return any(whole.endswith(mark + end) for mark in (".", "::", "#"))

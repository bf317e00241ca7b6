"""Queries that are a name and nothing else, and the section of that name: a symbol's entry in an API reference.

Knows names, headings and hits; knows nothing of indexes, or of how the hits were found. Such a query says nothing of
what is wanted but where it stands, so the entry comes first, whatever mentions the name more often.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from functools import lru_cache

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
_CALLED = re.compile(r"\s*(?:\(.*\)|[ =]?[<\[{=].*)\s*$", re.DOTALL)
_MODIFIERS = r"(?:(?:export|public|private|protected|static|async|pub|abstract)\s+)*"
_KEYWORDS = r"(?:def|class|func|function|fn|interface|struct|type|enum|trait|const)"
_PARTS = re.compile(r"\.|::|#|->")


def name_in(query: str) -> str:
    """The name that the query is, or "" for any other query.

    >>> name_in("click.Option()"), name_in("--dry-run"), name_in("how to install")
    ('click.Option', 'dry-run', '')
    """
    bare = _bare(query)
    return bare if _NAME.fullmatch(bare) else ""


def likeness(name: str, passage: Passage) -> float:
    """EXACT where the passage is of the section that has this name, LIKE where it may well be, or where the passage
    declares it among others, and 0."""
    chunk = passage.chunk
    if not chunk.heading or len(chunk.text.split()) < MIN_WORDS:
        return 0.0
    heading = chunk.heading[-1]
    headings = [_bare(one) for one in (heading.split(", ") if heading.startswith("-") else [heading])]
    if name in headings:
        return EXACT
    wanted = name.casefold()
    pairs = [(wanted, heading.casefold()) for heading in headings if heading]
    if any(one == other or _tail(one, other) or _tail(other, one) for one, other in pairs):
        return LIKE
    return LIKE if _declared(name, chunk.heading, chunk.text) else 0.0


def _declared(name: str, headings: Sequence[str], text: str) -> bool:
    """Whether a line of the text declares the name: a short method stands with its class, under the class's name."""
    *owners, last = _PARTS.split(name)
    if not _declaration(last).search(text):
        return False
    return not owners or owners[-1] in (part for heading in headings for part in _PARTS.split(_bare(heading)))


@lru_cache(maxsize=64)
def _declaration(name: str) -> re.Pattern[str]:
    spelled = rf"(?:[\w.]+\.)?{re.escape(name)}(?![\w-])"
    return re.compile(
        rf"^[ \t]*(?:{_MODIFIERS}{_KEYWORDS}\s+(?:\([^)\n]*\)\s*)?|\.\. [\w:]+::\s+){spelled}", re.MULTILINE
    )


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

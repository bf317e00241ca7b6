"""Hits to the numbered sources that a generator is shown, within a budget of tokens.

Knows passages, scores and token counts; knows nothing of prompts, models or indexes. The text of a source
is cut from the document's own text, so that it can be quoted and found again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from ragkit.config import ContextSettings
from ragkit.domain import Chunk, Context, Document, Hit, LineIndex, LineMap, Source
from ragkit.text import fold, shingles
from ragkit.units import units

SHINGLE = 8
"""Words in a row that are compared when looking for the same text twice."""
SAME_TEXT = 0.9
"""Share of a hit's shingles found in a better one from which on it adds nothing."""
MIN_CUT_TOKENS = 48
"""What remains of the budget is left unused when it is less than this, rather than show a stub."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Hits that become one source, best first; `end` may lie before the last chunk's end after a cut."""

    hits: tuple[Hit, ...]
    start: int
    end: int
    cost: int = 0

    @property
    def best(self) -> Hit:
        return self.hits[0]


def assemble(
    hits: Sequence[Hit],
    *,
    count: Callable[[str], int],
    settings: ContextSettings,
    budget: int,
    text_of: Callable[[int], str],
    lines_of: Callable[[int], LineMap] | None = None,
) -> Context:
    """Choose, merge, cut and number the sources, best first.

    `count` counts in the generator's tokens; the sum over the sources as shown never exceeds `budget`.
    `text_of` gives a document's text by its id, and `lines_of` its line map, without which the lines of a
    format that is not plain text are as coarse as its chunks.
    """
    kept, dropped = _worthwhile(hits, settings)
    fit = _Fit(count, settings, budget, text_of)
    for hit in diverse(kept, settings.diversity):
        reason = fit.add(hit)
        if reason:
            dropped.append((hit.passage.id, reason))
    ordered = sorted(fit.groups, key=lambda group: -group.best.score)
    sources = [_source(number, group, text_of, lines_of) for number, group in enumerate(ordered, 1)]
    sources = [replace(source, tokens=count(source.shown)) for source in sources]
    while sources and sum(source.tokens for source in sources) > budget:  # a longer number may cost a token
        dropped.extend((id, "over the token budget") for id in sources.pop().chunk_ids)
    return Context(tuple(sources), sum(source.tokens for source in sources), tuple(dropped))


def _worthwhile(hits: Sequence[Hit], settings: ContextSettings) -> tuple[list[Hit], list[tuple[int, str]]]:
    """The hits that score high enough and say something that no better one says."""
    ordered = sorted(hits, key=lambda hit: -hit.score)
    kept: list[Hit] = []
    dropped: list[tuple[int, str]] = []
    known: list[tuple[Hit, frozenset[str]]] = []
    for hit in ordered:
        least = settings.min_relative_score * ordered[0].score
        if hit.score < least:
            dropped.append(
                (hit.passage.id, f"score {hit.score:.2f} is below {least:.2f}, the share of the best asked for")
            )
            continue
        mine = shingles(hit.passage.chunk.text, SHINGLE)
        twin = next((other for other, theirs in known if _same(hit, mine, other, theirs)), None)
        if twin is not None:
            dropped.append((hit.passage.id, f"same text as chunk {twin.passage.id} ({twin.passage.location})"))
            continue
        kept.append(hit)
        known.append((hit, mine))
    return kept, dropped


def diverse(hits: Sequence[Hit], share: float) -> list[Hit]:
    """The hits in the order in which they are worth adding: what a hit says must not be in the ones before it.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the next hit is the one with the highest
    (1 - share) * score - share * likeness to the likest hit taken before, likeness being the words that two
    passages share (Jaccard). With a share of 0 the order stays.
    """
    if not share:
        return list(hits)
    left = [(hit, frozenset(fold(hit.passage.chunk.text).split())) for hit in hits]
    likest = [0.0] * len(left)
    taken: list[Hit] = []
    while left:
        worth = [(1.0 - share) * hit.score - share * like for (hit, _), like in zip(left, likest, strict=True)]
        at = worth.index(max(worth))
        hit, words = left.pop(at)
        del likest[at]
        taken.append(hit)
        likest = [
            max(like, len(words & theirs) / max(1, len(words | theirs)))
            for (_, theirs), like in zip(left, likest, strict=True)
        ]
    return taken


def _same(hit: Hit, mine: frozenset[str], other: Hit, theirs: frozenset[str]) -> bool:
    """Whether a hit says what a better one says; the sets are their shingles."""
    one, two = hit.passage, other.passage
    if one.id == two.id:
        return True
    if one.document_id == two.document_id and one.chunk.start < two.chunk.end and two.chunk.start < one.chunk.end:
        return False  # overlapping chunks are merged
    return len(mine & theirs) >= SAME_TEXT * len(mine)


class _Fit:
    """Fills the budget group by group; says why a hit does not fit."""

    def __init__(
        self, count: Callable[[str], int], settings: ContextSettings, budget: int, text_of: Callable[[int], str]
    ) -> None:
        self.groups: list[_Group] = []
        self._count = count
        self._settings = settings
        self._budget = budget
        self._text_of = text_of

    def add(self, hit: Hit) -> str:
        """Join the hit to its neighbours or open a group for it: "" if done, else the reason why not."""
        chunk = hit.passage.chunk
        neighbours = [group for group in self.groups if self._near(group, hit)]
        others = [group for group in self.groups if group not in neighbours]
        free = self._budget - sum(group.cost for group in others)
        if not neighbours and len(self.groups) >= self._settings.max_sources:
            return f"{self._settings.max_sources} better sources were found"
        hits = sorted((*(member for group in neighbours for member in group.hits), hit), key=lambda h: -h.score)
        start = min([chunk.start, *(group.start for group in neighbours)])
        end = max([chunk.end, *(group.end for group in neighbours)])
        group = self._priced(_Group(tuple(hits), start, end))
        if group.cost > free:
            cut = None if neighbours else self._cut(group, free)
            if cut is None:
                return "over the token budget"
            group = cut
        self.groups = [*others, group]
        return ""

    def _near(self, group: _Group, hit: Hit) -> bool:
        chunk = hit.passage.chunk
        gap = max(chunk.start - group.end, group.start - chunk.end)
        return group.best.passage.document_id == hit.passage.document_id and gap <= self._settings.merge_gap_chars

    def _priced(self, group: _Group) -> _Group:
        number = max(1, self._settings.max_sources)
        return replace(group, cost=self._count(_source(number, group, self._text_of, None).shown))

    def _cut(self, group: _Group, free: int) -> _Group | None:
        """The longest beginning of the group, ending with a sentence or line, that costs at most `free`."""
        if free < min(MIN_CUT_TOKENS, self._budget):
            return None
        text = self._text_of(group.best.passage.document_id)[group.start : group.end]
        ends = [unit.end for unit in units(text)] or [len(text)]
        found = self._longest(group, ends, free)
        if found is None:  # not even one sentence fits: end with a word
            first = text[: ends[0]]
            words = [at for at, character in enumerate(first) if at and character.isspace()]
            found = self._longest(group, words, free) or self._longest(group, list(range(1, len(first))), free)
        return found

    def _longest(self, group: _Group, ends: Sequence[int], free: int) -> _Group | None:
        low, high, best = 0, len(ends) - 1, None
        while low <= high:
            middle = (low + high) // 2
            candidate = self._priced(replace(group, end=group.start + ends[middle]))
            if candidate.cost <= free:
                best, low = candidate, middle + 1
            else:
                high = middle - 1
        return best


def _source(
    number: int, group: _Group, text_of: Callable[[int], str], lines_of: Callable[[int], LineMap] | None
) -> Source:
    passage = group.best.passage
    document = text_of(passage.document_id)
    hits = sorted(group.hits, key=lambda hit: (hit.passage.chunk.start, hit.passage.chunk.end))
    chunks = [hit.passage.chunk for hit in hits]
    lines = _lines(document, group, chunks, lines_of(passage.document_id) if lines_of else None)
    first = lines[0][0]
    return Source(
        number=number,
        document_id=passage.document_id,
        path=passage.path,
        title=passage.title,
        heading=_common([chunk.heading for chunk in chunks]) or passage.chunk.heading,
        anchor=passage.chunk.anchor,
        start=group.start,
        end=group.end,
        start_line=min(line[0] for line in lines),
        end_line=max(line[1] for line in lines),
        unit=passage.chunk.unit,
        text=document[group.start : group.end],
        score=group.best.score,
        chunk_ids=tuple(hit.passage.id for hit in hits),
        prefix=chunks[0].prefix,
        doc_version=next((hit.passage.doc_version for hit in group.hits if hit.passage.doc_version), ""),
        lines=() if all(line == (first + at, first + at) for at, line in enumerate(lines)) else lines,
    )


def _lines(
    document: str, group: _Group, chunks: Sequence[Chunk], known: LineMap | None
) -> tuple[tuple[int, int], ...]:
    """The range of source positions of every line of `document[group.start:group.end]`."""
    edges = [group.start]
    edges.extend(
        group.start + at + 1 for at, mark in enumerate(document[group.start : group.end - 1]) if mark == "\n"
    )
    if known is not None:
        index = LineIndex(Document("", document, "", lines=known))
        return tuple((index.position(edge),) * 2 for edge in edges)
    if all(_plain(document, chunk) for chunk in chunks):
        first = document.count("\n", 0, group.start) + 1
        return tuple((first + at,) * 2 for at in range(len(edges)))
    return tuple(_coarse(chunks, edge, end) for edge, end in pairwise((*edges, group.end + 1)))


def _plain(document: str, chunk: Chunk) -> bool:
    """Whether the chunk's lines are simply those of the document's text."""
    first = document.count("\n", 0, chunk.start) + 1
    last = first + document.count("\n", chunk.start, max(chunk.start, chunk.end - 1))
    return chunk.unit == "line" and (first, last) == (chunk.start_line, chunk.end_line)


def _coarse(chunks: Sequence[Chunk], start: int, end: int) -> tuple[int, int]:
    """The source positions of the chunks that hold a line, or that stand around it."""
    touching = [chunk for chunk in chunks if chunk.start < end and chunk.end > start]
    if touching:
        return min(chunk.start_line for chunk in touching), max(chunk.end_line for chunk in touching)
    before = max(chunk.end_line for chunk in chunks if chunk.end <= start)
    return before, max(before, min(chunk.start_line for chunk in chunks if chunk.start >= end))


def _common(paths: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The headings that all paths share, from the outermost."""
    shared: list[str] = []
    for level in zip(*paths, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return tuple(shared)

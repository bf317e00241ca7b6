"""Find the places of gold again in a corpus whose documents were edited, renamed or cut otherwise.

Knows the engine's store, documents' texts and quotes; knows nothing of files. A place is what its quote says: chunk
ids and line numbers are never looked at. rapidfuzz tells how alike a changed wording still is.
"""

from __future__ import annotations

import dataclasses
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, TypeAlias

from ragkit.evaluation.datasets import Gold, plain_words, same_document, under_heading
from ragkit.evaluation.passages import heading_at, plain
from ragkit.evaluation.progress import progressing
from ragkit.evaluation.questions import Entry
from ragkit.units import units

if TYPE_CHECKING:
    from ragkit import Engine
    from ragkit.domain import Passage

Drift: TypeAlias = Literal["exact", "moved", "changed", "gone"]
DRIFTS: tuple[Drift, ...] = ("exact", "moved", "changed", "gone")
MIN_LIKENESS = 0.72
"""Of a changed wording, from 0 to 1 (Indel similarity of the words): below, the passage counts as gone."""
SURE_LIKENESS = 0.85
"""In another document: manuals repeat themselves, and a sentence made like another one is not that one."""
MIN_SHARED = 0.6
"""Share of the quote's words that a document must have to be looked through for a changed wording."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a gold place is now. `now` is None when it is gone; `likeness` is 1 unless the wording changed."""

    question_id: str
    was: Gold
    now: Gold | None
    drift: Drift
    likeness: float = 1.0


def anchor(engine: Engine, entries: Sequence[Entry], *, corpus: str = "") -> list[Anchor]:
    """Where each gold place of the questions stands in the corpus's current snapshot, in order.

    The place is looked for in its own document first: the same words, then words nearly the same, and only when
    those are far from it or nowhere, in the others.

    exact: the words stand in the same document under the same heading. moved: the same words stand under another
    heading or in another document. changed: words nearly the same do. gone: none of these. A place without a quote
    is its heading, and one without either its document.
    """
    texts = _Texts(engine, corpus)
    golds = [(entry.question.id, gold) for entry in entries for gold in entry.question.relevant]
    known: dict[Gold, Anchor] = {}
    found = []
    for id, gold in progressing(golds, "look for places", engine.progress):
        if gold not in known:
            known[gold] = _anchored(texts, id, gold)
        found.append(dataclasses.replace(known[gold], question_id=id))
    return found


def moved(entries: Sequence[Entry], anchors: Sequence[Anchor]) -> list[Entry]:
    """The entries with every place that was found again as it is now; what is gone stays as it was.

    A reference answer that repeats the quote changes with it.
    """
    now = {(one.question_id, one.was): one.now for one in anchors if one.now is not None}
    fixed = []
    for entry in entries:
        question = entry.question
        answer = question.answer
        for gold in question.relevant:
            found = now.get((question.id, gold), gold)
            if gold.quote and found.quote != gold.quote:
                answer = answer.replace(plain(gold.quote), plain(found.quote))
        relevant = tuple(now.get((question.id, gold), gold) for gold in question.relevant)
        fixed.append(
            dataclasses.replace(entry, question=dataclasses.replace(question, answer=answer, relevant=relevant))
        )
    return fixed


# ---------------------------------------------------------------- the corpus's texts


class _Text:
    """A document: its words as they are compared, and the way back from a word to the text."""

    def __init__(self, engine: Engine, id: int, path: str) -> None:
        self._engine = engine
        self.id = id
        self.path = path

    @cached_property
    def text(self) -> str:
        return self._engine.store.document_text(self.id)

    @cached_property
    def words(self) -> str:
        """The words with one blank between and around."""
        return f" {' '.join(plain_words(self.text))} "

    @cached_property
    def held(self) -> frozenset[str]:
        return frozenset(self.words.split())

    @cached_property
    def passages(self) -> list[Passage]:
        return self._engine.store.document_passages(self.id)

    @cached_property
    def word_spans(self) -> list[tuple[int, int]]:
        """Where each word stands in the text."""
        return [match.span() for match in re.finditer(r"\w+", self.text)]

    def spans(self, words: str) -> Iterator[tuple[int, int]]:
        """The stretches of the text whose words these are."""
        count = words.count(" ") + 1
        at = self.words.find(f" {words} ")
        while at >= 0:
            first = self.words.count(" ", 0, at)
            # Case folding makes two words of one, rarely, and so shifts the count: then nothing is claimed.
            if first + count <= len(self.word_spans):
                start, end = self.word_spans[first][0], self.word_spans[first + count - 1][1]
                if plain_words(self.text[start:end]) == words.split():
                    yield start, end
            at = self.words.find(f" {words} ", at + 1)

    def heading(self, offset: int) -> tuple[str, ...]:
        """The heading path at the character, as the passages of the corpus show it."""
        at = bisect_right([passage.chunk.start for passage in self.passages], offset) - 1
        if at < 0:
            return ()
        chunk = self.passages[at].chunk
        return heading_at(chunk.heading, chunk.text, offset - chunk.start)

    @cached_property
    def units(self) -> list[tuple[int, int]]:
        """Spans of sentences, items, rows and lines of code."""
        return [(unit.start, unit.end) for unit in units(self.text)]

    @cached_property
    def unit_words(self) -> list[list[str]]:
        """The words of each unit."""
        return [plain_words(self.text[start:end]) for start, end in self.units]

    def windows(self, wanted: set[str], count: int) -> Iterator[tuple[int, int]]:
        """(first, past the last) of stretches of whole units that may be `count` words with `wanted` among them.

        They begin in a unit half of whose words are wanted, and have about as many words: a quote is looked for in
        a document of thousands of units, and each stretch costs a comparison.
        """
        ends = list(accumulate((len(unit) for unit in self.unit_words), initial=0))
        for first, unit in enumerate(self.unit_words):
            if not unit or 2 * len(wanted.intersection(unit)) < len(set(unit)):
                continue
            near = {bisect_right(ends, ends[first] + share * count) for share in (0.75, 1.0, 1.3)}
            for last in sorted({max(end + more, first + 1) for end in near for more in (-1, 0)}):
                if last < len(ends):
                    yield first, last


class _Texts:
    """Every document of the current snapshot, read when it is first looked at."""

    def __init__(self, engine: Engine, corpus: str) -> None:
        snapshot = engine.store.current_snapshot(engine.status(corpus).corpus.name)
        self.all = [_Text(engine, record.id, record.path) for record in engine.store.documents(snapshot)]

    def named(self, path: str) -> list[_Text]:
        """The documents that a gold path names; all of them when it names none."""
        return [text for text in self.all if same_document(path, text.path)] if path else self.all

    def others(self, near: Sequence[_Text]) -> Iterator[_Text]:
        known = {text.id for text in near}
        return (text for text in self.all if text.id not in known)


# ---------------------------------------------------------------- one place


def _anchored(texts: _Texts, id: str, gold: Gold) -> Anchor:
    near = texts.named(gold.path)
    if not gold.quote:
        return _by_heading(texts, id, gold, near)
    words = " ".join(plain_words(gold.quote))
    found = _verbatim(near, gold, words, same=True)
    changed = None if found else _changed(near, gold, words, MIN_LIKENESS)
    if found is None and (changed is None or changed[1] < SURE_LIKENESS):
        found = _verbatim(texts.others(near), gold, words, same=False)
        changed = changed or _changed(texts.others(near), gold, words, SURE_LIKENESS)
    if found is not None:
        return Anchor(id, gold, *found)
    if changed is None:
        return Anchor(id, gold, None, "gone", 0.0)
    return Anchor(id, gold, changed[0], "changed", round(changed[1], 3))


def _verbatim(group: Iterable[_Text], gold: Gold, words: str, *, same: bool) -> tuple[Gold, Drift] | None:
    """The place with the same words: under the same heading if there is one, else the first other."""
    other: Gold | None = None
    for text in group:
        for start, _ in text.spans(words):
            heading = text.heading(start)
            # A path that ends early is no other place: a chunk over several sections is headed by what they share.
            if same and (under_heading(gold.heading, heading) or heading == gold.heading[: len(heading)]):
                return gold, "exact"
            other = other or dataclasses.replace(gold, path=text.path, heading=heading)
    return (other, "moved") if other else None


def _changed(group: Iterable[_Text], gold: Gold, words: str, least: float) -> tuple[Gold, float] | None:
    """The stretch most like the quote, if any is like enough."""
    from rapidfuzz import fuzz

    wanted = set(words.split())
    best: tuple[float, _Text, tuple[int, int]] | None = None
    for text in group:
        if len(wanted & text.held) < MIN_SHARED * len(wanted):
            continue
        for first, last in text.windows(wanted, words.count(" ") + 1):
            least = best[0] if best else least
            stretch = " ".join(word for unit in text.unit_words[first:last] for word in unit)
            likeness = fuzz.ratio(words, stretch, score_cutoff=100 * least) / 100
            if likeness and (best is None or likeness > best[0]):
                best = (likeness, text, (text.units[first][0], text.units[last - 1][1]))
    if best is None:
        return None
    likeness, text, (start, end) = best
    heading = text.heading(start)
    return dataclasses.replace(gold, path=text.path, heading=heading, quote=text.text[start:end]), likeness


def _by_heading(texts: _Texts, id: str, gold: Gold, near: Sequence[_Text]) -> Anchor:
    """A place that is a heading, or a document as a whole."""
    if not gold.heading:
        return Anchor(id, gold, gold if near else None, "exact" if near else "gone", 1.0 if near else 0.0)
    for group, drift in ((near, "exact"), (texts.others(near), "moved")):
        for text in group:
            for passage in text.passages:
                chunk = passage.chunk
                path = (*chunk.heading, *heading_at(chunk.heading, chunk.text, len(chunk.text)))
                if under_heading(gold.heading, path):
                    now = gold if drift == "exact" else dataclasses.replace(gold, path=text.path)
                    return Anchor(id, gold, now, "exact" if drift == "exact" else "moved")
    return Anchor(id, gold, None, "gone", 0.0)

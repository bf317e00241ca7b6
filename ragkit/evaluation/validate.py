"""Look over a set of questions: what is empty, doubled, given away, or no longer where it was.

Knows questions, and a corpus when one is given; knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ragkit.domain import JSON
from ragkit.evaluation.anchors import DRIFTS, Anchor, anchor
from ragkit.evaluation.datasets import plain_words
from ragkit.evaluation.passages import plain
from ragkit.evaluation.questions import Entry, counts, gold_row, quote_hash, unlike

if TYPE_CHECKING:
    from ragkit import Engine

Severity: TypeAlias = Literal["error", "warning"]

PROBLEMS: dict[str, Severity] = {
    "duplicate": "error",
    "gone": "error",
    "no gold": "warning",
    "no answer": "warning",
    "near-duplicate": "warning",
    "leaked": "warning",
    "answer not in quote": "warning",
    "quote edited": "warning",
    "moved": "warning",
    "changed": "warning",
}
"""What can be wrong with a question, and whether it makes a set unfit to measure with."""
MIN_LEAK_WORDS = 4
"""A shorter question may well stand somewhere by chance."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to look at: which question, what (a key of PROBLEMS), and the particulars."""

    question_id: str
    problem: str
    detail: str

    @property
    def severity(self) -> Severity:
        return PROBLEMS[self.problem]


@dataclass(frozen=True, slots=True)
class Validation:
    """Every problem of a set. `anchors` is empty when no corpus was looked at."""

    questions: int
    kinds: dict[str, int]
    problems: tuple[Problem, ...]
    anchors: tuple[Anchor, ...] = ()
    corpus: str = ""

    @property
    def errors(self) -> int:
        return sum(problem.severity == "error" for problem in self.problems)


def validate(entries: Sequence[Entry], engine: Engine | None = None, *, corpus: str = "") -> Validation:
    """Look over the questions; with an engine, over where their gold stands in the corpus, too.

    Rejected questions are passed over.
    """
    kept = [entry for entry in entries if entry.review != "rejected"]
    problems = [*_doubled(kept), *(problem for entry in kept for problem in _of_one(entry))]
    anchors: list[Anchor] = []
    name = ""
    if engine is not None:
        name = engine.status(corpus).corpus.name
        anchors = anchor(engine, kept, corpus=name)
        problems += [_drifted(one) for one in anchors if one.drift != "exact"]
        problems += _leaked(kept, engine, name)
    order = {entry.question.id: at for at, entry in enumerate(kept)}
    problems.sort(key=lambda problem: (problem.severity != "error", order[problem.question_id]))
    return Validation(len(kept), counts(e.question.kind for e in kept), tuple(problems), tuple(anchors), name)


def _of_one(entry: Entry) -> Iterator[Problem]:
    question = entry.question
    if not question.answerable:
        return
    if not question.relevant:
        yield Problem(question.id, "no gold", "nothing says where its answer stands")
    if not question.answer:
        yield Problem(question.id, "no answer", "answers cannot be compared with a reference")
    quotes = [plain(gold.quote) for gold in question.relevant if gold.quote]
    if "pattern" in entry.notes and quotes and not _all_in(question.answer, quotes):
        yield Problem(question.id, "answer not in quote", f"{question.answer[:60]!r}")


def _all_in(answer: str, quotes: Sequence[str]) -> bool:
    """Whether each line of the answer stands in a quote, word for word."""
    held = [f" {' '.join(plain_words(quote))} " for quote in quotes]
    lines = [" ".join(plain_words(plain(line))) for line in answer.split("\n") if line.strip()]
    return all(any(f" {line} " in quote for quote in held) for line in lines)


def _doubled(entries: Sequence[Entry]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    texts: list[str] = []
    for entry in entries:
        question = entry.question
        key = " ".join(plain_words(question.text))
        if key in seen:
            yield Problem(question.id, "duplicate", f"asks the same as {seen[key]}")
        elif not unlike(texts, question.text, share=0.85):
            near = next(other for other in entries if not unlike([other.question.text], question.text, share=0.85))
            yield Problem(question.id, "near-duplicate", f"nearly the same as {near.question.id}")
        seen.setdefault(key, question.id)
        texts.append(question.text)


def _drifted(one: Anchor) -> Problem:
    if one.now is None:
        return Problem(one.question_id, "gone", f"{_place(one.was.path, one.was.heading)}: {one.was.quote[:60]!r}")
    where = f"{_place(one.was.path, one.was.heading)} is now {_place(one.now.path, one.now.heading)}"
    if one.drift == "changed":
        where = f"{_place(one.now.path, one.now.heading)}: {one.likeness:.0%} alike, now {one.now.quote[:60]!r}"
    return Problem(one.question_id, one.drift, where)


def _place(path: str, heading: Sequence[str]) -> str:
    return " > ".join((path, *heading))


def _leaked(entries: Sequence[Entry], engine: Engine, corpus: str) -> Iterator[Problem]:
    """Questions that the corpus itself asks, word for word: finding those proves little."""
    wanted = {
        entry.question.id: f" {' '.join(plain_words(entry.question.text))} "
        for entry in entries
        if len(plain_words(entry.question.text)) >= MIN_LEAK_WORDS
    }
    snapshot = engine.store.current_snapshot(corpus)
    for record in engine.store.documents(snapshot):
        text = f" {' '.join(plain_words(engine.store.document_text(record.id)))} "
        for id in [id for id, words in wanted.items() if words in text]:
            del wanted[id]
            yield Problem(id, "leaked", f"stands word for word in {record.path}")


def edited_quotes(rows: Sequence[dict[str, JSON]]) -> Iterator[Problem]:
    """Quotes whose hash no longer fits: somebody changed the words in the file."""
    for row in rows:
        for gold in row.get("relevant") or ():
            if isinstance(gold, dict) and gold.get("hash") and quote_hash(str(gold.get("quote"))) != gold["hash"]:
                yield Problem(str(row.get("id")), "quote edited", f"{str(gold.get('quote'))[:60]!r}")


def to_json(found: Validation) -> dict[str, JSON]:
    """The validation as JSON values; docs/datasets.md describes the keys."""
    return {
        "questions": found.questions,
        "kinds": found.kinds,
        "corpus": found.corpus,
        "errors": found.errors,
        "warnings": len(found.problems) - found.errors,
        "drift": {drift: sum(one.drift == drift for one in found.anchors) for drift in DRIFTS},
        "problems": [
            {"question": p.question_id, "problem": p.problem, "severity": p.severity, "detail": p.detail}
            for p in found.problems
        ],
        "places": [
            {
                "question": one.question_id,
                "drift": one.drift,
                "likeness": one.likeness,
                "was": gold_row(one.was),
                "now": gold_row(one.now) if one.now else None,
            }
            for one in found.anchors
            if one.drift != "exact"
        ],
    }

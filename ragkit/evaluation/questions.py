"""The rows of a questions file with all that is kept beside each question, read to be changed and written whole.

Knows the file's keys; knows nothing of corpora or engines. `datasets` reads the same files to evaluate with them and
needs only the question.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ragkit.domain import JSON
from ragkit.errors import DatasetError
from ragkit.evaluation import datasets
from ragkit.evaluation.datasets import FIELDS, Gold, Question
from ragkit.files import write_whole

Review: TypeAlias = Literal["", "accepted", "rejected"]
REVIEWS: tuple[Review, ...] = get_args(Review)
KINDS = ("single-passage", "multi-passage", "paraphrased", "keyword", "typo", "unanswerable")
"""The kinds of question that `eval generate` makes; a file may have others."""

_OWN = {"answerable", "relevant", *(name for names in FIELDS.values() for name in names)}


@dataclass(frozen=True, slots=True)
class Entry:
    """A question and what is noted beside it, such as `pattern` and `difficulty`; unknown keys are kept as they are.

    `notes["review"]` is accepted or rejected once a person has decided. A rejected question stays in its file, so
    that nobody has to decide twice, and is left out of every evaluation.
    """

    question: Question
    notes: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def review(self) -> Review:
        """What a person decided, "" before."""
        found = self.notes.get("review")
        return found if found in REVIEWS else ""

    def noting(self, **notes: JSON) -> Entry:
        """The same entry with more notes."""
        return dataclasses.replace(self, notes={**self.notes, **notes})


def load(path: Path) -> list[Entry]:
    """Every row of a questions file, rejected ones too, or every judged query of a BEIR folder.

    Raises DatasetError naming the file and line.
    """
    if path.is_dir() and (path / "corpus.jsonl").is_file():
        return [Entry(question) for question in datasets.load(path).questions]
    file = path / "questions.jsonl" if path.is_dir() else path
    if not file.is_file():
        datasets.load(path)  # which says what is missing
    entries = [Entry(datasets.question(row, place), notes_of(row)) for place, row in datasets.json_lines(file)]
    if not entries:
        raise DatasetError(f"dataset {path} has no questions")
    return entries


def notes_of(row: Mapping[str, Any]) -> dict[str, JSON]:
    """What a row has beside its question."""
    return {key: value for key, value in row.items() if key not in _OWN}


def write(path: Path, entries: Iterable[Entry]) -> None:
    """Write a questions file whole, one JSON object a line."""
    write_whole(path, to_lines(entries).encode("utf-8"))


def to_lines(entries: Iterable[Entry]) -> str:
    """The entries as lines of JSON."""
    return "".join(json.dumps(to_row(entry), ensure_ascii=False) + "\n" for entry in entries)


def to_row(entry: Entry) -> dict[str, JSON]:
    """One row: the question under the names that `datasets` reads, then its notes."""
    question = entry.question
    row: dict[str, JSON] = {"id": question.id, "question": question.text}
    if question.kind:
        row["kind"] = question.kind
    if question.answer:
        row["answer"] = question.answer
    if question.relevant:
        row["relevant"] = [gold_row(gold) for gold in question.relevant]
    if not question.answerable:
        row["answerable"] = False
    return {**row, **entry.notes}


def gold_row(gold: Gold) -> dict[str, JSON]:
    """A gold place: document, heading path, quote and the quote's hash; what is empty is left out."""
    row: dict[str, JSON] = {"path": gold.path} if gold.path else {}
    if gold.heading:
        row["heading"] = list(gold.heading)
    if gold.quote:
        row["quote"] = gold.quote
        row["hash"] = quote_hash(gold.quote)
    if gold.grade != 1:
        row["grade"] = gold.grade
    return row


def quote_hash(quote: str) -> str:
    """What tells whether the words of a quote are still the same: markup, case and white space do not count.

    >>> quote_hash("Run **make demo** first.") == quote_hash("run make\\ndemo first")
    True
    """
    return hashlib.sha256(" ".join(datasets.plain_words(quote)).encode()).hexdigest()[:12]


def question_id(text: str, taken: Iterable[str] = ()) -> str:
    """A short id that follows from the question's words, unlike those taken."""
    used = set(taken)
    base = "q-" + hashlib.sha256(" ".join(datasets.plain_words(text)).encode()).hexdigest()[:8]
    number, id = 1, base
    while id in used:
        number += 1
        id = f"{base}-{number}"
    return id


def counts(values: Iterable[str]) -> dict[str, int]:
    """How often each value is there, in the order of their first appearance; "" is shown as `-`."""
    found: dict[str, int] = {}
    for value in values:
        found[value or "-"] = found.get(value or "-", 0) + 1
    return found


def unlike(texts: Sequence[str], text: str, *, share: float = 0.8) -> bool:
    """Whether no text has nearly the same words: a share of all words of the two together (Jaccard, 1912).

    >>> unlike(["How do I delete a Pod?"], "how do I delete the Pod"), unlike(["What is a Pod?"], "Why Pods?")
    (False, True)
    """
    own = set(datasets.plain_words(text)) - _LITTLE
    for other in texts:
        theirs = set(datasets.plain_words(other)) - _LITTLE
        if len(own & theirs) >= share * max(1, len(own | theirs)):
            return False
    return True


_LITTLE = frozenset({"a", "an", "the", "my", "your", "to", "of", "in", "on", "is", "are", "do", "does", "i"})

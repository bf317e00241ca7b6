"""Read sets of questions whose answers are marked word for word in documents, and find those words again.

Knows two layouts, that of chunking_evaluation (questions_df.csv beside corpora/) and questions.jsonl beside docs/;
knows nothing of engines, chunks or metrics. Gold is kept as a quote, and its offsets are only a hint: a document
whose text came through a loader has others.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ragkit.errors import DatasetError
from ragkit.evaluation import datasets
from ragkit.evaluation.spans import Stretch, union

QUESTIONS_CSV = "questions_df.csv"
FOLDERS = ("corpora", "docs")


@dataclass(frozen=True, slots=True)
class Quoted:
    """Words that answer a question: in which document, "" when that is not known, and where they were once."""

    path: str
    quote: str
    start: int = -1


@dataclass(frozen=True, slots=True)
class MarkedQuestion:
    """A question with all that answers it; `quotes` is not empty."""

    id: str
    text: str
    quotes: tuple[Quoted, ...]


@dataclass(frozen=True, slots=True)
class ExcerptSet:
    """Questions in the order of their file, and the folder of the documents that they are about."""

    name: str
    questions: tuple[MarkedQuestion, ...]
    folder: Path
    fingerprint: str
    """Changes whenever the questions do."""
    without_gold: int = 0
    """Questions of the file that mark no words."""


def load(path: Path, limit: int | None = None) -> ExcerptSet:
    """The set in a folder; `limit` keeps the first so many questions. Raises DatasetError naming file and line."""
    folder = next((path / name for name in FOLDERS if (path / name).is_dir()), None)
    csv_file, json_file = path / QUESTIONS_CSV, path / "questions.jsonl"
    file = csv_file if csv_file.is_file() else json_file
    if folder is None or not file.is_file():
        raise DatasetError(
            f"dataset {path} lacks "
            + (f"{QUESTIONS_CSV} or questions.jsonl" if folder else "a folder of documents: corpora/ or docs/"),
            "docs/chunking.md describes the layout",
        )
    read = list(_rows_of_csv(file) if file == csv_file else _rows_of_jsonl(file))
    questions = [question for question in read if question.quotes]
    if not questions:
        raise DatasetError(f"{file} marks no words that answer a question", "give each question a quote")
    fingerprint = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    without = len(read) - len(questions)
    return ExcerptSet(path.resolve().name, tuple(questions[:limit]), folder, fingerprint, without)


def _rows_of_csv(file: Path) -> Iterator[MarkedQuestion]:
    """Columns question, references (JSON: content, start_index, end_index) and corpus_id."""
    csv.field_size_limit(sys.maxsize)
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            for number, row in enumerate(csv.DictReader(opened), start=1):
                yield _asked(row, str(number), f"{file}, question {number}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{file} cannot be read: {error}") from error


def _asked(row: Mapping[str, str], id: str, place: str) -> MarkedQuestion:
    try:
        path = PurePosixPath(row["corpus_id"].replace("\\", "/")).name
        quotes = tuple(
            Quoted(path, str(one["content"]), int(one.get("start_index", -1)))
            for one in json.loads(row["references"])
        )
        return MarkedQuestion(id, row["question"], tuple(quote for quote in quotes if quote.quote.strip()))
    except KeyError as error:
        raise DatasetError(f"{place}: no {error.args[0]}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise DatasetError(f"{place}: references are not a JSON list of objects with content: {error}") from error


def _rows_of_jsonl(file: Path) -> Iterator[MarkedQuestion]:
    for question in datasets.load(file).questions:
        quotes = tuple(Quoted(gold.path, gold.quote) for gold in question.relevant if gold.quote.strip())
        yield MarkedQuestion(question.id, question.text, quotes)


# ---------------------------------------------------------------- finding the words again


class Texts:
    """The documents as they were ingested, in which quotes are found."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = {path: _Text(text) for path, text in texts.items()}

    def anchor(self, quotes: Sequence[Quoted]) -> tuple[Stretch, ...] | None:
        """Where the quotes are, in stretches that are apart; None when one of them is in no document."""
        found: list[Stretch] = []
        for quote in quotes:
            place = self._place(quote)
            if place is None:
                return None
            found.append(place)
        return tuple(union(found))

    def _place(self, quote: Quoted) -> Stretch | None:
        for path, text in self._texts.items():
            if (not quote.path or datasets.same_document(quote.path, path)) and (span := text.find(quote)):
                return Stretch(path, *span)
        return None


class _Text:
    """A document's text, and its words for when the layout of a quote is another."""

    def __init__(self, text: str) -> None:
        self._text = text

    def find(self, quote: Quoted) -> tuple[int, int] | None:
        """Where the quote is: at its own offset, else word for word, else with other blanks, marks and case."""
        start = quote.start
        if start < 0 or not self._text.startswith(quote.quote, start):
            start = self._text.find(quote.quote)
        if start >= 0:
            return start, start + len(quote.quote)
        words = re.findall(r"\w+", quote.quote.casefold())
        joined, starts, ends = self._words
        at = joined.find(f" {' '.join(words)} ") if words else -1
        if at < 0:
            return None
        first = joined.count(" ", 0, at)
        return starts[first], ends[first + len(words) - 1]

    @cached_property
    def _words(self) -> tuple[str, list[int], list[int]]:
        """The words in one line, with a blank on either side of each, and where each starts and ends."""
        matches = list(re.finditer(r"\w+", self._text))
        joined = f" {' '.join(match[0].casefold() for match in matches)} "
        return joined, [match.start() for match in matches], [match.end() for match in matches]

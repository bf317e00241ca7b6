"""Questions as a text that a person reads and edits: a block for each question, in Markdown.

Knows the form and nothing of corpora. What is written here is read back to the same entries; a block that is deleted
is a question dropped, a block with no id is a question added.

    ## q-1f2e3d4c
    Question: How long are backups kept?
    Answer: Backups are kept for 30 days.
    Kind: single-passage
    Document: backup.md
    Heading: Backups > Retention
    > Backups are kept for 30 days.
    Review: accepted
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ragkit.domain import JSON
from ragkit.errors import DatasetError
from ragkit.evaluation.datasets import Gold, Question
from ragkit.evaluation.questions import REVIEWS, Entry, question_id

INTRODUCTION = """\
# Questions

Each block below is one question. Change what you like: the words, the answer, the quote. Delete a block to drop its
question; write `Review: accepted` or `Review: rejected` in one to decide about it. A new block begins with `##`.
Lines that go on begin with two blanks, lines of a quote with `>`. Read it back with
`ragkit eval import FILE.md --output FILE.jsonl`.
"""
_SEPARATOR = " > "
_KEYS = ("Question", "Answer", "Kind", "Answerable", "Document", "Heading", "Grade", "Review", "Notes")


def to_text(entries: Iterable[Entry]) -> str:
    """The entries as a text."""
    return "\n".join([INTRODUCTION, *("\n".join(_block(entry)) + "\n" for entry in entries)])


def _block(entry: Entry) -> Iterator[str]:
    question = entry.question
    yield f"## {question.id}"
    yield _line("Question", question.text)
    if question.answer:
        yield _line("Answer", question.answer)
    if question.kind:
        yield _line("Kind", question.kind)
    if not question.answerable:
        yield "Answerable: no"
    for gold in question.relevant:
        yield _line("Document", gold.path)
        if gold.heading:
            yield f"Heading: {heading_text(gold.heading)}"
        if gold.grade != 1:
            yield f"Grade: {gold.grade}"
        if gold.quote:
            yield from (f"> {line}" if line else ">" for line in gold.quote.split("\n"))
    if entry.review:
        yield f"Review: {entry.review}"
    notes = {key: value for key, value in entry.notes.items() if key != "review"}
    if notes:
        yield f"Notes: {json.dumps(notes, ensure_ascii=False)}"


def heading_text(heading: Sequence[str]) -> str:
    """A heading path on one line: `A > B`, or a JSON list where that could be misread."""
    plain = all(part and part == part.strip() and ">" not in part and "\n" not in part for part in heading)
    if heading and (not plain or heading[0].startswith("[")):
        return json.dumps(list(heading), ensure_ascii=False)
    return _SEPARATOR.join(heading)


def heading_parts(text: str) -> tuple[str, ...]:
    """The path that such a line says. Raises ValueError for a list that is none."""
    parts = json.loads(text) if text.startswith("[") else text.split(_SEPARATOR) if text else []
    return tuple(map(str, parts))


def _line(key: str, value: str) -> str:
    first, *rest = value.strip().split("\n")
    return "\n".join([f"{key}: {first}".rstrip(" "), *(f"  {line}" if line.strip() else "" for line in rest)])


# ---------------------------------------------------------------- reading


@dataclass(slots=True)
class _Block:
    """A block as it is being read: fields with several lines are joined at the end."""

    id: str
    place: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    golds: list[dict[str, list[str]]] = field(default_factory=list)
    last: list[str] | None = None


def from_text(text: str, file: Path) -> list[Entry]:
    """The entries of such a text. Raises DatasetError naming file and line."""
    blocks = list(_blocks(text, file))
    if not blocks:
        raise DatasetError(f"{file} has no block that begins with `## `", "docs/datasets.md shows one")
    taken: list[str] = []
    entries = []
    for block in blocks:
        entry = _entry(block, taken)
        taken.append(entry.question.id)
        entries.append(entry)
    return entries


def _blocks(text: str, file: Path) -> Iterator[_Block]:
    block: _Block | None = None
    blanks = 0
    for number, line in enumerate(text.lstrip("\ufeff").split("\n"), start=1):
        line = line.removesuffix("\r")
        place = f"{file}:{number}"
        if line.startswith("## ") or line.rstrip() == "##":
            if block is not None:
                yield block
            block, blanks = _Block(line[2:].strip(), place), 0
        elif block is None or not line.strip():
            blanks += 1
        else:
            _read_line(block, line, place, blanks)
            blanks = 0
    if block is not None:
        yield block


def _read_line(block: _Block, line: str, place: str, blanks: int) -> None:
    if line.startswith("  ") and block.last is not None:
        block.last += [*[""] * blanks, line[2:]]
        return
    if line.startswith(">"):
        if not block.golds:
            raise DatasetError(f"{place}: a quote before any `Document:`", "write `Document: PATH` in front of it")
        block.golds[-1].setdefault("Quote", []).append(line[2:] if line.startswith("> ") else line[1:])
        block.last = None
        return
    key, colon, value = line.partition(":")
    key = key.strip().capitalize()
    if not colon or key not in _KEYS:
        raise DatasetError(
            f"{place}: this line begins with no known word: {line[:40]!r}",
            f"begin it with two blanks if it goes on, or with one of {', '.join(_KEYS)}",
        )
    if key == "Document":
        block.golds.append({})
    elif key in ("Heading", "Grade") and not block.golds:
        raise DatasetError(f"{place}: {key} before any `Document:`", "write `Document: PATH` in front of it")
    target = block.golds[-1] if key in ("Document", "Heading", "Grade") else block.fields
    if key in target:
        raise DatasetError(f"{place}: {key} is given twice for question {block.id or '(new)'}")
    block.last = target[key] = [value.strip()]


def _entry(block: _Block, taken: Iterable[str]) -> Entry:
    values = {key: "\n".join(lines).strip() for key, lines in block.fields.items()}
    if not values.get("Question"):
        raise DatasetError(f"{block.place}: no question", "write `Question: ...`, or delete the block")
    review = values.get("Review", "").casefold()
    if review not in REVIEWS:
        raise DatasetError(f"{block.place}: Review is accepted or rejected, not {review!r}")
    answerable = values.get("Answerable", "yes").casefold() in ("yes", "true")
    golds = tuple(_gold(gold, block.place) for gold in block.golds)
    if golds and not answerable:
        raise DatasetError(f"{block.place}: an unanswerable question names a document", "delete one of the two")
    notes = _notes(values.get("Notes", ""), block.place)
    question = Question(
        id=block.id or question_id(values["Question"], taken),
        text=values["Question"],
        answer=values.get("Answer", ""),
        relevant=golds,
        answerable=answerable,
        kind=values.get("Kind", ""),
    )
    if question.id in taken:
        raise DatasetError(f"{block.place}: the id {question.id!r} is given twice")
    return Entry(question, {**({"review": review} if review else {}), **notes})


def _gold(lines: Mapping[str, list[str]], place: str) -> Gold:
    heading = "\n".join(lines.get("Heading", [])).strip()
    try:
        parts = heading_parts(heading)
        grade = int(lines.get("Grade", ["1"])[0])
    except ValueError as error:
        raise DatasetError(f"{place}: Heading or Grade cannot be read: {error}") from error
    path, quote = lines["Document"][0], "\n".join(lines.get("Quote", []))
    if not path and not quote:
        raise DatasetError(f"{place}: a place needs a document or a quote")
    return Gold(path, parts, quote, max(1, grade))


def _notes(text: str, place: str) -> Mapping[str, JSON]:
    try:
        notes = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        raise DatasetError(f"{place}: Notes is not JSON: {error.msg}") from error
    if not isinstance(notes, dict):
        raise DatasetError(f"{place}: Notes is not a JSON object")
    return notes

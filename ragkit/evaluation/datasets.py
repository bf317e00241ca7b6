"""Read evaluation datasets: questions, and the places in a corpus that answer them.

Knows two layouts, BEIR (corpus.jsonl, queries.jsonl, qrels) and a JSONL file of questions over a corpus that
is ingested already; knows nothing of engines, indexes or metrics. Gold is anchored to content (a path, a
heading, a verbatim quote), never to chunk ids, so that it survives re-chunking.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias

from ragkit.domain import Block, Document
from ragkit.errors import DatasetError

Level: TypeAlias = Literal["document", "passage"]

FIELDS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "_id", "question_id"),
    "question": ("question", "query", "user_input", "text"),
    "answer": ("answer", "reference", "ground_truth"),
    "kind": ("kind", "set"),
    "paths": ("target_doc", "document", "source_docs"),
    "quotes": ("contexts", "reference_contexts"),
}
"""The names under which each field of a question is found, the first one present winning. `paths` and
`quotes` are read where a question has no `relevant`; they are how other tools write it."""


@dataclass(frozen=True, slots=True)
class Gold:
    """A place that answers a question: a document, and where known its section and the words themselves.

    At least one of `path` and `quote` is not empty. `path` may leave out the suffix and leading folders of
    the corpus's own path. `grade` is its relevance, above 0.
    """

    path: str = ""
    heading: tuple[str, ...] = ()
    quote: str = ""
    grade: int = 1


@dataclass(frozen=True, slots=True)
class Question:
    """One question: `relevant` is empty where nothing in the corpus answers it, or where nobody has said."""

    id: str
    text: str
    answer: str = ""
    relevant: tuple[Gold, ...] = ()
    answerable: bool = True
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Questions in the order of their file, ids unique. `corpus_file` holds the documents of a BEIR set."""

    name: str
    questions: tuple[Question, ...]
    fingerprint: str
    """Changes whenever a file of the dataset does."""
    corpus_file: Path | None = None

    @property
    def level(self) -> Level:
        """The finest level at which every question with gold can be judged."""
        golds = [gold for question in self.questions for gold in question.relevant]
        return "passage" if golds and all(gold.quote or gold.heading for gold in golds) else "document"

    def documents(self) -> Iterator[Document]:
        """The documents of a BEIR set, their ids as paths; none for a set of questions."""
        if self.corpus_file is not None:
            for place, row in json_lines(self.corpus_file):
                yield _document(row, place)


def load(path: Path, limit: int | None = None) -> Dataset:
    """A dataset from a folder in BEIR layout, a folder with questions.jsonl, or a JSONL file of questions.

    `limit` keeps the first so many questions. Raises DatasetError naming the file and line.
    """
    if path.is_dir() and (path / "corpus.jsonl").is_file():
        dataset = _load_beir(path)
    elif path.is_dir() and (path / "questions.jsonl").is_file():
        dataset = _load_questions(path / "questions.jsonl", path.name)
    elif path.is_file():
        dataset = _load_questions(path, path.resolve().parent.name if path.stem == "questions" else path.stem)
    else:
        raise DatasetError(
            f"dataset {path} "
            + ("has neither corpus.jsonl nor questions.jsonl" if path.is_dir() else "does not exist"),
            "give a folder in BEIR layout or a JSONL file of questions (see docs/evaluation.md)",
        )
    if not dataset.questions:
        raise DatasetError(f"dataset {path} has no questions")
    if limit is None:
        return dataset
    return Dataset(dataset.name, dataset.questions[:limit], dataset.fingerprint, dataset.corpus_file)


# ---------------------------------------------------------------- BEIR


def _load_beir(folder: Path) -> Dataset:
    corpus, queries, qrels = folder / "corpus.jsonl", folder / "queries.jsonl", _qrels_file(folder)
    known: set[str] = set()
    for place, row in json_lines(corpus):
        id = _required(row, "_id", place)
        if id in known:
            raise DatasetError(f"{place}: the _id {id!r} is given twice", "leave one of the documents out")
        known.add(id)
    judged = _read_qrels(qrels, known)
    questions = []
    for place, row in json_lines(queries):
        id = _required(row, "_id", place)
        if id in judged:
            golds = tuple(Gold(path=document, grade=grade) for document, grade in judged.pop(id).items())
            questions.append(Question(id, _required(row, "text", place), relevant=golds))
    if judged:
        raise DatasetError(f"{qrels}: query {next(iter(judged))!r} is judged but not in {queries.name}")
    _refuse_duplicates(questions, queries)
    return Dataset(folder.name, tuple(questions), _fingerprint(corpus, queries, qrels), corpus)


def _qrels_file(folder: Path) -> Path:
    for name in ("qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv"):
        if (folder / name).is_file():
            return folder / name
    raise DatasetError(f"dataset {folder} has no judgements", "add qrels.tsv or qrels/test.tsv")


def _read_qrels(file: Path, known: set[str]) -> dict[str, dict[str, int]]:
    """Judgements above zero by query; queries without one are left out, as trec_eval does."""
    judged: dict[str, dict[str, int]] = {}
    for number, line in enumerate(text_of(file).splitlines(), start=1):
        fields = line.split("\t")
        if not line.strip() or (number == 1 and fields[-1].strip() == "score"):
            continue
        if len(fields) == 4:  # TREC: query, iteration, document, grade
            del fields[1]
        try:
            query, document, grade = fields[0], fields[1], int(fields[2])
        except (IndexError, ValueError) as error:
            raise DatasetError(f"{file}:{number}: not `query <tab> document <tab> grade`: {line!r}") from error
        if document not in known:
            raise DatasetError(f"{file}:{number}: document {document!r} is not in corpus.jsonl")
        if grade > 0:
            judged.setdefault(query, {})[document] = grade
    return judged


def _document(row: Mapping[str, Any], place: str) -> Document:
    """A row of corpus.jsonl; a title that the text repeats is not indexed twice."""
    text, title = str(row.get("text") or ""), str(row.get("title") or "").strip()
    if not text.strip():
        text = title
    if text.lstrip().startswith(title):
        title = ""
    blocks = tuple(Block("paragraph", *match.span()) for match in re.finditer(r"\S(?:.|\n(?!\s*\n))*", text))
    return Document(path=_required(row, "_id", place), text=text, format="text", title=title, blocks=blocks)


# ---------------------------------------------------------------- questions over an ingested corpus


def _load_questions(file: Path, name: str) -> Dataset:
    rows = ((place, row) for place, row in json_lines(file) if row.get("review") != "rejected")
    questions = tuple(question(row, place) for place, row in rows)
    _refuse_duplicates(questions, file)
    return Dataset(name, questions, _fingerprint(file))


def question(row: Mapping[str, Any], place: str) -> Question:
    """One row of a questions file; `place` is what an error names."""
    text = str(_first(row, "question") or "").strip()
    if not text:
        raise DatasetError(f"{place}: no question", f"name the field one of {', '.join(FIELDS['question'])}")
    answerable = row.get("answerable", True)
    if not isinstance(answerable, bool):
        raise DatasetError(f"{place}: answerable must be true or false, not {answerable!r}")
    if "relevant" in row:
        golds = tuple(_gold(item, place) for item in _list(row["relevant"], "relevant", place))
        if golds and not answerable:
            raise DatasetError(f"{place}: an unanswerable question has relevant places")
    else:
        golds = _foreign_golds(row, place) if answerable else ()
    id = _first(row, "id")
    return Question(
        id=str(id) if id not in (None, "") else place.rpartition(":")[2],
        text=text,
        answer=str(_first(row, "answer") or ""),
        relevant=golds,
        answerable=answerable,
        kind=str(_first(row, "kind") or ""),
    )


def _gold(item: Any, place: str) -> Gold:
    if isinstance(item, str):
        item = {"path": item}
    if not isinstance(item, dict) or not (item.get("path") or item.get("quote")):
        raise DatasetError(f"{place}: each entry of relevant needs a path or a quote, not {item!r}")
    if unknown := set(item) - {"path", "heading", "quote", "hash", "grade"}:
        raise DatasetError(f"{place}: unknown key {min(unknown)!r} in relevant")
    heading = item.get("heading") or ()
    grade = item.get("grade", 1)
    if not isinstance(grade, int) or grade < 1:
        raise DatasetError(f"{place}: grade must be a whole number above 0, not {grade!r}")
    return Gold(
        path=str(item.get("path") or ""),
        heading=(heading,) if isinstance(heading, str) else tuple(map(str, heading)),
        quote=str(item.get("quote") or ""),
        grade=grade,
    )


def _foreign_golds(row: Mapping[str, Any], place: str) -> tuple[Gold, ...]:
    """Gold as other tools write it: documents, and passages that lie in them."""
    paths = [str(path) for path in _list(_first(row, "paths"), "paths", place)]
    quotes = [str(quote) for quote in _list(_first(row, "quotes"), "quotes", place) if str(quote).strip()]
    if not quotes:
        return tuple(Gold(path=path) for path in paths)
    if len(paths) == 1:
        paths *= len(quotes)
    if len(paths) != len(quotes):
        paths = [""] * len(quotes)  # which passage lies in which document is not said
    return tuple(Gold(path=path, quote=quote) for path, quote in zip(paths, quotes, strict=True))


# ---------------------------------------------------------------- matching


def same_document(gold: str, path: str) -> bool:
    """Whether a gold path names the corpus's `path`: the whole of it, or its end, with or without suffix.

    >>> same_document("install", "guide/install.md"), same_document("stall.md", "guide/install.md")
    (True, False)
    """
    return gold in document_names(path)


def document_names(path: str) -> Iterator[str]:
    """What a gold path may call the document at the corpus's `path`.

    >>> list(document_names("guide/install.md"))
    ['guide/install.md', 'install.md', 'guide/install', 'install']
    """
    bare = str(PurePosixPath(path).with_suffix("")) if "." in PurePosixPath(path).name else path
    for name in dict.fromkeys((path, bare)):
        yield name
        for at, character in enumerate(name):
            if character == "/":
                yield name[at + 1 :]


def stands_at(gold: Gold, path: str, heading: Sequence[str], text: str) -> bool:
    """Whether a stretch of a document is where the gold is: it has the quote or, where there is none, the heading."""
    if gold.path and not same_document(gold.path, path):
        return False
    return holds_quote(gold.quote, text) if gold.quote else under_heading(gold.heading, heading)


def under_heading(wanted: Sequence[str], found: Sequence[str]) -> bool:
    """Whether the heading path that is wanted stands within the one that was found; case does not count.

    >>> under_heading(["Install"], ["Guide", "install", "Linux"]), under_heading(["Install", "Linux"], ["Install"])
    (True, False)
    """
    one, two = [part.casefold() for part in wanted], [part.casefold() for part in found]
    return any(two[at : at + len(one)] == one for at in range(len(two) - len(one) + 1))


def holds_quote(quote: str, text: str, share: float = 0.5) -> bool:
    """Whether `text` holds the quote, or lies within it: they share half the words of the shorter, in runs of 5.

    Case, markup and white space do not count; a quote or text under 5 words must be found whole.

    >>> holds_quote("Run **make demo** first.", "To begin:\\n\\nrun `make demo`\\nfirst. Then ask.")
    True
    >>> holds_quote("Run make demo first.", "Run make test first.")
    False
    """
    wanted, found = plain_words(quote), plain_words(text)
    shorter = min(len(wanted), len(found))
    if not shorter:
        return False
    size = min(5, shorter)
    one, two = _runs(wanted, size), _runs(found, size)
    return len(one & two) >= share * min(len(one), len(two))


def plain_words(text: str) -> list[str]:
    """The words of a text, case-folded, without punctuation and markup: what quotes are compared by."""
    return re.findall(r"\w+", text.casefold())


def _runs(words: Sequence[str], size: int) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}


# ---------------------------------------------------------------- files


def json_lines(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file:line, object) of each line that is not blank."""
    for number, line in enumerate(text_of(file).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{file}:{number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{place}: not JSON: {error.msg} at column {error.colno}") from error
        if not isinstance(row, dict):
            raise DatasetError(f"{place}: not a JSON object")
        yield place, row


def text_of(file: Path) -> str:
    """A UTF-8 file's text; DatasetError when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DatasetError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file} is not UTF-8 (byte {error.start})", "convert it with iconv") from error


def _fingerprint(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _first(row: Mapping[str, Any], field: str) -> Any:
    return next((row[name] for name in FIELDS[field] if row.get(name) is not None), None)


def _required(row: Mapping[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if value is None or not str(value).strip():
        raise DatasetError(f"{place}: no {name}")
    return str(value)


def _list(value: Any, name: str, place: str) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str | dict):
        return [value]
    if not isinstance(value, list):
        raise DatasetError(f"{place}: {name} must be a list, not {value!r}")
    return value


def _refuse_duplicates(questions: Sequence[Question], file: Path) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise DatasetError(f"{file}: the id {question.id!r} is given twice")
        seen.add(question.id)

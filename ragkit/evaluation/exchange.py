"""Questions in the forms of other tools, read and written: BEIR, TREC, SQuAD, RAGAS and Hugging Face rows, CSV, text.

Knows these forms; knows nothing of engines. What a form cannot hold is left out when it is written: only JSONL and
the text form hold everything.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ragkit.domain import JSON, Document
from ragkit.errors import DatasetError, UsageError
from ragkit.evaluation import datasets, questions, rankings, sheet
from ragkit.evaluation.datasets import Gold, Question
from ragkit.evaluation.questions import Entry, question_id
from ragkit.files import write_whole
from ragkit.sentences import sentences

Form: TypeAlias = Literal["jsonl", "text", "csv", "ragas", "squad", "beir", "trec"]
FORMS: tuple[Form, ...] = get_args(Form)

_SUFFIXES: Mapping[str, Form] = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".md": "text", ".txt": "text", ".csv": "csv", ".tsv": "csv",
    ".json": "squad", ".qrels": "trec", ".trec": "trec",
}  # fmt: skip


def form_of(path: Path) -> Form:
    """The form that a file's name speaks of. Raises UsageError for one that speaks of none."""
    if path.is_dir() or not path.suffix:
        return "beir"
    form = _SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise UsageError(f"{path.name} does not say in which form it is", f"pass --from or --to {'|'.join(FORMS)}")
    return form


def file_of(path: Path) -> Path:
    """The file that a path means: questions.jsonl of a folder that has one, else the path itself."""
    return path / "questions.jsonl" if (path / "questions.jsonl").is_file() else path


# ---------------------------------------------------------------- reading


def read(path: Path, form: Form | None = None, *, queries: Path | None = None) -> list[Entry]:
    """The questions of a file or folder. TREC judgements name queries by id: `queries` has their words.

    Raises DatasetError naming the file and line.
    """
    path = file_of(path)
    form = form or form_of(path)
    if form == "beir":
        return questions.load(path)
    if not path.is_file():
        raise DatasetError(f"{path} does not exist" if not path.exists() else f"{path} is a folder")
    if form == "text":
        return sheet.from_text(datasets.text_of(path), path)
    if form == "trec":
        return _from_trec(path, queries)
    if form == "squad":
        return _from_json(path)
    rows = _csv_rows(path) if form == "csv" else datasets.json_lines(path)
    return _unique([_foreign(row, place) for place, row in rows], path)


def raw_rows(path: Path) -> list[dict[str, JSON]]:
    """The rows of a questions file as they stand in it; none for any other form."""
    return [row for _, row in datasets.json_lines(path)] if path.is_file() and form_of(path) == "jsonl" else []


def _unique(entries: Sequence[Entry], path: Path) -> list[Entry]:
    if not entries:
        raise DatasetError(f"{path} has no questions")
    seen: set[str] = set()
    for entry in entries:
        if entry.question.id in seen:
            raise DatasetError(f"{path}: the id {entry.question.id!r} is given twice")
        seen.add(entry.question.id)
    return list(entries)


_REFERENCES = ("reference", "ground_truth", "ground_truths", "reference_answer", "expected_answer", "gold_answer")


def _foreign(row: Mapping[str, Any], place: str) -> Entry:
    """A row of another tool under our names: where a reference stands beside `answer`, that one was generated."""
    own = dict(row)
    reference = next((own.pop(name) for name in _REFERENCES if own.get(name)), None)
    if reference is not None:
        own.pop("answer", None)
        own["answer"] = "\n".join(map(str, reference)) if isinstance(reference, list) else reference
    if isinstance(own.get("answers"), dict | list) and isinstance(own.get("context"), str):
        return _squad_question(own, str(own.get("title") or ""), str(own["context"]), place)
    spans = own.get("references")
    if isinstance(spans, list) and spans and all(isinstance(one, dict) and one.get("content") for one in spans):
        # Spans of a document, as evaluations of chunking have them.
        path = str(own.pop("corpus_id", "") or "")
        own["relevant"] = [{"path": path, "quote": str(one["content"])} for one in own.pop("references")]
    if isinstance(own.get("context"), str) and not own.get("contexts"):
        own["contexts"] = [own.pop("context")]
    question = datasets.question(own, place)
    # Ids that were read from a line number say nothing once the rows are in another file.
    named = any(own.get(name) not in (None, "") for name in datasets.FIELDS["id"])
    notes = questions.notes_of(own)
    if not named:
        question = Question(
            question_id(f"{question.text} {place}"),
            question.text, question.answer, question.relevant, question.answerable, question.kind,
        )  # fmt: skip
    return Entry(question, {key: value for key, value in notes.items() if key not in _FOREIGN})


_FOREIGN = {"retrieved_contexts", "response", "answers", "ground_truths"}


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a CSV file with a header. Cells that hold a JSON list are read as one; empty ones are left out."""
    text = datasets.text_of(path)
    dialect = "excel-tab" if path.suffix.lower() == ".tsv" else "excel"
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=dialect)
    try:
        for row in reader:
            place = f"{path}:{reader.line_num}"
            cells = {str(key).strip(): _cell(value) for key, value in row.items() if key and value and value.strip()}
            if cells:
                yield place, _placed(cells)
    except csv.Error as error:
        raise DatasetError(f"{path}:{reader.line_num}: not CSV: {error}") from error


def _cell(value: str) -> Any:
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return {"true": True, "false": False}.get(value.strip().lower(), value)


def _placed(cells: dict[str, Any]) -> dict[str, Any]:
    """`path`, `heading` and `quote` as one gold place; a list in each makes several."""
    if "path" not in cells and "quote" not in cells:
        return cells
    columns = {name: cells.pop(name, "") for name in ("path", "heading", "quote", "grade")}
    count = max(len(value) if isinstance(value, list) else 1 for value in columns.values())
    rows = []
    for at in range(count):
        row = {k: (v[at] if at < len(v) else "") if isinstance(v, list) else v for k, v in columns.items()}
        heading = sheet.heading_parts(str(row["heading"]))
        place = {"path": row["path"], "heading": list(heading), "quote": row["quote"]}
        rows.append({**place, **({"grade": int(row["grade"])} if str(row["grade"]).isdigit() else {})})
    return {**cells, "relevant": rows}


def _from_json(path: Path) -> list[Entry]:
    """A JSON document: SQuAD (`data` of paragraphs), or a list of rows."""
    try:
        data = json.loads(datasets.text_of(path))
    except json.JSONDecodeError as error:
        raise DatasetError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error
    if isinstance(data, dict) and isinstance(data.get("data"), list):
        return _unique(list(_squad(data["data"], path)), path)
    rows = (
        data
        if isinstance(data, list)
        else data.get("rows", data.get("questions"))
        if isinstance(data, dict)
        else None
    )
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DatasetError(f"{path} is neither SQuAD (`data`) nor a list of questions")
    return _unique([_foreign(row, f"{path}:{at}") for at, row in enumerate(rows, 1)], path)


def _squad(data: Sequence[Any], path: Path) -> Iterator[Entry]:
    for article in data:
        for paragraph in article.get("paragraphs", ()):
            for qa in paragraph.get("qas", ()):
                yield _squad_question(
                    qa, str(article.get("title") or ""), str(paragraph.get("context") or ""), str(path)
                )


def _squad_question(qa: Mapping[str, Any], title: str, context: str, place: str) -> Entry:
    """A question of SQuAD; its gold is the sentence of the context that holds the answer."""
    text = str(qa.get("question") or "").strip()
    if not text:
        raise DatasetError(f"{place}: a question without words ({qa.get('id')})")
    answers = qa.get("answers") or []
    if isinstance(answers, dict):  # as Hugging Face lays it out
        answers = [{"text": t, "answer_start": s} for t, s in
                   zip(answers.get("text", ()), answers.get("answer_start", ()), strict=False)]  # fmt: skip
    answers = [one if isinstance(one, dict) else {"text": one} for one in answers]
    id = str(qa.get("id") or question_id(text))
    if qa.get("is_impossible") or not answers:
        return Entry(Question(id, text, answerable=False, kind="unanswerable"))
    answer, start = str(answers[0].get("text", "")), answers[0].get("answer_start")
    start = start if isinstance(start, int) and start >= 0 else max(0, context.find(answer))
    quote = next((context[a:b] for a, b in sentences(context) if a <= start < b), context)
    return Entry(Question(id, text, answer, (Gold(title, (), quote),)))


def _from_trec(path: Path, queries: Path | None) -> list[Entry]:
    """`query iteration document grade`, with the words of the queries from another file."""
    if queries is None:
        raise UsageError(
            f"{path} names its queries by id alone", "give their words with --queries FILE (id, tab, text; or JSONL)"
        )
    words = dict(_queries(queries))
    golds: dict[str, list[Gold]] = {}
    for number, line in enumerate(datasets.text_of(path).splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 4 or not fields[3].lstrip("-").isdigit():
            raise DatasetError(f"{path}:{number}: not `query iteration document grade`: {line!r}")
        query, _, document, grade = fields
        if query not in words:
            raise DatasetError(f"{path}:{number}: query {query!r} is not in {queries}")
        if int(grade) > 0:
            golds.setdefault(query, []).append(Gold(document, grade=int(grade)))
    return _unique([Entry(Question(id, words[id], relevant=tuple(places))) for id, places in golds.items()], path)


def _queries(path: Path) -> Iterator[tuple[str, str]]:
    if path.suffix == ".jsonl":
        for place, row in datasets.json_lines(path):
            question = datasets.question(row, place)
            yield question.id, question.text
        return
    for number, line in enumerate(datasets.text_of(path).splitlines(), 1):
        id, tab, text = line.partition("\t")
        if line.strip() and not tab:
            raise DatasetError(f"{path}:{number}: not `id <tab> text`: {line!r}")
        if tab:
            yield id.strip(), text.strip()


# ---------------------------------------------------------------- writing


def write(
    path: Path, entries: Sequence[Entry], form: Form | None = None, *, documents: Iterable[Document] = ()
) -> None:
    """Write the questions in a form; a folder for BEIR and TREC. `documents` are BEIR's corpus.

    Rejected questions are left out of the forms that cannot say so.
    """
    form = form or form_of(path)
    if form == "jsonl":
        questions.write(path, entries)
    elif form == "text":
        write_whole(path, sheet.to_text(entries).encode("utf-8"))
    else:
        kept = [entry.question for entry in entries if entry.review != "rejected"]
        _WRITERS[form](path, kept)
        if form == "beir":
            _write_corpus(path / "corpus.jsonl", kept, documents)


def _lines(path: Path, rows: Iterable[Mapping[str, JSON]]) -> None:
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8"))


def _write_ragas(path: Path, kept: Sequence[Question]) -> None:
    rows = []
    for question in kept:
        quotes = [gold.quote for gold in question.relevant if gold.quote]
        paths = [gold.path for gold in question.relevant]
        rows.append({"id": question.id, "user_input": question.text, "reference": question.answer,
                     "reference_contexts": quotes, "source_docs": paths, "kind": question.kind,
                     "answerable": question.answerable})  # fmt: skip
    _lines(path, rows)


_COLUMNS = ("id", "question", "answer", "kind", "answerable", "path", "heading", "quote", "grade")


def _write_csv(path: Path, kept: Sequence[Question]) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, dialect="excel-tab" if path.suffix.lower() == ".tsv" else "excel")
    writer.writerow(_COLUMNS)
    for question in kept:
        golds = question.relevant
        columns: list[list[JSON]] = [[g.path for g in golds], [sheet.heading_text(g.heading) for g in golds]]
        columns += [[g.quote for g in golds], [g.grade for g in golds]]
        cells = [_one_or_list(values) for values in columns]
        answerable = "true" if question.answerable else "false"
        writer.writerow([question.id, question.text, question.answer, question.kind, answerable, *cells])
    write_whole(path, out.getvalue().encode("utf-8"))


def _one_or_list(values: Sequence[JSON]) -> str:
    if len(values) == 1 and not str(values[0]).lstrip().startswith("["):
        return str(values[0])
    return json.dumps(list(values), ensure_ascii=False) if values else ""


def _write_squad(path: Path, kept: Sequence[Question]) -> None:
    """A paragraph for each quote. SQuAD wants the answer verbatim in it: where it is not, the whole quote answers."""
    articles: dict[str, list[JSON]] = {}
    for question in kept:
        gold = question.relevant[0] if question.relevant else Gold("none")
        context = gold.quote or question.answer
        answer = question.answer if question.answer in context else context
        answers = [{"text": answer, "answer_start": context.find(answer)}] if question.answerable and context else []
        qa = {
            "id": question.id,
            "question": question.text,
            "answers": answers,
            "is_impossible": not question.answerable,
        }
        articles.setdefault(gold.path, []).append({"context": context, "qas": [qa]})
    data = [{"title": title, "paragraphs": paragraphs} for title, paragraphs in articles.items()]
    text = json.dumps({"version": "v2.0", "data": data}, ensure_ascii=False, indent=1)
    write_whole(path, f"{text}\n".encode())


def _judged(kept: Sequence[Question]) -> Iterator[tuple[str, str, int]]:
    """(query, document, grade), the best grade of each document."""
    for question in kept:
        grades = rankings.grades([gold for gold in question.relevant if gold.path], "document")
        yield from ((question.id, path, grade) for path, grade in grades.items())


def _write_trec(path: Path, kept: Sequence[Question]) -> None:
    """queries.tsv and qrels.txt. A blank in a document's path becomes %20: the form has no other way."""
    rows = [f"{query} 0 {document.replace(' ', '%20')} {grade}\n" for query, document, grade in _judged(kept)]
    words = [f"{question.id}\t{' '.join(question.text.split())}\n" for question in kept if question.relevant]
    write_whole(path / "queries.tsv", "".join(words).encode("utf-8"))
    write_whole(path / "qrels.txt", "".join(rows).encode("utf-8"))


def _write_beir(path: Path, kept: Sequence[Question]) -> None:
    rows = [
        "query-id\tcorpus-id\tscore\n",
        *(f"{query}\t{document}\t{grade}\n" for query, document, grade in _judged(kept)),
    ]
    _lines(path / "queries.jsonl", ({"_id": question.id, "text": question.text} for question in kept))
    write_whole(path / "qrels" / "test.tsv", "".join(rows).encode("utf-8"))


def _write_corpus(path: Path, kept: Sequence[Question], documents: Iterable[Document]) -> None:
    rows: list[Mapping[str, JSON]] = [{"_id": d.path, "title": d.title, "text": d.text} for d in documents]
    if not rows:  # without the documents, at least the judged ones are named, with what is known of them
        quotes: dict[str, list[str]] = {}
        for question in kept:
            for gold in question.relevant:
                quotes.setdefault(gold.path, []).append(gold.quote or gold.path)
        rows = [
            {"_id": p, "title": "", "text": "\n\n".join(dict.fromkeys(texts))} for p, texts in quotes.items() if p
        ]
    _lines(path, rows)


_WRITERS = {
    "ragas": _write_ragas, "csv": _write_csv, "squad": _write_squad, "trec": _write_trec, "beir": _write_beir,
}  # fmt: skip

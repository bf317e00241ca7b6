"""`ragkit eval generate`, `review`, `show`, `validate`, `split`, `import`, `export`: sets of questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ragkit.cli.common import Command, State, emit, emit_lines, pass_state, table
from ragkit.cli.options import FILE, PATH, corpus_option, format_option

if TYPE_CHECKING:
    from ragkit.evaluation.exchange import Form
    from ragkit.evaluation.generate import Generated
    from ragkit.evaluation.questions import Entry
    from ragkit.evaluation.validate import Validation

FORMS = ("jsonl", "text", "csv", "ragas", "squad", "beir", "trec")
KINDS = ("single-passage", "multi-passage", "paraphrased", "keyword", "typo", "unanswerable")
"""These and the forms are those of `evaluation`, whose modules take too long to import for a page of help."""

_OUTPUT = click.option(
    "--output",
    required=True,
    metavar="PATH",
    type=PATH,
    help="What to write; .jsonl, .md or .csv says in which form.",
)
_FORCE = click.option("--force", is_flag=True, help="Write over a file with questions that a person has reviewed.")
_SEED = click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same result.")


# ---------------------------------------------------------------- generate


@click.command(cls=Command, short_help="Make questions of a corpus's own documents.")
@corpus_option()
@click.option("-n", "--limit", "count", type=click.IntRange(1), default=50, show_default=True, help="How many.")
@click.option("--output", metavar="FILE", type=FILE, help="Questions file to write (.jsonl, .md).  [default: stdout]")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only of this kind; repeatable.")
@click.option("-k", type=click.IntRange(1), default=10, show_default=True, help="Found means among the first K hits.")
@click.option("--llm", is_flag=True, help="Let the language model write some of them, too.")
@_SEED
@_FORCE
@format_option()
@pass_state
def generate(
    state: State,
    corpus: str,
    count: int,
    output: Path | None,
    kinds: tuple[str, ...],
    k: int,
    llm: bool,
    seed: int,
    force: bool,
    format_: str,
) -> None:
    """Make questions of a corpus's own documents, each checked by a search that finds its passage again.

    Without --output the questions go to stdout, one JSON object a line, and the summary to stderr.
    """
    from ragkit.evaluation import exchange, questions
    from ragkit.evaluation import generate as generation

    if output is not None:
        _refuse_reviewed(output, force)
    with state.engine() as engine:
        made = generation.generate(
            engine,
            corpus=corpus,
            count=count,
            seed=seed,
            k=k,
            kinds=kinds or KINDS,
            llm=llm,
            progress=engine.progress,
        )
    if output is None:
        click.echo(questions.to_lines(made.entries), nl=False)
        state.say(_generated_text(made))
        return
    exchange.write(output, made.entries, "text" if output.suffix in (".md", ".txt") else "jsonl")
    if format_ == "json":
        emit({"file": str(output), **_generated_json(made)})
    else:
        click.echo(f"{_generated_text(made)}\nwritten to {output}; look at them with `ragkit eval review {output}`")


def _refuse_reviewed(output: Path, force: bool) -> None:
    """What a person decided about is not written over unasked."""
    from ragkit.errors import RagkitError, UsageError
    from ragkit.evaluation import exchange

    if force or not output.is_file():
        return
    try:
        reviewed = sum(entry.review != "" for entry in exchange.read(output))
    except RagkitError:
        reviewed = 0
    if reviewed:
        raise UsageError(f"{output} has {reviewed} reviewed questions", "give another --output, or --force")


def _generated_json(made: Generated) -> dict[str, Any]:
    from ragkit.evaluation.questions import counts

    return {
        "corpus": made.corpus,
        "snapshot": made.snapshot,
        "seed": made.seed,
        "wanted": made.wanted,
        "questions": len(made.entries),
        "kinds": counts(entry.question.kind for entry in made.entries),
        "patterns": counts(str(entry.notes.get("pattern", "")) for entry in made.entries),
        "difficulty": counts(_level(entry) for entry in made.entries),
        "read": {"documents": made.documents, "passages": made.passages, "statements": made.facts},
        "dropped": dict(made.dropped),
        "seconds": round(made.seconds, 1),
    }


def _generated_text(made: Generated) -> str:
    data = _generated_json(made)
    short = f" of {made.wanted} wanted" if len(made.entries) < made.wanted else ""
    lines = [
        f"{len(made.entries)} questions{short} over corpus {made.corpus} in {made.seconds:.1f} s "
        f"({made.facts} statements in {made.passages} passages of {made.documents} documents)"
    ]
    for title, key in (("kinds", "kinds"), ("difficulty", "difficulty"), ("left out", "dropped")):
        lines += [f"{title}: {_listed(data[key])}"] if data[key] else []
    return "\n".join(lines)


def _listed(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in numbers.items())


def _level(entry: Entry) -> str:
    difficulty = entry.notes.get("difficulty")
    return str(difficulty.get("level", "")) if isinstance(difficulty, dict) else ""


# ---------------------------------------------------------------- show and review


@click.command(cls=Command, short_help="List a set's questions, or show one.")
@click.argument("file", type=PATH)
@click.argument("id", default="")
@click.option("--kind", help="Only questions of this kind.")
@format_option("jsonl")
@pass_state
def show(state: State, file: Path, id: str, kind: str | None, format_: str) -> None:
    """List the questions of FILE, or show the one with ID whole: its answer, places, quotes and notes."""
    from ragkit.errors import UsageError
    from ragkit.evaluation import exchange, questions

    entries = [entry for entry in exchange.read(file) if kind is None or entry.question.kind == kind]
    chosen = [entry for entry in entries if entry.question.id == id] if id else entries
    if id and not chosen:
        raise UsageError(f"{file} has no question {id}", f"`ragkit eval show {file}` lists them")
    rows = [questions.to_row(entry) for entry in chosen]
    if format_ == "json":
        emit(rows[0] if id else {"file": str(file), "questions": rows})
    elif format_ == "jsonl":
        emit_lines(rows)
    elif id:
        click.echo(_shown(chosen[0]))
    else:
        cells = [[e.question.id, e.question.kind, _level(e), e.review, _short(e.question.text)] for e in chosen]
        click.echo(table(cells, ("ID", "KIND", "LEVEL", "REVIEW", "QUESTION")))


def _short(text: str, width: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _shown(entry: Entry) -> str:
    """One question for a terminal: what it asks, what answers it, and where."""
    question = entry.question
    kind = " · ".join(part for part in (question.kind, str(entry.notes.get("pattern", "")), _level(entry)) if part)
    lines = [f"{question.id}  {kind}".rstrip(), "", f"  {question.text}", ""]
    if not question.answerable:
        lines.append("  nothing in the corpus answers it")
    if question.answer:
        lines += [f"  answer: {question.answer}", ""]
    for gold in question.relevant:
        lines.append(f"  {' > '.join((gold.path, *gold.heading))}")
        lines += [f"  | {line}" for line in gold.quote.split("\n")] if gold.quote else []
    if entry.review:
        lines += ["", f"  {entry.review}"]
    return "\n".join(lines)


@click.command(cls=Command, short_help="Go through a set's questions: accept, edit, reject.")
@click.argument("file", type=FILE)
@click.option("--all", "all_", is_flag=True, help="Also those that were decided before.")
@format_option()
@pass_state
def review(state: State, file: Path, all_: bool, format_: str) -> None:
    """Go through the questions of FILE that nobody has decided about: accept, edit, reject, skip, quit.

    FILE is written after each decision, so that nothing is lost and the next review goes on where this one ended.
    Rejected questions stay in it and are left out of evaluations.
    """
    from ragkit.evaluation import exchange
    from ragkit.evaluation.questions import counts

    file = exchange.file_of(file)
    entries = exchange.read(file)
    open_ = [at for at, entry in enumerate(entries) if all_ or not entry.review]
    for number, at in enumerate(open_, 1):
        click.echo(f"\n[{number} of {len(open_)}] {_shown(entries[at])}\n", err=True)
        decision = _decision()
        if decision == "q":
            break
        if decision == "s":
            continue
        if decision == "e":
            entries[at] = _edited(entries[at])
        entries[at] = entries[at].noting(review="rejected" if decision == "r" else "accepted")
        exchange.write(file, entries)
    found = counts(entry.review or "open" for entry in entries)
    if format_ == "json":
        emit({"file": str(file), "accepted": 0, "rejected": 0, "open": 0, **found})
    else:
        click.echo(_listed(found))


def _decision() -> str:
    """One of a, e, r, s, q. The end of the input quits, as q does."""
    try:
        found = click.prompt(
            "[a]ccept, [e]dit, [r]eject, [s]kip, [q]uit",
            type=click.Choice(["a", "e", "r", "s", "q"], case_sensitive=False),
            default="a",
            show_choices=False,
            err=True,
        )
    except click.Abort:
        click.echo(err=True)
        return "q"
    return str(found).lower()


def _edited(entry: Entry) -> Entry:
    """The question in other words; an empty line keeps what stands there."""
    question = entry.question
    text = click.prompt("question", default=question.text, show_default=False, err=True)
    answer = question.answer
    if question.answerable:
        answer = click.prompt("answer", default=question.answer, show_default=False, err=True)
    return dataclasses.replace(
        entry.noting(edited=True), question=dataclasses.replace(question, text=text.strip(), answer=answer.strip())
    )


# ---------------------------------------------------------------- validate


@click.command(cls=Command, short_help="Look for what is wrong with a set, and where its gold stands now.")
@click.argument("file", type=PATH)
@corpus_option("Also look for every gold place in this corpus.")
@click.option("--fix", is_flag=True, help="Write the places where they are now back to FILE.")
@format_option("jsonl")
@pass_state
def validate(state: State, file: Path, corpus: str, fix: bool, format_: str) -> None:
    """Look for duplicates, missing gold, empty answers, leaked questions and gold that moved, changed or is gone.

    Exits 1 when FILE has errors: the same question twice, or a passage that is gone.
    """
    from ragkit.errors import UsageError
    from ragkit.evaluation import exchange
    from ragkit.evaluation import validate as validation
    from ragkit.evaluation.anchors import moved

    if fix and not corpus:
        raise UsageError("--fix needs to know where the places are", "add --corpus NAME")
    file = exchange.file_of(file)
    entries = exchange.read(file)
    edited = list(validation.edited_quotes(exchange.raw_rows(file)))
    if corpus:
        with state.engine() as engine:
            found = validation.validate(entries, engine, corpus=corpus)
    else:
        found = validation.validate(entries)
    found = dataclasses.replace(found, problems=(*found.problems, *edited))
    if fix:
        exchange.write(file, moved(entries, found.anchors))
    data = {"file": str(file), "fixed": fix, **validation.to_json(found)}
    if format_ == "json":
        emit(data)
    elif format_ == "jsonl":
        emit_lines(data["problems"])
    else:
        click.echo(_validation_text(found, file, fix))
    if found.errors:
        click.get_current_context().exit(1)


def _validation_text(found: Validation, file: Path, fixed: bool) -> str:
    from ragkit.evaluation.questions import counts

    lines = [f"{found.questions} questions in {file}: {_listed(found.kinds)}"]
    if found.corpus:
        drift = counts(one.drift for one in found.anchors)
        lines.append(
            f"gold places in corpus {found.corpus}: {_listed(drift) or 'none'}" + ("; written back" if fixed else "")
        )
    if found.problems:
        rows = [[p.severity, p.problem, p.question_id, _short(p.detail)] for p in found.problems]
        lines += ["", table(rows, ("SEVERITY", "PROBLEM", "QUESTION", "DETAIL")), ""]
    warnings = len(found.problems) - found.errors
    lines.append(f"{found.errors} errors, {warnings} warnings")
    if not fixed and any(one.drift in ("moved", "changed") for one in found.anchors):
        lines.append(f"`ragkit eval validate {file} --corpus {found.corpus} --fix` writes the new places")
    return "\n".join(lines)


# ---------------------------------------------------------------- split, import, export


@click.command(cls=Command, short_help="Split a set in two that share no document.")
@click.argument("file", type=PATH)
@click.option("--dev", "share", type=float, default=0.5, show_default=True, help="Share of the first part.")
@_SEED
@click.option("--output", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Where to write.")
@format_option()
@pass_state
def split(state: State, file: Path, share: float, seed: int, output: Path | None, format_: str) -> None:
    """Split FILE into FILE-dev and FILE-test, which share no document and have the same mix of kinds."""
    from ragkit.evaluation import exchange
    from ragkit.evaluation import split as splitting
    from ragkit.evaluation.questions import counts, write

    file = exchange.file_of(file)
    entries = [entry for entry in exchange.read(file) if entry.review != "rejected"]
    folder, stem = (output or file.parent, file.stem) if file.is_file() else (output or file, "questions")
    parts = dict(zip(("dev", "test"), splitting.split(entries, share, seed), strict=True))
    rows: list[dict[str, Any]] = []
    for name, part in parts.items():
        path = folder / f"{stem}-{name}.jsonl"
        write(path, part)
        kinds = counts(entry.question.kind for entry in part)
        number = len(part)
        rows.append(
            {"part": name, "file": str(path), "questions": number, "documents": _documents(part), "kinds": kinds}
        )
    if format_ == "json":
        emit({"seed": seed, "share": share, "parts": rows})
        return
    cells = [[row["file"], row["questions"], row["documents"], _listed(row["kinds"])] for row in rows]
    click.echo(table(cells, ("FILE", "QUESTIONS", "DOCUMENTS", "KINDS")))


def _documents(entries: Sequence[Entry]) -> int:
    return len({gold.path for entry in entries for gold in entry.question.relevant})


@click.command("import", cls=Command, short_help="Read questions of another tool, or a text that was edited.")
@click.argument("source", type=PATH)
@_OUTPUT
@click.option("--from", "form", type=click.Choice(FORMS), help="Form of SOURCE.  [default: by its name]")
@click.option("--queries", metavar="FILE", type=FILE, help="The words of the queries of TREC judgements.")
@format_option()
@pass_state
def import_(state: State, source: Path, output: Path, form: str | None, queries: Path | None, format_: str) -> None:
    """Read the questions of SOURCE and write them as a questions file.

    SOURCE is a BEIR folder, TREC judgements, SQuAD, rows of RAGAS or Hugging Face (JSONL, JSON), CSV, or the text
    form that a person has edited.
    """
    from ragkit.evaluation import exchange

    entries = exchange.read(source, cast("Form | None", form), queries=queries)
    exchange.write(output, entries)
    _written(entries, output, exchange.form_of(output), format_)


@click.command(cls=Command, short_help="Write questions in the form of another tool, or as text to edit.")
@click.argument("file", type=PATH)
@_OUTPUT
@click.option(
    "--to", "form", type=click.Choice((*FORMS, "run")), help="Form to write.  [default: by the name of PATH]"
)
@corpus_option("BEIR: write this corpus's documents, too.")
@format_option()
@pass_state
def export(state: State, file: Path, output: Path, form: str | None, corpus: str, format_: str) -> None:
    """Write the questions of FILE in another form: BEIR, TREC, SQuAD, RAGAS, CSV, text.

    With --to run, FILE is a report of `ragkit eval retrieval --out`, and its rankings are written as TREC has them.
    """
    from ragkit.evaluation import exchange, trec

    if form == "run":
        queries = trec.write_run(output, file)
        if format_ == "json":
            emit({"file": str(output), "form": "run", "questions": queries})
        else:
            click.echo(f"rankings of {queries} questions written to {output}")
        return
    entries = exchange.read(file)
    chosen = cast("Form", form) if form else exchange.form_of(output)
    if corpus and chosen == "beir":
        with state.engine() as engine:
            snapshot = engine.store.current_snapshot(engine.status(corpus).corpus.name)
            documents = (engine.store.document(record.id) for record in engine.store.documents(snapshot))
            exchange.write(output, entries, chosen, documents=documents)
    else:
        exchange.write(output, entries, chosen)
    _written(entries, output, chosen, format_)


def _written(entries: Sequence[Entry], output: Path, form: str, format_: str) -> None:
    from ragkit.evaluation.questions import counts

    kinds = counts(entry.question.kind for entry in entries)
    if format_ == "json":
        emit({"file": str(output), "form": form, "questions": len(entries), "kinds": kinds})
    else:
        click.echo(f"{len(entries)} questions ({_listed(kinds)}) written to {output} as {form}")


COMMANDS = (generate, review, show, validate, split, import_, export)

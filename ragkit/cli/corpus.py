"""`ragkit corpus`: what has been ingested."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, get_args

import click

from ragkit.choices import Outcome
from ragkit.cli.common import Group, State, emit, emit_lines, pass_state, table
from ragkit.cli.options import format_option
from ragkit.errors import RagkitError, UsageError

if TYPE_CHECKING:
    from ragkit.store import CorpusStatus


@click.group(cls=Group, default="list")
def corpus() -> None:
    """What has been ingested: list, show, status, remove."""


@corpus.command("list")
@format_option("jsonl")
@pass_state
def list_(state: State, format_: str) -> None:
    """Every corpus, with its size and age."""
    with state.engine() as engine:
        rows = [_json(status) for status in engine.corpora()]
    if format_ == "json":
        emit({"corpora": rows})
    elif format_ == "jsonl":
        emit_lines(rows)
    elif rows:
        shown = (
            [r["name"], r["documents"], r["chunks"], r["snapshot"] or "-", r["published_at"] or "-"] for r in rows
        )
        click.echo(table(shown, ["CORPUS", "DOCUMENTS", "CHUNKS", "SNAPSHOT", "PUBLISHED"]))
    else:
        state.say("no corpus yet; run `ragkit ingest PATH`")


@corpus.command()
@click.argument("name", default="")
@format_option("jsonl")
@pass_state
def show(state: State, name: str, format_: str) -> None:
    """The documents of a corpus."""
    with state.engine() as engine:
        status = engine.status(name)
        documents = list(engine.store.documents(status.snapshot)) if status.snapshot else []
    rows = [{"path": d.path, "title": d.title, "format": d.format, "size": d.size} for d in documents]
    if format_ == "json":
        emit({**_json(status), "files": rows})
    elif format_ == "jsonl":
        emit_lines(rows)
    else:
        click.echo(table(([r["path"], r["format"], r["title"]] for r in rows), ["PATH", "FORMAT", "TITLE"]))


@corpus.command()
@click.argument("name", default="")
@click.option("--duplicates", is_flag=True, help="Instead, list the passages that say nearly the same.")
@click.option("--acronyms", is_flag=True, help="Instead, list the acronyms that the documents introduce.")
@click.option(
    "--outcome", multiple=True, type=click.Choice(get_args(Outcome)), help="Only these files. May be repeated."
)
@format_option("jsonl")
@pass_state
def status(state: State, name: str, duplicates: bool, acronyms: bool, outcome: tuple[str, ...], format_: str) -> None:
    """What the latest ingest did with each file, and why."""
    if sum(map(bool, (duplicates, acronyms, outcome))) > 1:
        raise UsageError("--duplicates, --acronyms and --outcome list different things", "give one of them")
    if duplicates:
        _duplicates(state, name, format_)
        return
    if acronyms:
        _acronyms(state, name, format_)
        return
    with state.engine() as engine:
        at = engine.status(name)
        ledger = engine.ledger(name, outcome)
        versions: dict[str, int] = {}
        with suppress(RagkitError):  # what is wrong with an index, `ragkit doctor` says
            versions = engine.doc_versions(at.corpus.name)
    rows = [{"path": r.path, "outcome": r.outcome, "reason": r.reason, "chunks": r.chunks} for r in ledger]
    if format_ == "json":
        emit({**_json(at), "doc_versions": versions, "ledger": rows})
    elif format_ == "jsonl":
        emit_lines(rows)
    else:
        _print_status(at, versions)
        shown = [r for r in rows if outcome or r["outcome"] != "unchanged"]
        if shown:
            click.echo()
            click.echo(table(([r["outcome"], r["path"], r["reason"]] for r in shown), ["OUTCOME", "PATH", "REASON"]))


def _duplicates(state: State, name: str, format_: str) -> None:
    """The groups of near-duplicates, the largest first."""
    from ragkit import render

    with state.engine() as engine:
        at = engine.status(name)
        groups = engine.duplicates(name)
    rows = [render.duplicates_json(group) for group in groups]
    if format_ == "json":
        emit({**_json(at), "duplicates": rows})
    elif format_ == "jsonl":
        emit_lines(rows)
    elif groups:
        click.echo(render.duplicates_text(groups))
    else:
        state.say("no two passages say nearly the same")


def _acronyms(state: State, name: str, format_: str) -> None:
    """Each short form with its long one, the commonest first."""
    with state.engine() as engine:
        at = engine.status(name)
        found = engine.acronyms(name)
    rows = [{"short": one.short, "long": one.long, "chunks": one.chunks} for one in found]
    if format_ == "json":
        emit({**_json(at), "acronyms": rows})
    elif format_ == "jsonl":
        emit_lines(rows)
    elif rows:
        click.echo(table((row.values() for row in rows), ["SHORT", "LONG", "CHUNKS"]))
    else:
        state.say("no document introduces an acronym")


@corpus.command()
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@pass_state
def remove(state: State, name: str, yes: bool) -> None:
    """Delete a corpus and its index. The documents themselves are not touched."""
    with state.engine() as engine:
        at = engine.status(name)
        if not yes:
            chunks = at.snapshot.chunks if at.snapshot else 0
            click.confirm(f"Delete corpus {at.corpus.name} ({chunks} chunks)?", abort=True, err=True)
        engine.remove(at.corpus.name)
    state.say(f"corpus {name} removed")


def _json(status: CorpusStatus) -> dict[str, Any]:
    snapshot, last = status.snapshot, status.last_ingest
    return {
        "name": status.corpus.name,
        "roots": [root.path for root in status.corpus.roots],
        "about": dict(status.corpus.about),
        "snapshot": snapshot.name if snapshot else None,
        "published_at": snapshot.created_at if snapshot else None,
        "documents": snapshot.documents if snapshot else 0,
        "chunks": snapshot.chunks if snapshot else 0,
        "embedder": snapshot.embedder if snapshot else None,
        "formats": dict(status.formats),
        "unfinished": status.unfinished,
        "last_ingest": {"started_at": last.started_at, "state": last.state, "counts": dict(last.counts)}
        if last
        else None,
    }


def _print_status(status: CorpusStatus, versions: Mapping[str, int]) -> None:
    rows = _json(status)
    last = rows["last_ingest"]
    counts = ", ".join(f"{count} {what}" for what, count in last["counts"].items() if count) if last else "-"
    lines = [
        ("corpus", rows["name"]),
        ("folders", ", ".join(rows["roots"]) or "-"),
        ("snapshot", f"{rows['snapshot']}, published {rows['published_at']}" if rows["snapshot"] else "none yet"),
        ("documents", f"{rows['documents']} ({', '.join(f'{n} {f}' for f, n in rows['formats'].items())})"),
        ("chunks", rows["chunks"]),
        *([("versions", ", ".join(f"{one} ({n})" for one, n in versions.items()))] if versions else []),
        ("embedder", rows["embedder"] or "-"),
        ("last ingest", f"{last['state']}, {last['started_at']}: {counts}" if last else "-"),
    ]
    click.echo(table(lines))
    if rows["unfinished"]:
        click.echo(f"an interrupted ingest waits; run `ragkit ingest --corpus {rows['name']}`", err=True)

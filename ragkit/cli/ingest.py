"""`ragkit ingest`: read folders into a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragkit.cli.common import Command, State, emit, emit_lines, pass_state, table
from ragkit.cli.options import PATH, corpus_option, format_option

if TYPE_CHECKING:
    from ragkit.domain.corpora import IngestReport


@click.command(cls=Command)
@click.argument("paths", nargs=-1, type=PATH)
@corpus_option("Corpus to fill; the folder's name unless given.")
@click.option("--include", multiple=True, metavar="GLOB", help="Read only files that match. May be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out files that match. May be repeated.")
@click.option("--max-file-size", type=float, metavar="MB", help="Skip larger files.")
@click.option(
    "--rebuild", is_flag=True, help="Read, chunk and index every file again; vectors of known text are kept."
)
@click.option("--strict", is_flag=True, help="Exit 1 if any file failed.")
@format_option("jsonl")
@pass_state
def ingest(
    state: State,
    paths: tuple[Path, ...],
    corpus: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    max_file_size: float | None,
    rebuild: bool,
    strict: bool,
    format_: str,
) -> int:
    """Read files and folders into a corpus, and publish it.

    Only what changed is read again. Without PATHS, the corpus's own folders are looked at once more.

    \b
    ragkit ingest docs/
    ragkit ingest manual.pdf notes/ --corpus handbook
    ragkit ingest --corpus handbook
    """
    state.override("ingest.include", ",".join(include) if include else None)
    state.override("ingest.exclude", ",".join(exclude) if exclude else None)
    state.override("ingest.max_file_size_mb", max_file_size)
    with state.engine() as engine:
        report = engine.ingest(paths, corpus=corpus, rebuild=rebuild)
    if format_ == "json":
        from ragkit import render

        emit(render.ingest_json(report))
    elif format_ == "jsonl":
        emit_lines(
            {"path": r.path, "outcome": r.outcome, "reason": r.reason, "chunks": r.chunks} for r in report.rows
        )
    else:
        _print(report, state)
    return 1 if strict and report.counts.get("failed") else 0


def _print(report: IngestReport, state: State) -> None:
    from ragkit import render

    click.echo(render.ingest_text(report))
    for notice in report.notices:
        state.say(notice)
    shown = [row for row in report.rows if row.outcome == "failed" or (state.verbose and row.outcome != "unchanged")]
    if shown and not state.quiet:
        click.echo(table((row.outcome, row.path, row.reason) for row in shown), err=True)
    if report.counts.get("skipped") and not state.verbose:
        state.say(f"why files were skipped: ragkit corpus status {report.corpus}")

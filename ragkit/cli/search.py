"""`ragkit search` and `ragkit show`: the passages themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ragkit.cli.common import Command, State, color_wanted, emit, emit_lines, pass_state, terminal_width
from ragkit.cli.options import (
    corpus_option,
    doc_version_option,
    expand_option,
    expansion_option,
    filter_option,
    format_option,
    mode_option,
    no_rerank_option,
    no_spelling_option,
    split_place,
)
from ragkit.errors import UsageError

if TYPE_CHECKING:
    from ragkit.choices import Expand, ExpansionMethod, Mode


@click.command(cls=Command)
@click.argument("query")
@corpus_option()
@click.option("-n", "--limit", type=click.IntRange(1), help="How many hits.  [default: 10]")
@mode_option
@no_rerank_option
@expand_option("Show each hit with the passages beside it, or with its section.", "none")
@no_spelling_option("Search for every word as it is written.")
@click.option(
    "--explain", is_flag=True, help="Show why: stages, terms, the sentence that counts, near misses, times."
)
@filter_option("Only documents that match; repeatable.")
@doc_version_option
@expansion_option
@format_option("jsonl", "md")
@pass_state
def search(
    state: State,
    query: str,
    corpus: str,
    limit: int | None,
    mode: Mode | None,
    no_rerank: bool,
    expand: Expand,
    no_spelling: bool,
    explain: bool,
    filters: tuple[str, ...],
    doc_version: str,
    expansion: ExpansionMethod | None,
    format_: str,
) -> None:
    """Find the passages that answer QUERY. A "quoted phrase" must match.

    Filters: path=GLOB, type=FORMAT, title=TEXT, date>=YYYY-MM-DD, or any front-matter key.
    """
    from ragkit import render

    if no_spelling:
        state.override("retrieve.spelling", False)
    with state.engine() as engine:
        result = engine.search(
            query,
            corpus=corpus,
            limit=limit,
            mode=mode,
            rerank=False if no_rerank else None,
            filters=filters,
            doc_version=doc_version,
            expand=expand,
            expansion=expansion,
            explain=explain,
        )
    for notice in result.notices:
        state.say(notice)
    if format_ == "json":
        emit(render.search_json(result, explain=explain))
    elif format_ == "jsonl":
        emit_lines(render.search_json(result, explain=explain)["hits"])
    elif format_ == "md":
        click.echo(render.search_markdown(result, explain=explain))
    elif result.hits:
        click.echo(render.search_text(result, color=color_wanted(), explain=explain, width=terminal_width()))
    else:
        state.say("no passage matches")


@click.command(cls=Command)
@click.argument("place")
@corpus_option()
@format_option()
@pass_state
def show(state: State, place: str, corpus: str, format_: str) -> None:
    """Print lines of an ingested document, as a citation names them.

    PLACE is a path, path:L3-L9 or path:3-9; for PDF pages path:p4.
    """
    from ragkit.domain import location

    path, first, last, mark = split_place(place)
    with state.engine() as engine:
        excerpt = engine.show(path, first, last, corpus=corpus)
    cited = location(path, first or 1, last or 1, excerpt.unit)
    if mark and not cited.removeprefix(f"{path}:").startswith(mark):
        raise UsageError(f"{place} is no place of it: {path} is cited by the {excerpt.unit}", f"ask for {cited}")
    if format_ == "json":
        emit({"path": path, "start_line": excerpt.start_line, "end_line": excerpt.end_line, "text": excerpt.text})
    else:
        click.echo(excerpt.text)

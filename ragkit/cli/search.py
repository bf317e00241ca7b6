"""`ragkit search` and `ragkit show`: the passages themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from ragkit.cli.common import (
    Command,
    State,
    color_wanted,
    doc_version_option,
    emit,
    emit_lines,
    expansion_option,
    format_option,
    pass_state,
    terminal_width,
)

if TYPE_CHECKING:
    from ragkit.domain import Expand, ExpansionMethod, Mode


@click.command(cls=Command)
@click.argument("query")
@click.option("--corpus", default="", metavar="NAME", help="Which corpus; not needed when there is only one.")
@click.option("-n", "--limit", type=click.IntRange(1), help="How many hits.  [default: 10]")
@click.option("--mode", type=click.Choice(["hybrid", "dense", "lexical"]), help="Which indexes answer.")
@click.option("--no-rerank", is_flag=True, help="Leave the order to fusion.")
@click.option(
    "--expand",
    type=click.Choice(["none", "neighbours", "section"]),
    default="none",
    show_default=True,
    help="Show each hit with the passages beside it, or with its section.",
)
@click.option("--no-spelling", is_flag=True, help="Search for every word as it is written.")
@click.option(
    "--explain", is_flag=True, help="Show why: stages, terms, the sentence that counts, near misses, times."
)
@click.option(
    "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only documents that match; repeatable."
)
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
        click.echo(render.search_markdown(result))
    elif result.hits:
        click.echo(render.search_text(result, color=color_wanted(), explain=explain, width=terminal_width()))
    else:
        state.say("no passage matches")


@click.command(cls=Command)
@click.argument("place")
@click.option("--corpus", default="", metavar="NAME", help="Which corpus; not needed when there is only one.")
@format_option()
@pass_state
def show(state: State, place: str, corpus: str, format_: str) -> None:
    """Print lines of an ingested document, as a citation names them.

    PLACE is a path, path:L3-L9 or path:3-9; for PDF pages path:p4.
    """
    path, first, last = _place(place)
    with state.engine() as engine:
        excerpt = engine.show(path, first, last, corpus=corpus)
    if format_ == "json":
        emit({"path": path, "start_line": excerpt.start_line, "end_line": excerpt.end_line, "text": excerpt.text})
    else:
        click.echo(excerpt.text)


def _place(place: str) -> tuple[str, int | None, int | None]:
    """Split `path:L3-L9`.

    >>> _place("a/b.md:L3-L9"), _place("b.pdf:p4"), _place("c.md")
    (('a/b.md', 3, 9), ('b.pdf', 4, 4), ('c.md', None, None))
    """
    match = re.fullmatch(r"(.+?):(?:L|p|cell|¶)?(\d+)(?:-(?:L|p|cell|¶)?(\d+))?", place)
    if not match:
        return place, None, None
    first = int(match[2])
    return match[1], first, int(match[3]) if match[3] else first

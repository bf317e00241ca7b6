"""Options that several commands have, each spelt once, and the place in a document that some take as an argument.

Knows click; knows nothing of what the commands do with them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import click

from ragkit.choices import Expand, ExpansionMethod, Mode
from ragkit.cli.common import F
from ragkit.errors import UsageError

PATH = click.Path(path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


def format_option(*choices: str) -> Callable[[F], F]:
    """`--format`, with `choices` in addition to text and json."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(("text", "json", *choices)),
        default="text",
        show_default=True,
        help="How stdout is written.",
    )


# ---------------------------------------------------------------- what is asked, and of what

ONLY_ONE = "Which corpus; not needed when there is only one."
OF_A_SET = "Which corpus; a BEIR set brings its own."


def corpus_option(help_: str = ONLY_ONE) -> Callable[[F], F]:
    """`--corpus`."""
    return click.option("--corpus", default="", metavar="NAME", help=help_)


def dataset_option(help_: str, metavar: str = "PATH") -> Callable[[F], F]:
    """`--dataset`, which has to be named."""
    return click.option("--dataset", required=True, metavar=metavar, type=PATH, help=help_)


def first_option(of: str = "questions") -> Callable[[F], F]:
    """`--limit`, where it leaves the rest of a file out."""
    return click.option("-n", "--limit", type=click.IntRange(1), help=f"Only the first so many {of}.")


def filter_option(help_: str) -> Callable[[F], F]:
    """`--filter`, which documents are searched."""
    return click.option("--filter", "filters", multiple=True, metavar="KEY=VALUE", help=help_)


def _named(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """What was asked for; nothing at all is no version, and leaving the option out is."""
    if value is not None and not value.strip():
        raise UsageError("--doc-version names no version", 'write 1.29, ">=1.28, <1.30", latest or all')
    return value or ""


doc_version_option = click.option(
    "--doc-version",
    metavar="VERSION",
    callback=_named,
    help='Only documents of this version: 1.29, ">=1.28, <1.30", latest, or all.',
)

# ---------------------------------------------------------------- how it is searched and answered

mode_option = click.option("--mode", type=click.Choice(get_args(Mode)), help="Which indexes answer.")
no_rerank_option = click.option("--no-rerank", is_flag=True, help="Leave the order to fusion.")
no_llm_option = click.option("--no-llm", is_flag=True, help="Answer with the best sentences; no language model.")
expansion_option = click.option(
    "--query-expansion",
    "expansion",
    type=click.Choice(get_args(ExpansionMethod)),
    help="Ask for more than the query says; docs/search.md tells what each adds.",
)
rank_metrics_option = click.option(
    "--metric", "names", multiple=True, metavar="NAME", help="Such as Recall@20 or MAP; repeatable."
)


judge_option = click.option(
    "--judge-model", metavar="MODEL", help="Whom the engines logits and judge ask.  [default: the generator]"
)


def model_option(help_: str = "Generator: a catalogue name, hub:..., path:FILE.") -> Callable[[F], F]:
    """`--model`, the language model."""
    return click.option("-m", "--model", metavar="MODEL", help=help_)


def expand_option(help_: str, default: Expand | None = None) -> Callable[[F], F]:
    """`--expand`, what comes with each hit."""
    return click.option(
        "--expand", type=click.Choice(get_args(Expand)), default=default, show_default=default is not None, help=help_
    )


def no_spelling_option(help_: str) -> Callable[[F], F]:
    """`--no-spelling`."""
    return click.option("--no-spelling", is_flag=True, help=help_)


def chunk_size_option(help_: str) -> Callable[[F], F]:
    """`--chunk-size`, the sizes that are tried."""
    return click.option(
        "--chunk-size",
        "chunk_sizes",
        multiple=True,
        type=click.IntRange(16),
        metavar="TOKENS",
        help=help_,
    )


# ---------------------------------------------------------------- a place


class Place(NamedTuple):
    """Where a citation points: lines of a file, or what else is counted in it, "" for whatever that is."""

    path: str
    first: int | None = None
    last: int | None = None
    mark: str = ""


def split_place(text: str) -> Place:
    """Split `path:L3-L9`, as citations write it, or as a person would.

    >>> split_place("a/b.md:L3-L9")[:3], split_place("b.pdf:p4")[:3], split_place("c.md")[:3]
    (('a/b.md', 3, 9), ('b.pdf', 4, 4), ('c.md', None, None))
    """
    match = re.fullmatch(r"(?P<path>.+?):(?P<mark>L|p|cell|¶)?(?P<first>\d+)(?:-(?:L|p|cell|¶)?(?P<last>\d+))?", text)
    if not match:
        return Place(text)
    return Place(match["path"], int(match["first"]), int(match["last"] or match["first"]), match["mark"] or "")

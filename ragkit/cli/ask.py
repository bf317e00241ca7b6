"""`ragkit ask` and `ragkit chat`: answers with their proof."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ragkit.cli.common import Command, State, color_wanted, emit, pass_state, terminal_width
from ragkit.cli.options import (
    corpus_option,
    doc_version_option,
    expand_option,
    expansion_option,
    filter_option,
    format_option,
    model_option,
    no_llm_option,
    no_spelling_option,
)
from ragkit.errors import ABSTAINED, ANSWERED, UNSUPPORTED

if TYPE_CHECKING:
    from ragkit.domain.answers import Answer, Message


def _generation_options(function: Any) -> Any:
    for option in reversed(
        (
            corpus_option(),
            model_option(),
            no_llm_option,
            filter_option("As for search."),
            doc_version_option,
            expansion_option,
            expand_option("Give the model each hit with the passages beside it, or with its section."),
            no_spelling_option("As for search."),
            click.option("--max-tokens", type=click.IntRange(1), help="Longest answer in tokens."),
            click.option("--temperature", type=click.FloatRange(0), help="0 is greedy and reproducible."),
            click.option("--top-k", type=click.IntRange(1), help="Sample among this many tokens."),
            click.option("--top-p", type=click.FloatRange(0, 1), help="Sample within this probability mass."),
            click.option("--seed", type=int, help="Seed of the sampler."),
        )
    ):
        function = option(function)
    return function


def _apply(state: State, options: dict[str, Any]) -> None:
    if options.pop("no_llm"):
        state.override("generate.backend", "extractive")
    if options.pop("no_spelling"):
        state.override("retrieve.spelling", False)
    state.override("context.expand", options.pop("expand"))
    state.override("retrieve.expansion", options.pop("expansion"))
    for key in ("model", "max_tokens", "temperature", "top_k", "top_p", "seed"):
        state.override(f"generate.{key}", options.pop(key))


@click.command(cls=Command, short_help="Answer a question, each sentence with its proof.")
@click.argument("question")
@_generation_options
@click.option("--show-context", is_flag=True, help="Also print, on stderr, the passages that the model was shown.")
@format_option("jsonl", "md")
@pass_state
def ask(
    state: State, question: str, corpus: str, doc_version: str, show_context: bool, format_: str, **options: Any
) -> int:
    """Answer QUESTION from the documentation, each sentence with the lines that prove it.

    \b
    Exit codes: 0 answered, 3 the documentation does not answer it, 4 some claim was unsupported.
    """
    filters = options.pop("filters")
    _apply(state, options)
    with state.engine() as engine:
        live = _Live(state)
        answer = engine.ask(question, corpus=corpus, filters=filters, doc_version=doc_version, on_text=live)
        live.wipe()
    _print_answer(state, answer, format_, show_context)
    return exit_code(answer)


@click.command(cls=Command, short_help="Ask one question after another.")
@_generation_options
@pass_state
def chat(state: State, corpus: str, doc_version: str, **options: Any) -> None:
    """Ask one question after another; follow-ups are understood from the conversation.

    An empty line or Ctrl-D ends it. /new forgets the conversation.
    """
    from ragkit.domain.answers import Message

    filters = options.pop("filters")
    _apply(state, options)
    history: list[Message] = []
    with state.engine() as engine:
        state.say("Ask about the documentation. Empty line to leave, /new to start afresh.")
        while question := _read_line():
            if question == "/new":
                history.clear()
                continue
            live = _Live(state)
            answer = engine.ask(
                question, corpus=corpus, filters=filters, doc_version=doc_version, history=history, on_text=live
            )
            live.wipe()
            _print_answer(state, answer, "text", show_context=False)
            history += [Message("user", question), Message("assistant", answer.text)]


def exit_code(answer: Answer) -> int:
    """0 answered, 3 abstained, 4 partial."""
    return {"answered": ANSWERED, "partial": UNSUPPORTED, "abstained": ABSTAINED}[answer.status]


def _read_line() -> str:
    try:
        prompt = "\n> " if sys.stdin.isatty() else ""
        return input(prompt).strip()
    except EOFError:
        return ""


class _Live:
    """Shows the draft on a terminal's stderr while it is written; wiped once the checked answer is there."""

    def __init__(self, state: State) -> None:
        self.on = sys.stderr.isatty() and not state.quiet
        self.written = ""

    def __call__(self, piece: str) -> None:
        if self.on:
            self.written += piece
            click.echo(click.style(piece, dim=True), err=True, nl=False)

    def wipe(self) -> None:
        if self.written:
            _wipe(self.written)
            self.written = ""


def _wipe(written: str) -> None:
    import shutil

    width = max(1, shutil.get_terminal_size().columns)
    rows = sum(max(1, -(-len(line) // width)) for line in written.split("\n"))
    click.echo("\r" + "\x1b[2K\x1b[1A" * (rows - 1) + "\x1b[2K", err=True, nl=False)


def _print_answer(state: State, answer: Answer, format_: str, show_context: bool) -> None:
    import json

    from ragkit import render

    for notice in answer.notices:
        state.say(notice)
    if show_context and format_ == "text":
        click.echo(render.context_text(answer.context), err=True)
    if format_ == "json":
        emit(render.answer_json(answer, show_context=show_context))
    elif format_ == "jsonl":
        click.echo(json.dumps(render.answer_json(answer, show_context=show_context), ensure_ascii=False))
    elif format_ == "md":
        click.echo(render.answer_markdown(answer))
    else:
        click.echo(render.answer_text(answer, color=color_wanted(), width=terminal_width()))

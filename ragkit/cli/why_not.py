"""`ragkit why-not`: the autopsy of one passage."""

from __future__ import annotations

import click

from ragkit.cli.common import Command, State, emit, pass_state
from ragkit.cli.options import corpus_option, format_option, no_llm_option, split_place


@click.command("why-not", cls=Command, short_help="Say why a passage did not answer a question.")
@click.argument("question")
@click.argument("place")
@corpus_option()
@click.option("--no-answer", is_flag=True, help="Search only: do not ask whether the passage is shown and cited.")
@no_llm_option
@format_option()
@pass_state
def why_not(
    state: State, question: str, place: str, corpus: str, no_answer: bool, no_llm: bool, format_: str
) -> None:
    """Say why the passage at PLACE did not answer QUESTION: which stage lost it, and by how much.

    PLACE is a path, path:12 or path:L3-L9, as citations name it.
    """
    from ragkit.evaluation import autopsy

    state.override("generate.backend", "extractive" if no_llm else None)
    path, first, last, _ = split_place(place)
    with state.engine() as engine:
        found = autopsy.examine(engine, question, path, first, last, corpus=corpus, answer=not no_answer)
    if format_ == "json":
        emit(autopsy.to_json(found))
        return
    click.echo(autopsy.to_text(found))
    if found.hint:
        state.say(f"  try: {found.hint}")

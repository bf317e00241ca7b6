"""`ragkit eval`: measure retrieval and answers on labelled questions."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ragkit.choices import FaithfulnessEngine
from ragkit.cli import eval_data, eval_runs
from ragkit.cli.common import Group, State, emit, emit_lines, pass_state, progress_bars
from ragkit.cli.options import (
    FILE,
    OF_A_SET,
    PATH,
    chunk_size_option,
    corpus_option,
    dataset_option,
    first_option,
    format_option,
    judge_option,
    mode_option,
    model_option,
    no_llm_option,
    no_rerank_option,
    rank_metrics_option,
)

if TYPE_CHECKING:
    from ragkit.choices import Mode
    from ragkit.evaluation.datasets import Dataset, Level
    from ragkit.evaluation.report import Report

_DATASET = dataset_option("A folder in BEIR layout, or a JSONL file of questions over an ingested corpus.")
_CORPUS = corpus_option(OF_A_SET)
_FIRST = first_option()
_OUT = click.option(
    "--out",
    metavar="FILE",
    type=FILE,
    help="Also write the report as JSON to FILE.",
)

_ENGINE = click.option(
    "--faithfulness-engine",
    "engine_name",
    type=click.Choice(get_args(FaithfulnessEngine)),
    default="fast",
    show_default=True,
    help="fast: terms, vectors, exact words; words: word by word, by a small network; nli: a cross-encoder for "
    "entailment; logits: the language model's odds of Yes, too; judge: its Yes or No.",
)


@click.group("eval", cls=Group)
def eval_() -> None:
    """Measure retrieval and answers on labelled questions."""


for _command in (*eval_runs.COMMANDS, *eval_data.COMMANDS):
    eval_.add_command(_command)


@eval_.command(short_help="Search for every question and score the rankings.")
@_DATASET
@_CORPUS
@_FIRST
@click.option("-k", "cutoff", type=click.IntRange(1), default=10, show_default=True, help="Length of the rankings.")
@rank_metrics_option
@mode_option
@no_rerank_option
@click.option("--level", type=click.Choice(["document", "passage"]), help="What is ranked.  [default: the finest]")
@click.option(
    "--embedder",
    "embedders",
    multiple=True,
    metavar="MODEL",
    help="Embed with it; several are compared, each indexed.",
)
@format_option("jsonl", "md")
@_OUT
@pass_state
def retrieval(
    state: State,
    dataset: Path,
    corpus: str,
    limit: int | None,
    cutoff: int,
    names: tuple[str, ...],
    mode: Mode | None,
    no_rerank: bool,
    level: Level | None,
    embedders: tuple[str, ...],
    format_: str,
    out: Path | None,
) -> None:
    """Search for every question and score the rankings: nDCG, recall, MRR, MAP with their intervals.

    Several embedders are compared over the same questions, the first with the others. Each keeps its own index.
    """
    from ragkit.evaluation import datasets, metrics, run

    data = datasets.load(dataset, limit)
    rerank = False if no_rerank else None
    names = names or tuple(metrics.retrieval_names(cutoff))
    asked: dict[str, Any] = {"mode": mode, "rerank": rerank, "names": names, "level": level}
    if embedders:
        _embedders(state, embedders, data, corpus, format_, out, asked)
        return
    with state.engine() as engine:
        if data.corpus_file is not None and not corpus:
            corpus = run.prepare_corpus(engine, data)
        report = run.run_retrieval(engine, data, corpus=corpus, progress=engine.progress, **asked)
    _show(report, format_, out)


@eval_.command(short_help="Score the run of any system, as TREC writes it.")
@click.argument("run", type=FILE)
@dataset_option("The questions, or a folder in BEIR layout.")
@rank_metrics_option
@format_option("jsonl", "md")
def score(run: Path, dataset: Path, names: tuple[str, ...], format_: str) -> None:
    """Score RUN, the rankings of any system as TREC writes them: `query Q0 document rank score tag`."""
    from ragkit.evaluation import datasets, metrics, trec

    rankings = trec.read_run(run)
    _show(trec.score_run(rankings, datasets.load(dataset), name=run.stem, names=names or metrics.RETRIEVAL), format_)


@eval_.command(short_help="Ask every question and score the answers.")
@_DATASET
@_CORPUS
@_FIRST
@no_llm_option
@model_option()
@click.option("--metric", "names", multiple=True, metavar="NAME", help="Only this metric; repeatable.")
@_ENGINE
@judge_option
@format_option("jsonl", "md")
@_OUT
@pass_state
def answers(
    state: State,
    dataset: Path,
    corpus: str,
    limit: int | None,
    no_llm: bool,
    model: str | None,
    names: tuple[str, ...],
    engine_name: str,
    judge_model: str | None,
    format_: str,
    out: Path | None,
) -> None:
    """Ask every question and score the answers: faithfulness, correctness, context, citations, refusals, costs.

    Faithfulness is always that of the engine fast; another engine adds FaithfulnessWords, -NLI, -Logits or -Judge.
    """
    from ragkit.evaluation import datasets, run

    data = datasets.load(dataset, limit)
    state.override("verify.unsupported", "mark")  # what was written is measured, not what would be shown of it
    state.override("generate.backend", "extractive" if no_llm else None)
    state.override("generate.model", model)
    state.override("verify.judge_model", judge_model)
    with state.engine() as engine:
        if data.corpus_file is not None and not corpus:
            corpus = run.prepare_corpus(engine, data)
        report = run.run_answers(
            engine, data, corpus=corpus, names=names, faithfulness_engine=engine_name, progress=engine.progress
        )
    _show(report, format_, out)


@eval_.command(short_help="Compare the metrics with human labels.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=PATH)
@_ENGINE
@judge_option
@first_option("items of each file")
@click.option("--fresh", is_flag=True, help="Ask the language model again what it was asked already.")
@format_option("jsonl", "md")
@pass_state
def agreement(
    state: State,
    files: tuple[Path, ...],
    engine_name: str,
    judge_model: str | None,
    limit: int | None,
    fresh: bool,
    format_: str,
) -> None:
    """Compare the faithfulness check, or the correctness of answers, with human labels: balanced accuracy, AUROC,
    F1, kappa, correlations.

    FILE holds one JSON object a line: claims with context, claim, label (1: supported) and, if there is one,
    question; or answers with question, reference, answer, label (1: right); or pairs of answers with other, too.
    What a language model said is kept in the store: interrupted, the same command goes on.
    """
    from ragkit.evaluation import agreement as agreements
    from ragkit.evaluation import judged
    from ragkit.verify import ASKING

    state.override("verify.judge_model", judge_model)
    answered = {path for path in files if judged.holds_judged(path)}
    claims = [(path.stem, agreements.load_items(path, limit)) for path in files if path not in answered]
    answers = [(path.stem, judged.load_judged(path, limit)) for path in files if path in answered]
    with state.engine() as engine:
        progress, settings = engine.progress, engine.settings
        found = [
            agreements.measure(
                engine, items, name=name, faithfulness_engine=engine_name, fresh=fresh, progress=progress
            )
            for name, items in claims
        ]
        compared = judged.metrics(engine.embedder, settings.lexical.language) if answers else {}
        beside = [judged.measure(items, compared, name=name, progress=progress) for name, items in answers]
        asked = engine.judge if claims and engine_name in ASKING else None
        own = settings.verify.nli_model if engine_name == "nli" else settings.embed.model
        used = asked.name if asked else own
    data = agreements.to_json(
        found, engine=engine_name, model=used, threshold=settings.verify.min_support, judged=beside
    )
    _show_table(format_, data, data["sets"], partial(agreements.to_table, data))


@eval_.command(short_help="Compare ways to cut documents into chunks.")
@dataset_option("A folder with questions_df.csv or questions.jsonl, and its documents in corpora/ or docs/.", "DIR")
@_FIRST
@click.option(
    "--strategy",
    "strategies",
    multiple=True,
    type=click.Choice(["markdown", "recursive", "sentence", "fixed", "semantic"]),
    help="Repeatable.  [default: all]",
)
@chunk_size_option("Repeatable.  [default: chunk.size_tokens]")
@click.option("-k", "passages", type=click.IntRange(1), default=5, show_default=True, help="Passages a question.")
@click.option(
    "--budget-tokens",
    type=click.IntRange(1),
    help="Also the recall of the passages that fill so many tokens.  [default: context.budget_tokens]",
)
@format_option("jsonl", "md")
@pass_state
def chunking(
    state: State,
    dataset: Path,
    limit: int | None,
    strategies: tuple[str, ...],
    chunk_sizes: tuple[int, ...],
    passages: int,
    budget_tokens: int | None,
    format_: str,
) -> None:
    """Compare ways to cut documents into chunks: recall, precision and IoU of the very words that answer.

    Each strategy at each size is ingested into a store of its own, which is gone afterwards, and searched as the
    settings say.
    """
    from ragkit.chunking import STRATEGIES
    from ragkit.evaluation import chunkers, excerpts

    data = excerpts.load(dataset, limit)
    with state.engine() as engine:
        chunk, budget = engine.settings.chunk, budget_tokens or engine.settings.context.budget_tokens
        window = engine.embedder.max_tokens
        wanted = sorted(set(chunk_sizes or (chunk.size_tokens,)))
        too_long = [size for size in wanted if size > window][1:]
        for size in too_long:
            state.say(f"the embedder reads {window} tokens; chunks of {size} would be no longer, and are left out")
        found = chunkers.compare(
            engine,
            data,
            strategies or list(STRATEGIES),
            [size for size in wanted if size not in too_long],
            passages=passages,
            budget_tokens=budget,
            progress=engine.progress,
        )
        shown = chunkers.to_json(
            found,
            data,
            embedder=engine.settings.embed.model,
            default=chunk.strategy,
            passages=passages,
            budget_tokens=budget,
        )
    _show_table(format_, shown, shown["cuts"], partial(chunkers.to_table, shown))


def _embedders(
    state: State,
    names: tuple[str, ...],
    data: Dataset,
    corpus: str,
    format_: str,
    out: Path | None,
    asked: dict[str, Any],
) -> None:
    """Compare embedders, and show a row for each; of one alone, its report."""
    from ragkit.engine import Engine
    from ragkit.evaluation import embedders
    from ragkit.files import write_whole

    with progress_bars(state) as progress:
        found = embedders.compare(
            names,
            data,
            state.settings,
            lambda settings: Engine(settings, progress=progress),
            state.say,
            corpus=corpus,
            **asked,
        )
    if len(found) == 1:
        _show(found[0].report, format_, out)
        return
    shown = embedders.to_json(found)
    if out is not None:
        write_whole(out, json.dumps(shown, indent=2, ensure_ascii=False).encode())
    _show_table(format_, shown, shown["embedders"], partial(embedders.to_table, found))


def _show_table(format_: str, data: Any, rows: list[Any], table: Callable[..., str]) -> None:
    """The data as JSON, its rows a line each, or as a table."""
    if format_ == "json":
        emit(data)
    elif format_ == "jsonl":
        emit_lines(rows)
    else:
        click.echo(table(markdown=format_ == "md"))


def _show(report: Report, format_: str, out: Path | None = None) -> None:
    from ragkit.evaluation import report as reports

    if out is not None:
        reports.write(report, out)
    if format_ == "json":
        emit(reports.to_json(report))
    elif format_ == "jsonl":
        emit_lines(reports.question_rows(report))
    else:
        click.echo(reports.to_markdown(report) if format_ == "md" else reports.to_text(report))

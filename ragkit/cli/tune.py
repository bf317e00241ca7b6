"""`ragkit tune`: the settings of retrieval that suit your questions, and what they gain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ragkit.cli.common import Command, State, emit, pass_state, progress_bars
from ragkit.cli.options import (
    FILE,
    OF_A_SET,
    chunk_size_option,
    corpus_option,
    dataset_option,
    first_option,
    format_option,
)

if TYPE_CHECKING:
    from ragkit.config import Settings
    from ragkit.domain import Progress
    from ragkit.engine import Engine
    from ragkit.evaluation.tune import Tuned, Values
    from ragkit.roles import Embedder, Reranker


@click.command(cls=Command, short_help="Find the settings that suit your questions.")
@corpus_option(OF_A_SET)
@dataset_option("Questions that say where their answer is.")
@first_option()
@click.option("--metric", default="nDCG@10", show_default=True, metavar="NAME", help="What is to be raised.")
@click.option("--folds", type=click.IntRange(2), default=5, show_default=True, help="Parts of the cross-validation.")
@chunk_size_option("Also try this chunk size, which reads the documents again; repeatable.")
@click.option(
    "--write",
    metavar="FILE",
    type=FILE,
    help="Write the settings into FILE, such as ragkit.toml, when their gain is real.",
)
@format_option()
@pass_state
def tune(
    state: State,
    corpus: str,
    dataset: Path,
    limit: int | None,
    metric: str,
    folds: int,
    chunk_sizes: tuple[int, ...],
    write: Path | None,
    format_: str,
) -> None:
    """Find the weights, candidates and rerank depth that suit your questions, and what they gain.

    The gain is of questions that had no part in the choice (cross-validation). What was measured is kept, so that a
    search which was interrupted goes on where it stopped.
    """
    from ragkit import config
    from ragkit.evaluation import tune as tuning

    space = tuning.axes(state.settings, chunk_sizes)
    start = {key: config.get(state.settings, key) for key in space}
    with progress_bars(state) as progress:
        scores = _Scores(state, corpus, dataset, limit, metric, progress)
        found = tuning.tune(scores, space, start, metric, folds)
    if format_ == "json":
        emit(tuning.to_json(found))
    else:
        click.echo(tuning.to_text(found))
    if write is not None:
        _write(state, found, write)


class _Scores:
    """Each question's score under some settings: a run of an experiment, kept in the store like any other."""

    def __init__(
        self, state: State, corpus: str, dataset: Path, limit: int | None, metric: str, progress: Progress
    ) -> None:
        self._state = state
        self._corpus = corpus
        self._dataset = dataset
        self._limit = limit
        self._metric = metric
        self._progress = progress
        self._tried = 0
        self._embedder: Embedder | None = None
        self._reranker: Reranker | None = None

    def __call__(self, values: Values) -> dict[str, float]:
        from ragkit.evaluation.experiments import Experiment
        from ragkit.evaluation.runner import carry_out

        self._tried += 1
        label = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in values.items())
        experiment = Experiment(
            f"tune[{label}]",
            self._dataset,
            corpus=self._corpus,
            metrics=(self._metric,),
            limit=self._limit,
            settings=values,
        )
        run = carry_out(
            experiment,
            self._state.settings,
            self._opened,
            progress=self._shown,
        )[0]
        return {one.id: one.scores[self._metric] for one in run.report.questions}

    def _opened(self, settings: Settings) -> Engine:
        """An engine under some settings; all share one embedder and one cross-encoder, which read no text twice."""
        from ragkit.engine import Engine
        from ragkit.evaluation.remembering import Remembering, RememberingReranker

        if self._embedder is None:
            with Engine(settings, progress=self._shown) as engine:
                self._embedder = Remembering(engine.embedder)
                reranker = engine.reranker if settings.retrieve.mode != "lexical" else None
                if reranker is not None and getattr(reranker, "after_sentences", False):
                    self._reranker = RememberingReranker(reranker)
        return Engine(settings, embedder=self._embedder, reranker=self._reranker, progress=self._shown)

    def _shown(self, what: str, done: int, total: int) -> None:
        self._progress(f"tune, settings {self._tried}: {what}", done, total)


def _write(state: State, found: Tuned, file: Path) -> None:
    from ragkit.cli.settings_file import change

    if found.verdict != "better" or not found.chosen:
        state.say(f"nothing was written to {file}: there is no gain that is sure")
        return
    change(file, found.chosen)
    state.say(f"wrote {', '.join(found.chosen)} to {file}")

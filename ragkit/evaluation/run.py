"""Run a dataset through an engine and score every question.

Knows the public API (`Engine.search`, `Engine.ask`, `Engine.ingest_documents`), gold and metrics; knows
nothing of indexes, models or files. A question that fails, or finds nothing, stays in the report.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ragkit.choices import Mode
from ragkit.domain import JSON, Progress, text_hash
from ragkit.domain.answers import Quote
from ragkit.errors import (
    CorpusError,
    DatasetError,
    MissingExtra,
    ModelError,
    OfflineError,
    RagkitError,
    SettingsError,
    SnapshotError,
    StoreError,
)
from ragkit.evaluation import labels, metrics, rankings
from ragkit.evaluation.answers import Instruments, score_answer
from ragkit.evaluation.datasets import Dataset, Gold, Level, Question
from ragkit.evaluation.names import BESIDE, answer_names, worst_scores
from ragkit.evaluation.progress import progressing
from ragkit.evaluation.rankings import Ranking
from ragkit.evaluation.report import Report, Scored
from ragkit.nearness import unrelated_cosine
from ragkit.verify import ASKING

if TYPE_CHECKING:
    from ragkit import Engine

SETUP = (SettingsError, CorpusError, SnapshotError, StoreError, ModelError, MissingExtra, OfflineError)
"""Errors that every question would meet: they end the run. Any other is one question's, and counts."""
_HITS_PER_DOCUMENT = 5
"""Passages asked for, for each document of the ranking: several may come from the same one."""


def prepare_corpus(engine: Engine, dataset: Dataset) -> str:
    """Ingest a BEIR set, or bring it up to date, cut and embedded as the settings say.

    Returns the corpus's name, which changes with the dataset's content, the settings and the embedder.
    """
    name = corpus_name(engine, dataset)
    engine.ingest_documents(dataset.documents(), corpus=name)  # quick, if nothing changed since
    return name


def corpus_name(engine: Engine, dataset: Dataset) -> str:
    """The name of the corpus that holds a BEIR set as this engine would ingest it now."""
    built_by = (dataset.fingerprint, engine.settings.chunk, engine.settings.lexical, engine.embedder.fingerprint)
    return re.sub(r"[^a-z0-9]+", "-", f"eval-{dataset.name}-{text_hash(repr(built_by))[:8]}".lower())


def run_retrieval(
    engine: Engine,
    dataset: Dataset,
    *,
    corpus: str = "",
    mode: Mode | None = None,
    rerank: bool | None = None,
    names: Sequence[str] = metrics.RETRIEVAL,
    level: Level | None = None,
    progress: Progress | None = None,
    checked: bool = True,
) -> Report:
    """Search for every question that has gold, and score the rankings at the dataset's level.

    Labels that name nothing in the corpus are a notice of the report, if `checked`.
    """
    level = level or dataset.level
    judged = judged_questions(dataset)
    depth = max(metrics.cutoff(name) for name in names)
    limit = depth if level == "passage" else depth * _HITS_PER_DOCUMENT
    ranked: dict[str, Ranking] = {}
    missed: list[tuple[str, Gold]] = []
    snapshots: set[str] = set()
    for question in progressing(judged, "search", progress):
        began = time.perf_counter()
        try:
            found = engine.search(question.text, limit=limit, mode=mode, rerank=rerank, corpus=corpus)
        except SETUP:
            raise
        except RagkitError as error:
            ranked[question.id] = Ranking(seconds=time.perf_counter() - began, error=str(error))
            continue
        seconds = math.fsum(found.timings.values())  # its own, also of a search that was kept
        snapshots.add(found.snapshot)
        units = rankings.rank(found.hits, question.relevant, level)
        missed += [
            (question.id, gold)
            for unit, gold in rankings.units(question.relevant, level).items()
            if unit not in units
        ]
        ranked[question.id] = Ranking(
            tuple(units[:depth]), tuple(hit.passage.location for hit in found.hits[:depth]), seconds
        )
    places = sum(len(rankings.units(question.relevant, level)) for question in judged)
    nowhere = labels.notices(engine, corpus, missed, level, places) if checked else ()
    return rankings.score(
        dataset,
        {question.id: rankings.grades(question.relevant, level) for question in judged},
        ranked,
        names,
        about=_about(engine, corpus, snapshots, {"level": level, "mode": mode or engine.settings.retrieve.mode}),
        notices=(*left_out(dataset, len(judged)), *nowhere),
    )


def run_answers(
    engine: Engine,
    dataset: Dataset,
    *,
    corpus: str = "",
    names: Sequence[str] = (),
    faithfulness_engine: str = "fast",
    progress: Progress | None = None,
) -> Report:
    """Ask every question and score the answers; `names` are the metrics reported, all by default.

    Faithfulness counts every claim that was written only if `verify.unsupported` is mark or keep. It is always of
    the engine fast; another `faithfulness_engine` adds a metric beside it.
    """
    names = answer_names(names, faithfulness_engine)
    tools = instruments(engine, corpus, faithfulness_engine)
    asked = {"judge": judge.name} if faithfulness_engine in ASKING and (judge := engine.judge) else {}
    scored: list[Scored] = []
    snapshots: set[str] = set()
    models: set[str] = set()
    for question in progressing(dataset.questions, "ask", progress):
        began = time.perf_counter()
        try:
            answer = engine.ask(question.text, corpus=corpus)
            seconds = answer.timings["total"]  # its own, also of an answer that was kept
            scores = score_answer(question, answer, tools)
        except SETUP:
            raise
        except RagkitError as error:
            seconds = time.perf_counter() - began
            scored.append(_failed(question, names, seconds, str(error)))
            continue
        snapshots.add(answer.snapshot)
        models.add(answer.model)
        scored.append(
            Scored(
                id=question.id,
                question=question.text,
                scores={name: scores.values[name] for name in names if name in scores.values},
                kind=question.kind,
                seconds=seconds,
                hits=tuple(quote.location for quote in answer.quotes),
                status=answer.status,
                answer=answer.text,
                left_out={name: scores.left_out[name] for name in names if name in scores.left_out},
                failed={name: scores.failed[name] for name in names if name in scores.failed},
            )
        )
    return Report(
        task="answers",
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        names=names,
        questions=tuple(scored),
        about=_about(engine, corpus, snapshots, {"model": ", ".join(sorted(filter(None, models))), **asked}),
        notices=("unsupported claims were dropped before they could be counted: Faithfulness is of what was shown",)
        if engine.settings.verify.unsupported == "drop"
        else (),
    )


def instruments(engine: Engine, corpus: str = "", faithfulness_engine: str = "fast") -> Instruments:
    """What answers are measured with, taken from the engine that wrote them."""

    def lines(quote: Quote) -> str:
        try:
            return engine.show(quote.path, quote.start_line, quote.end_line, corpus=corpus).text
        except RagkitError:
            return ""

    def beside(claim: str, text: str, question: str) -> bool:
        return engine.ground(claim, text, question=question, engine=faithfulness_engine).supported

    name = BESIDE.get(faithfulness_engine)
    return Instruments(
        supports=lambda claims, sources, question: engine.supports(claims, sources, question=question),
        embed=lambda texts: engine.embedder.embed(texts),
        lines=lines,
        min_support=engine.settings.verify.min_support,
        language=engine.settings.lexical.language,
        unrelated=unrelated_cosine(engine.embedder),
        beside={name: beside} if name else {},
    )


def _failed(question: Question, names: Sequence[str], seconds: float, error: str) -> Scored:
    """A question that ended in an error, at the worst value of every metric that applies to it."""
    beside = [name for name in BESIDE.values() if name in names]
    worst = worst_scores(answerable=question.answerable, reference=bool(question.answer), beside=beside)
    return Scored(
        question.id,
        question.text,
        {name: worst[name] for name in names if name in worst},
        question.kind,
        seconds,
        error=error,
        left_out={name: "failed, and does not apply or has no worst value" for name in names if name not in worst},
    )


# ---------------------------------------------------------------- questions and what is said of a run


def _about(engine: Engine, corpus: str, snapshots: set[str], more: Mapping[str, JSON]) -> dict[str, JSON]:
    """What was run, as far as the report's reader must know to compare it with another."""
    return {
        "corpus": corpus or engine.settings.corpus,
        "snapshot": ", ".join(sorted(snapshots)),
        "embedder": engine.settings.embed.model,
        **more,
    }


def judged_questions(dataset: Dataset) -> list[Question]:
    """The questions that say where their answer is. Raises DatasetError when none does."""
    judged = [question for question in dataset.questions if question.relevant]
    if not judged:
        raise DatasetError(f"dataset {dataset.name} says of no question where its answer is", "add `relevant` to it")
    return judged


def left_out(dataset: Dataset, searched: int) -> tuple[str, ...]:
    """A notice of the questions that are not searched, if there are any."""
    missing = len(dataset.questions) - searched
    return (f"{missing} of {len(dataset.questions)} questions have no gold and are not searched",) if missing else ()

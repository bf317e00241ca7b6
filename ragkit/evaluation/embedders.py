"""Compare embedders over the same questions: each has an index of its own, kept for the next time.

Knows the public API and datasets; knows nothing of models. What is embedded once is not embedded again, and how long
it will take is measured on a sample before it begins, if anything is to be embedded at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit import config
from ragkit.choices import Mode
from ragkit.domain import JSON
from ragkit.errors import DatasetError
from ragkit.evaluation import metrics, run
from ragkit.evaluation.datasets import Dataset, Level
from ragkit.evaluation.metrics import Difference
from ragkit.evaluation.report import Report
from ragkit.evaluation.tables import aligned, piped

if TYPE_CHECKING:
    from ragkit import Engine
    from ragkit.config import Settings

SAMPLE = 48
"""Texts that are embedded to measure how fast an embedder is."""
CHARACTERS_A_TOKEN = 4
"""Of English, roughly: a document is cut to about the length of a chunk with it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One embedder: the corpus that holds its index, and its report."""

    embedder: str
    corpus: str
    dimension: int
    report: Report


def compare(
    embedders: Sequence[str],
    dataset: Dataset,
    settings: Settings,
    open_engine: Callable[[Settings], Engine],
    say: Callable[[str], None],
    *,
    corpus: str = "",
    mode: Mode | None = None,
    rerank: bool | None = None,
    names: Sequence[str] = metrics.RETRIEVAL,
    level: Level | None = None,
) -> list[Measured]:
    """Search for every question with each embedder. `say` hears how long embedding will take, before it begins.

    A BEIR set is ingested for each. Of a `corpus`, the very documents are ingested anew for every embedder but the
    one that it was ingested with, into a corpus named after both. Raises CorpusError where one of them has changed.
    """
    found = []
    for name in dict.fromkeys(embedders):
        with open_engine(config.replace(settings, {"embed.model": name})) as engine:
            own = _own_corpus(engine, dataset, corpus, name, say)
            report = run.run_retrieval(
                engine,
                dataset,
                corpus=own,
                mode=mode,
                rerank=rerank,
                names=names,
                level=level,
                progress=engine.progress,
            )
            found.append(Measured(name, own, engine.embedder.dimension, report))
    return found


def _own_corpus(engine: Engine, dataset: Dataset, corpus: str, name: str, say: Callable[[str], None]) -> str:
    """The corpus that the embedder searches, ingested now if it is not there yet."""
    if dataset.corpus_file is not None and not corpus:
        longest = CHARACTERS_A_TOKEN * engine.settings.chunk.size_tokens
        with _forecasting(engine, name, (document.text[:longest] for document in dataset.documents()), say):
            return run.prepare_corpus(engine, dataset)
    status = engine.status(corpus)
    if status.snapshot is None or status.snapshot.embedder == engine.embedder.fingerprint:
        return status.corpus.name
    own = f"{status.corpus.name}-{re.sub(r'[^A-Za-z0-9.]+', '-', name)}"
    if not status.corpus.roots:
        raise DatasetError(
            f"corpus {status.corpus.name} was made of no folder, so it cannot be ingested for {name}",
            "compare embedders on a BEIR set, or on a corpus of files",
        )
    with _forecasting(engine, name, (text for _, text in engine.store.chunk_texts(status.snapshot)), say):
        engine.ingest(corpus=own, like=status.corpus.name)
    paths = [
        {record.path for record in engine.store.documents(engine.store.current_snapshot(one))}
        for one in (status.corpus.name, own)
    ]
    if lost := sorted(paths[0] ^ paths[1]):
        raise DatasetError(
            f"{len(lost)} documents of corpus {status.corpus.name} could not be ingested for {name}: {lost[0]}, ...",
            f"`ragkit corpus status {own}` says why",
        )
    return own


@contextmanager
def _forecasting(engine: Engine, name: str, texts: Iterable[str], say: Callable[[str], None]) -> Iterator[None]:
    """While the engine ingests: a forecast when it is known how many texts are to be embedded, if any are."""
    shown, said = engine.progress, False

    def heard(what: str, done: int, total: int) -> None:
        nonlocal said
        if what == "embed" and not said:
            said = True
            say(forecast(engine, name, list(texts), total))
        if shown is not None:
            shown(what, done, total)

    engine.progress = heard
    try:
        yield
    finally:
        engine.progress = shown


def forecast(engine: Engine, name: str, texts: Sequence[str], count: int) -> str:
    """How long an embedder will take for `count` texts, by the rate at which it embeds a sample of such texts."""
    sample = texts[:: max(1, len(texts) // SAMPLE)][:SAMPLE] or ["nothing"]
    engine.embedder.embed(sample[:1])  # which opens the model
    began = time.perf_counter()
    engine.embedder.embed(sample)
    rate = len(sample) / max(time.perf_counter() - began, 1e-6)
    left = count / rate
    shown = f"{left:.0f} s" if left < 120 else f"{left / 60:.0f} min"
    return f"{name}: about {shown} to embed {count:,} texts, at {rate:.0f} a second"


# ---------------------------------------------------------------- as text and JSON


def differences(found: Sequence[Measured]) -> list[Difference | None]:
    """Each embedder's first metric against that of the first embedder, question by question."""
    first = found[0].report
    name = first.names[0]
    base = {scored.id: scored.scores[name] for scored in first.questions}
    return [
        None,
        *(metrics.paired_bootstrap({s.id: s.scores[name] for s in one.report.questions}, base) for one in found[1:]),
    ]


def to_json(found: Sequence[Measured]) -> dict[str, JSON]:
    """The comparison as JSON values; docs/json.md describes the keys."""
    first = found[0].report
    return {
        "task": "embedders",
        "dataset": first.dataset,
        "questions": len(first.questions),
        "embedders": [_row(one, gain) for one, gain in zip(found, differences(found), strict=True)],
        "notices": list(first.notices),
    }


def _row(one: Measured, gain: Difference | None) -> dict[str, JSON]:
    return {
        "embedder": one.embedder,
        "corpus": one.corpus,
        "dimension": one.dimension,
        "metrics": {name: interval.rounded(4) for name, interval in one.report.metrics.items()},
        "difference": {**gain.interval.rounded(4), "p": round(gain.p, 4)} if gain else None,
        "seconds_p50": round(one.report.seconds["p50"], 4),
    }


def to_table(found: Sequence[Measured], *, markdown: bool = False) -> str:
    """A row for each embedder, and what the difference is of."""
    first = found[0].report
    main, *others = first.names
    header = ["embedder", "dimensions", f"{main} (95 %)", f"against {found[0].embedder}", "p", *others, "ms a query"]
    rows = list(_cells(found, others))
    lines = piped([header, *rows]) if markdown else aligned([header, *rows])
    notices = ["", *first.notices] if first.notices else []
    return "\n".join([f"{first.dataset}, {len(first.questions)} questions", "", *lines, *notices])


def _cells(found: Sequence[Measured], others: Sequence[str]) -> Iterator[list[str]]:
    for one, gain in zip(found, differences(found), strict=True):
        means = one.report.metrics
        yield [
            one.embedder,
            str(one.dimension),
            means[one.report.names[0]].spelled(),
            gain.interval.spelled("+") if gain else "-",
            f"{gain.p:.3f}" if gain else "-",
            *(f"{means[name].mean:.3f}" for name in others),
            f"{one.report.seconds['p50'] * 1000:.0f}",
        ]

"""Run a dataset through an engine and score every question.

Knows the public API (`Engine.search`, `Engine.ask`, `Engine.ingest_documents`), gold and measures; knows
nothing of indexes, models or files. A question that fails, or finds nothing, stays in the report.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.domain import JSON, Answer, Hit, Mode, Passage, Progress, text_hash
from ragkit.errors import (
    CorpusError,
    DatasetError,
    MissingExtra,
    ModelError,
    OfflineError,
    RagkitError,
    SnapshotError,
    StoreError,
)
from ragkit.evaluation import measures
from ragkit.evaluation.datasets import Dataset, Gold, Level, Question, holds_quote, same_document
from ragkit.evaluation.report import Report, Scored

if TYPE_CHECKING:
    from ragkit import Engine

ANSWERS = (
    "Faithfulness",
    "CitationPrecision",
    "TokenF1",
    "RougeL",
    "SemanticSimilarity",
    "AbstentionPrecision",
    "AbstentionRecall",
)
"""What `ragkit eval answers` reports; docs/evaluation.md defines each."""

_SETUP = (CorpusError, SnapshotError, StoreError, ModelError, MissingExtra, OfflineError)
"""Errors that every question would meet: they end the run. Any other is one question's, and counts."""
_HITS_PER_DOCUMENT = 5
"""Passages asked for, for each document of the ranking: several may come from the same one."""


def prepare_corpus(engine: Engine, dataset: Dataset) -> str:
    """Ingest a BEIR set, unless this engine's store holds it already, cut and embedded as it would be now.

    Returns the corpus's name, which changes with the dataset's content, the settings and the embedder.
    """
    built_by = (dataset.fingerprint, engine.settings.chunk, engine.settings.lexical, engine.embedder.fingerprint)
    name = re.sub(r"[^a-z0-9]+", "-", f"eval-{dataset.name}-{text_hash(repr(built_by))[:8]}".lower())
    if not any(status.corpus.name == name and status.snapshot for status in engine.corpora()):
        engine.ingest_documents(dataset.documents(), corpus=name)
    return name


def run_retrieval(
    engine: Engine,
    dataset: Dataset,
    *,
    corpus: str = "",
    mode: Mode | None = None,
    rerank: bool | None = None,
    names: Sequence[str] = measures.RETRIEVAL,
    level: Level | None = None,
    progress: Progress | None = None,
) -> Report:
    """Search for every question that has gold, and score the rankings at the dataset's level.

    At document level the ranking is of documents, each standing where its best passage does. At passage level
    it is of passages, and a gold place counts once, where it is first found (see `rank_passages`).
    """
    level = level or dataset.level
    judged = [question for question in dataset.questions if question.relevant]
    if not judged:
        raise DatasetError(f"dataset {dataset.name} says of no question where its answer is", "add `relevant` to it")
    depth = max(measures.cutoff(name) for name in names)
    rank = rank_passages if level == "passage" else rank_documents
    limit = depth if level == "passage" else depth * _HITS_PER_DOCUMENT
    found: dict[str, _Found] = {}
    for question in _progressing(judged, "search", progress):
        found[question.id] = _search(engine, question, corpus=corpus, mode=mode, rerank=rerank, limit=limit)
    judgements = {
        question.id: {gold_unit(at, gold, level): gold.grade for at, gold in enumerate(question.relevant)}
        for question in judged
    }
    rankings = {question.id: rank(found[question.id].hits, question.relevant)[:depth] for question in judged}
    scores = measures.score_rankings(judgements, rankings, names)
    snapshots = {one.snapshot for one in found.values() if one.snapshot}
    return Report(
        task="retrieval",
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        names=tuple(names),
        questions=tuple(
            Scored(
                id=question.id,
                question=question.text,
                scores={name: scores[name][question.id] for name in names},
                kind=question.kind,
                seconds=found[question.id].seconds,
                hits=tuple(hit.passage.location for hit in found[question.id].hits[:depth]),
                error=found[question.id].error,
            )
            for question in judged
        ),
        about=_about(engine, corpus, snapshots, {"level": level, "mode": mode or engine.settings.retrieve.mode}),
        notices=_left_out(dataset, judged),
    )


def run_answers(
    engine: Engine,
    dataset: Dataset,
    *,
    corpus: str = "",
    progress: Progress | None = None,
) -> Report:
    """Ask every question and score the answers.

    Faithfulness counts every claim that was written only if `verify.unsupported` is mark or keep.
    """
    scored: list[Scored] = []
    snapshots: set[str] = set()
    models: set[str] = set()
    for question in _progressing(dataset.questions, "ask", progress):
        began = time.perf_counter()
        try:
            answer = engine.ask(question.text, corpus=corpus)
        except _SETUP:
            raise
        except RagkitError as error:
            seconds = time.perf_counter() - began
            worst = dict.fromkeys(_applicable(question), 0.0)
            scored.append(Scored(question.id, question.text, worst, question.kind, seconds, error=str(error)))
            continue
        seconds = time.perf_counter() - began
        snapshots.add(answer.snapshot)
        models.add(answer.model)
        scored.append(
            Scored(
                id=question.id,
                question=question.text,
                scores=score_answer(question, answer, similarity=lambda a, b: _similarity(engine, a, b)),
                kind=question.kind,
                seconds=seconds,
                hits=tuple(quote.location for quote in answer.quotes),
                status=answer.status,
                answer=answer.text,
            )
        )
    return Report(
        task="answers",
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        names=ANSWERS,
        questions=tuple(scored),
        about=_about(engine, corpus, snapshots, {"model": ", ".join(sorted(filter(None, models)))}),
        notices=("unsupported claims were dropped before they could be counted: Faithfulness is of what was shown",)
        if engine.settings.verify.unsupported == "drop"
        else (),
    )


def _similarity(engine: Engine, one: str, two: str) -> float:
    """Cosine of the two texts under the engine's embedder."""
    vectors = engine.embedder.embed([one, two])
    return float(vectors[0] @ vectors[1])


# ---------------------------------------------------------------- one answer


def score_answer(
    question: Question, answer: Answer, similarity: Callable[[str, str], float] | None = None
) -> dict[str, float]:
    """The measures that apply to one answer, each in [0, 1].

    Faithfulness and CitationPrecision need an answer that claims something; the likeness to a reference needs
    a reference (an abstention is like none: 0). AbstentionPrecision applies where the question was declined,
    AbstentionRecall where it should have been. An answer of which no claim is supported counts as declined:
    with `verify.unsupported` at its default, nothing of it would be shown.
    """
    borne_out = [claim for claim in answer.claims if claim.supported]
    declined = answer.status == "abstained" or not borne_out
    scores: dict[str, float] = {}
    if answer.claims:
        scores["Faithfulness"] = len(borne_out) / len(answer.claims)
        scores["CitationPrecision"] = _citation_precision(answer)
    if question.answerable and question.answer:
        shown = answer.text if len(borne_out) == len(answer.claims) else " ".join(claim.text for claim in borne_out)
        said = "" if declined else re.sub(r"\s*\[\d+\]", "", shown).strip()
        scores["TokenF1"] = measures.token_f1(said, question.answer)
        scores["RougeL"] = measures.rouge_l(said, question.answer)
        if similarity:
            scores["SemanticSimilarity"] = min(1.0, max(0.0, similarity(said, question.answer))) if said else 0.0
    if declined:
        scores["AbstentionPrecision"] = float(not question.answerable)
    if not question.answerable:
        scores["AbstentionRecall"] = float(declined)
    return scores


def _citation_precision(answer: Answer) -> float:
    """Share of the sources cited in the draft that the verifier found to bear out a claim; 0 if it cites none."""
    written = answer.draft.text if answer.draft else answer.text
    cited = {int(number) for number in re.findall(r"\[(\d+)\]", written)}
    proved = {quote.number for claim in answer.claims if claim.supported for quote in claim.quotes}
    return len(cited & proved) / len(cited) if cited else 0.0


def _applicable(question: Question) -> list[str]:
    """What a failed question scores its worst in."""
    names = ["Faithfulness", "CitationPrecision"]
    if question.answerable and question.answer:
        names += ["TokenF1", "RougeL", "SemanticSimilarity"]
    if not question.answerable:
        names.append("AbstentionRecall")
    return names


# ---------------------------------------------------------------- rankings of units


def gold_unit(at: int, gold: Gold, level: Level) -> str:
    """The id of a gold place in judgements and rankings."""
    return gold.path if level == "document" else f"gold:{at}"


def rank_documents(hits: Sequence[Hit], golds: Sequence[Gold]) -> list[str]:
    """Documents in the order of their best passage; those with gold under the gold's own path."""
    ranking: dict[str, None] = {}
    for hit in hits:
        paths = [passage.path for passage in (hit.passage, *hit.copies)]
        named = (gold.path for path in paths for gold in golds if same_document(gold.path, path))
        ranking.setdefault(next(named, paths[0]))
    return list(ranking)


def rank_passages(hits: Sequence[Hit], golds: Sequence[Gold]) -> list[str]:
    """Passages in order; one that holds a gold place not found before stands for it.

    A passage that holds several takes as many places of the ranking, which never flatters.
    """
    ranking: dict[str, None] = {}
    for hit in hits:
        units = [gold_unit(at, gold, "passage") for at, gold in enumerate(golds) if _holds(hit, gold)]
        for unit in [unit for unit in units if unit not in ranking] or [f"passage:{hit.passage.id}"]:
            ranking[unit] = None
    return list(ranking)


def _holds(hit: Hit, gold: Gold) -> bool:
    """Whether the passage, or a copy of it that the hit names, is where the gold is."""
    return any(_is_at(passage, gold) for passage in (hit.passage, *hit.copies))


def _is_at(passage: Passage, gold: Gold) -> bool:
    if gold.path and not same_document(gold.path, passage.path):
        return False
    if gold.quote:
        return holds_quote(gold.quote, passage.chunk.text)
    wanted = [part.casefold() for part in gold.heading]
    found = [part.casefold() for part in passage.chunk.heading]
    return any(found[at : at + len(wanted)] == wanted for at in range(len(found) - len(wanted) + 1))


# ---------------------------------------------------------------- running


@dataclass(frozen=True, slots=True)
class _Found:
    hits: tuple[Hit, ...] = ()
    seconds: float = 0.0
    snapshot: str = ""
    error: str = ""


def _search(
    engine: Engine, question: Question, *, corpus: str, mode: Mode | None, rerank: bool | None, limit: int
) -> _Found:
    began = time.perf_counter()
    try:
        result = engine.search(question.text, limit=limit, mode=mode, rerank=rerank, corpus=corpus)
    except _SETUP:
        raise
    except RagkitError as error:
        return _Found(seconds=time.perf_counter() - began, error=str(error))
    return _Found(result.hits, time.perf_counter() - began, result.snapshot)


def _progressing(questions: Sequence[Question], what: str, progress: Progress | None) -> Iterator[Question]:
    for done, question in enumerate(questions):
        if progress:
            progress(what, done, len(questions))
        yield question
    if progress:
        progress(what, len(questions), len(questions))


def _about(engine: Engine, corpus: str, snapshots: set[str], more: Mapping[str, JSON]) -> dict[str, JSON]:
    """What was run, as far as the report's reader must know to compare it with another."""
    return {
        "corpus": corpus or engine.settings.corpus,
        "snapshot": ", ".join(sorted(snapshots)),
        "embedder": engine.settings.embed.model,
        **more,
    }


def _left_out(dataset: Dataset, judged: Sequence[Question]) -> tuple[str, ...]:
    missing = len(dataset.questions) - len(judged)
    return (f"{missing} of {len(dataset.questions)} questions have no gold and are not searched",) if missing else ()

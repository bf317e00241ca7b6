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

from ragkit.domain import JSON, Answer, Hit, Mode, Progress
from ragkit.errors import DatasetError, RagkitError
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

_HITS_PER_DOCUMENT = 5
"""Passages asked for, for each document of the ranking: several may come from the same one."""


def prepare_corpus(engine: Engine, dataset: Dataset) -> str:
    """Ingest a BEIR set under a name made of its content, unless that was done before; the corpus's name."""
    name = re.sub(r"[^a-z0-9]+", "-", f"eval-{dataset.name}-{dataset.fingerprint}".lower())
    if name not in {corpus.name for corpus in engine.corpora()}:
        engine.ingest_documents(dataset.documents(), corpus=name)
    return name


def run_retrieval(
    engine: Engine,
    dataset: Dataset,
    *,
    corpus: str | None = None,
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
        about=_about(corpus, snapshots, {"level": level, "mode": mode or "as set"}),
        notices=_left_out(dataset, judged),
    )


def run_answers(
    engine: Engine,
    dataset: Dataset,
    *,
    corpus: str | None = None,
    progress: Progress | None = None,
    similarity: Callable[[str, str], float] | None = None,
) -> Report:
    """Ask every question and score the answers.

    `similarity` gives the likeness of answer and reference in [0, 1]; without it SemanticSimilarity is left out.
    """
    names = tuple(name for name in ANSWERS if similarity or name != "SemanticSimilarity")
    scored: list[Scored] = []
    snapshots: set[str] = set()
    models: set[str] = set()
    for question in _progressing(dataset.questions, "ask", progress):
        began = time.perf_counter()
        try:
            answer = engine.ask(question.text, corpus=corpus)
        except RagkitError as error:
            seconds = time.perf_counter() - began
            worst = dict.fromkeys(_applicable(question, names), 0.0)
            scored.append(Scored(question.id, question.text, worst, question.kind, seconds, error=str(error)))
            continue
        snapshots.add(answer.snapshot)
        models.add(answer.model)
        scored.append(
            Scored(
                id=question.id,
                question=question.text,
                scores=score_answer(question, answer, similarity),
                kind=question.kind,
                seconds=time.perf_counter() - began,
                hits=tuple(quote.location for quote in answer.quotes),
                status=answer.status,
                answer=answer.text,
            )
        )
    return Report(
        task="answers",
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        names=names,
        questions=tuple(scored),
        about=_about(corpus, snapshots, {"model": ", ".join(sorted(filter(None, models)))}),
    )


# ---------------------------------------------------------------- one answer


def score_answer(
    question: Question, answer: Answer, similarity: Callable[[str, str], float] | None = None
) -> dict[str, float]:
    """The measures that apply to one answer, each in [0, 1].

    Faithfulness and CitationPrecision need an answer that claims something; the likeness to a reference needs
    a reference (an abstention is like none of them: 0). AbstentionPrecision applies where the engine
    abstained, AbstentionRecall where it should have.
    """
    abstained = answer.status == "abstained"
    scores: dict[str, float] = {}
    if not abstained:
        scores["Faithfulness"] = _faithfulness(answer)
        cited = _citation_precision(answer)
        if cited is not None:
            scores["CitationPrecision"] = cited
    if question.answerable and question.answer:
        said = "" if abstained else _without_citations(answer.text)
        scores["TokenF1"] = measures.token_f1(said, question.answer) if said else 0.0
        scores["RougeL"] = measures.rouge_l(said, question.answer) if said else 0.0
        if similarity:
            scores["SemanticSimilarity"] = min(1.0, max(0.0, similarity(said, question.answer))) if said else 0.0
    if abstained:
        scores["AbstentionPrecision"] = float(not question.answerable)
    if not question.answerable:
        scores["AbstentionRecall"] = float(abstained)
    return scores


def _faithfulness(answer: Answer) -> float:
    """Share of the answer's claims that the verifier found supported; an answer without claims supports nothing."""
    return sum(claim.supported for claim in answer.claims) / len(answer.claims) if answer.claims else 0.0


def _citation_precision(answer: Answer) -> float | None:
    """Share of the answer's citations that stand at a supported claim and are borne out by a quote of that source."""
    cited = right = 0
    for claim in answer.claims:
        numbers = {int(number) for number in re.findall(r"\[(\d+)\]", answer.text[claim.start : claim.end])}
        proved = {quote.number for quote in claim.quotes} if claim.supported else set()
        cited += len(numbers)
        right += len(numbers & proved)
    return right / cited if cited else None


def _applicable(question: Question, names: Sequence[str]) -> list[str]:
    """What a failed question scores its worst in."""
    wanted = {"Faithfulness", "CitationPrecision"}
    if question.answerable and question.answer:
        wanted |= {"TokenF1", "RougeL", "SemanticSimilarity"}
    if not question.answerable:
        wanted |= {"AbstentionRecall"}
    return [name for name in names if name in wanted]


def _without_citations(text: str) -> str:
    return re.sub(r"\s*\[\d+\]", "", text).strip()


# ---------------------------------------------------------------- rankings of units


def gold_unit(at: int, gold: Gold, level: Level) -> str:
    """The id of a gold place in judgements and rankings."""
    return gold.path if level == "document" else f"gold:{at}"


def rank_documents(hits: Sequence[Hit], golds: Sequence[Gold]) -> list[str]:
    """Documents in the order of their best passage; those with gold under the gold's own path."""
    ranking: dict[str, None] = {}
    for hit in hits:
        path = hit.passage.path
        ranking.setdefault(next((gold.path for gold in golds if same_document(gold.path, path)), path))
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
    passage = hit.passage
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
    engine: Engine, question: Question, *, corpus: str | None, mode: Mode | None, rerank: bool | None, limit: int
) -> _Found:
    began = time.perf_counter()
    try:
        result = engine.search(question.text, limit=limit, mode=mode, rerank=rerank, corpus=corpus)
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


def _about(corpus: str | None, snapshots: set[str], more: Mapping[str, JSON]) -> dict[str, JSON]:
    return {"corpus": corpus or "", "snapshot": ", ".join(sorted(snapshots)), **more}


def _left_out(dataset: Dataset, judged: Sequence[Question]) -> tuple[str, ...]:
    missing = len(dataset.questions) - len(judged)
    return (f"{missing} of {len(dataset.questions)} questions have no gold and are not searched",) if missing else ()

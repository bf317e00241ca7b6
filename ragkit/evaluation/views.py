"""What a reader of a run wants to see of one question: the passages, which of them answer it, what was missed.

Knows hits, answers and gold; knows nothing of engines, stores or of how it will be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ragkit.domain import JSON, Hit, SearchResult, Source
from ragkit.domain.answers import Answer
from ragkit.evaluation import metrics, rankings
from ragkit.evaluation.datasets import Gold, Level, Question, stands_at

if TYPE_CHECKING:
    from ragkit.evaluation.recorder import Recorder

CURVES = ("Recall", "nDCG", "HitRate")
"""The metrics that are shown for every k."""


def view(question: Question, seen: Recorder, level: Level, shown: int, ks: Sequence[int]) -> dict[str, JSON]:
    """The trace of one question from what was searched or asked last; empty when it failed."""
    if seen.answers:
        return answer_view(question, seen.answers[-1])
    if seen.searches:
        return search_view(question, seen.searches[-1], level, shown, ks)
    return {}


def search_view(
    question: Question, found: SearchResult, level: Level, shown: int, ks: Sequence[int]
) -> dict[str, JSON]:
    """The first `shown` hits, the gold that none of the hits holds, and the metrics at each k."""
    golds = question.relevant
    ranking = rankings.rank(found.hits, golds, level)
    units = rankings.units(golds, level)
    hits = [_hit(hit, not units.keys().isdisjoint(rankings.rank([hit], golds, level))) for hit in found.hits[:shown]]
    return {
        "hits": hits,
        "missed": [_place(gold) for unit, gold in units.items() if unit not in ranking[:shown]],
        "by_k": _by_k(rankings.grades(golds, level), ranking, ks),
        "confidence": _confidence(found.hits),
    }


def _hit(hit: Hit, relevant: bool) -> dict[str, JSON]:
    chunk = hit.passage.chunk
    return {
        "location": hit.passage.location,
        "heading": list(chunk.heading),
        "score": round(hit.score, 4),
        "relevant": relevant,
        "terms": list(hit.terms),
        "stages": {one.stage: [one.rank, None if one.score is None else round(one.score, 4)] for one in hit.stages},
        "text": chunk.text,
    }


def _by_k(grades: dict[str, int], ranking: Sequence[str], ks: Sequence[int]) -> dict[str, list[float]]:
    names = [f"{curve}@{k}" for curve in CURVES for k in ks]
    scores = metrics.score_rankings({"q": grades}, {"q": list(ranking)}, names)
    return {curve: [round(scores[f"{curve}@{k}"]["q"], 4) for k in ks] for curve in CURVES}


def _confidence(hits: Sequence[Hit]) -> float:
    """What can be compared between queries: the best hit's cosine, or its score where there is none."""
    for hit in hits[:1]:
        dense = next((one.score for one in hit.stages if one.stage == "dense" and one.score is not None), hit.score)
        return round(min(1.0, max(0.0, dense)), 4)
    return 0.0


def answer_view(question: Question, answer: Answer) -> dict[str, JSON]:
    """The claims with their support, and the sources: which were cited, which hold gold."""
    cited = {quote.number for claim in answer.claims for quote in claim.quotes}
    draft = answer.draft
    return {
        "claims": [
            {
                "text": claim.text,
                "supported": claim.supported,
                "support": round(claim.support, 4),
                "quotes": [quote.location for quote in claim.quotes],
            }
            for claim in answer.claims
        ],
        "sources": [_source(source, question, source.number in cited) for source in answer.context.sources],
        "missed": [
            _place(gold)
            for gold in question.relevant
            if not any(_answers(gold, source) for source in answer.context.sources)
        ],
        "reference": question.answer,
        "reason": answer.reason,
        "draft": draft.text if draft else "",
        "first_token_seconds": round(draft.first_token_seconds, 4) if draft else 0.0,
        "completion_tokens": draft.completion_tokens if draft else 0,
        "confidence": round(sum(one.support for one in answer.claims) / max(1, len(answer.claims)), 4),
    }


def _source(source: Source, question: Question, cited: bool) -> dict[str, JSON]:
    return {
        "number": source.number,
        "location": source.location,
        "heading": list(source.heading),
        "score": round(source.score, 4),
        "cited": cited,
        "relevant": any(_answers(gold, source) for gold in question.relevant),
        "text": source.text,
    }


def _answers(gold: Gold, source: Source) -> bool:
    """Whether a source holds a gold place."""
    return stands_at(gold, source.path, source.heading, source.text)


def _place(gold: Gold) -> dict[str, JSON]:
    return {"path": gold.path, "heading": list(gold.heading), "quote": gold.quote}

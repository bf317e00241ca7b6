"""Hits, answers and reports as JSON values: the stable form, described in docs/json.md.

Knows the domain and the names of the fields; knows nothing of terminals. Text stands as in the documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ragkit.domain import Carrier, Context, Hit, OtherVersion, Passage, SearchResult, Source
from ragkit.domain.answers import Answer, Claim, Draft, Quote
from ragkit.domain.corpora import DuplicateGroup, IngestReport
from ragkit.domain.queries import Expansion, Query


def search_json(result: SearchResult, *, explain: bool = False) -> dict[str, Any]:
    """A search as JSON; with `explain` every hit says why it was found, and the next best ones why they were not."""
    data = {
        "query": result.query,
        "mode": result.mode,
        "snapshot": result.snapshot,
        "reranker": result.reranker,
        "understood": _query(result.understood) if result.understood else None,
        "hits": [hit_json(hit, explain=explain) for hit in result.hits],
        "timings": _seconds(result.timings),
        "notices": list(result.notices),
        "expansion": _expansion(result.expansion) if result.expansion else None,
    }
    if explain:
        data["near_misses"] = [{**hit_json(one.hit, explain=True), "why": one.why} for one in result.near_misses]
    return data


def _expansion(expansion: Expansion) -> dict[str, Any]:
    """What was asked besides a query."""
    return {"method": expansion.method, "added": list(expansion.added)}


def _query(query: Query) -> dict[str, Any]:
    """How a query was read."""
    return {
        "searched": query.text,
        "phrases": list(query.phrases),
        "identifiers": list(query.identifiers),
        "versions": list(query.versions),
        "error_message": query.error,
        "left_out": list(query.left_out),
        "corrections": [{"written": one.written, "searched": one.searched} for one in query.corrections],
    }


def hit_json(hit: Hit, *, explain: bool = False) -> dict[str, Any]:
    """One hit."""
    chunk = hit.passage.chunk
    data: dict[str, Any] = {
        "id": hit.passage.id,
        "path": hit.passage.path,
        "start_line": chunk.start_line,
        "end_line": chunk.end_line,
        "unit": chunk.unit,
        "title": hit.passage.title,
        "heading": list(chunk.heading),
        "anchor": chunk.anchor,
        "score": round(hit.score, 4),
        "text": chunk.text,
        "copies": [_place(passage) for passage in hit.copies],
        "doc_version": hit.passage.doc_version,
        "other_versions": _other_versions(hit.other_versions),
    }
    if wide := hit.expanded:
        data["expanded"] = {"start_line": wide.start_line, "end_line": wide.end_line, "text": wide.text}
    if explain:
        data["terms"] = list(hit.terms)
        data["stages"] = [
            {
                "stage": stage.stage,
                "rank": stage.rank,
                "score": None if stage.score is None else round(stage.score, 4),
            }
            for stage in hit.stages
        ]
    if explain and hit.explanation:
        why = hit.explanation
        data["matched"] = {term: round(weight, 3) for term, weight in why.matched.items()}
        data["missing"] = {term: round(weight, 3) for term, weight in why.missing.items()}
        data["carrier"] = _carrier(why.carrier) if why.carrier else None
    return data


def _carrier(carrier: Carrier) -> dict[str, Any]:
    """The sentence that carries a hit's score."""
    numbers = {
        "cosine": carrier.cosine,
        "passage_cosine": carrier.passage_cosine,
        "cosine_without": carrier.cosine_without,
    }
    rounded = {key: None if value is None else round(value, 4) for key, value in numbers.items()}
    return {"text": carrier.text, **rounded, "terms": list(carrier.terms)}


def answer_json(answer: Answer, *, show_context: bool = False) -> dict[str, Any]:
    """An answer; with `show_context` also what the model was shown, what was left out, and what it wrote."""
    data: dict[str, Any] = {
        "question": answer.question,
        "status": answer.status,
        "answer": answer.text,
        "reason": answer.reason,
        "claims": [_claim(claim) for claim in answer.claims],
        "sources": [_source(source, answer) for source in answer.sources],
        "model": answer.model,
        "corpus": answer.corpus,
        "snapshot": answer.snapshot,
        "prompt_hash": answer.prompt_hash,
        "timings": _seconds(answer.timings),
        "notices": list(answer.notices),
    }
    if show_context:
        data["context"] = context_json(answer.context)
        data["draft"] = _draft(answer.draft) if answer.draft else None
    return data


def context_json(context: Context) -> dict[str, Any]:
    """The sources as the model was shown them, and the chunks that were left out."""
    return {
        "tokens": context.tokens,
        "sources": [
            {
                "number": source.number,
                "path": source.path,
                "start_line": source.start_line,
                "end_line": source.end_line,
                "unit": source.unit,
                "title": source.title,
                "heading": list(source.heading),
                "score": round(source.score, 4),
                "tokens": source.tokens,
                "text": source.text,
            }
            for source in context.sources
        ],
        "dropped": [{"id": id, "reason": reason} for id, reason in context.dropped],
    }


def duplicates_json(group: DuplicateGroup) -> dict[str, Any]:
    """Passages with nearly the same text."""
    return {
        "copies": len(group.passages),
        "documents": group.documents,
        "text": group.passages[0].chunk.text,
        "passages": [_place(passage) for passage in group.passages],
    }


def _other_versions(others: Sequence[OtherVersion]) -> list[dict[str, Any]]:
    """What other versions of a document have in the place of a passage."""
    return [
        {"doc_version": one.doc_version, "same": one.same, "passage": _place(one.passage) if one.passage else None}
        for one in others
    ]


def _place(passage: Passage) -> dict[str, Any]:
    return {
        "id": passage.id,
        "path": passage.path,
        "start_line": passage.chunk.start_line,
        "end_line": passage.chunk.end_line,
        "unit": passage.chunk.unit,
    }


def ingest_json(report: IngestReport) -> dict[str, Any]:
    """An ingest, with a row for each file."""
    return {
        "corpus": report.corpus,
        "snapshot": report.snapshot,
        "published": report.published,
        "counts": dict(report.counts),
        "chunks": report.chunks,
        "embedded": report.embedded,
        "seconds": round(report.seconds, 3),
        "files": [
            {"path": row.path, "outcome": row.outcome, "reason": row.reason, "chunks": row.chunks}
            for row in report.rows
        ],
        "notices": list(report.notices),
    }


def best_quote(number: int, answer: Answer) -> Quote | None:
    """The quote from source `number` that bears out its claim best."""
    found = [(claim.support, quote) for claim in answer.claims for quote in claim.quotes if quote.number == number]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _source(source: Source, answer: Answer) -> dict[str, Any]:
    """`start_line` and `end_line` are those of the quote, which is found there verbatim."""
    quote = best_quote(source.number, answer)
    start, end = (quote.start_line, quote.end_line) if quote else (source.start_line, source.end_line)
    return {
        "number": source.number,
        "path": source.path,
        "start_line": start,
        "end_line": end,
        "unit": source.unit,
        "quote": quote.text if quote else source.text,
        "title": source.title,
        "heading": list(source.heading),
        "anchor": source.anchor,
        "score": round(source.score, 4),
        "passage": {"start_line": source.start_line, "end_line": source.end_line},
        "doc_version": source.doc_version,
        "other_versions": _other_versions(source.other_versions),
    }


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "text": claim.text,
        "start": claim.start,
        "end": claim.end,
        "supported": claim.supported,
        "support": round(claim.support, 3),
        "quotes": [_quote(quote) for quote in claim.quotes],
    }


def _quote(quote: Quote) -> dict[str, Any]:
    return {
        "number": quote.number,
        "path": quote.path,
        "start_line": quote.start_line,
        "end_line": quote.end_line,
        "unit": quote.unit,
        "text": quote.text,
    }


def _draft(draft: Draft) -> dict[str, Any]:
    return {
        "text": draft.text,
        "prompt_tokens": draft.prompt_tokens,
        "completion_tokens": draft.completion_tokens,
        "first_token_seconds": round(draft.first_token_seconds, 3),
        "seconds": round(draft.seconds, 3),
        "truncated": draft.truncated,
    }


def _seconds(timings: Mapping[str, float]) -> dict[str, float]:
    return {stage: round(seconds, 4) for stage, seconds in timings.items()}

"""Why a hit ranks where it does, which of its sentences carries its score, and why others came after.

Knows hits, their stages, terms and the embedder; knows nothing of indexes, the store or how hits are ordered.

The sentence that carries a hit is found, then taken away: of the passage's sentences the one nearest to the query,
by its cosine and by the weights of the query's terms in it, is left out, and the rest is embedded again. What the
passage loses without it is what the sentence was worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ragkit.domain import Carrier, Chunk, Explanation, Hit, NearMiss
from ragkit.nearness import nearness, unrelated_cosine
from ragkit.text import analyse
from ragkit.units import Unit, units

if TYPE_CHECKING:
    from ragkit.domain import Vectors
    from ragkit.roles import Embedder

NEAR_MISSES = 5
"""Passages behind the last hit that are explained, too."""
TERMS_SHARE = 0.25
"""What terms count in choosing the sentence; its cosine has the rest. As in fusion by default."""


def weights(terms: Sequence[str], holders: Callable[[str], int], chunks: int) -> dict[str, float]:
    """Inverse document frequency of each term, as BM25 here has it: ln(1 + (N - n + .5) / (n + .5)).

    >>> weights(["everywhere"], lambda term: 10, 10)["everywhere"] < weights(["rare"], lambda term: 1, 10)["rare"]
    True
    """
    held = {term: min(chunks, holders(term)) for term in terms}
    return {term: math.log(1 + (chunks - n + 0.5) / (n + 0.5)) for term, n in held.items()}


def explain(
    query: str, hits: Sequence[Hit], idf: Mapping[str, float], embedder: Embedder | None, language: str
) -> tuple[Hit, ...]:
    """The hits with their explanations. `idf` weighs every term of the query; without an embedder terms decide."""
    vector = embedder.embed([query], "query")[0] if embedder is not None else None
    return tuple(
        replace(
            hit,
            explanation=Explanation(
                matched={term: idf[term] for term in hit.terms if term in idf},
                missing={term: weight for term, weight in idf.items() if term not in hit.terms},
                carrier=_carrier(hit, idf, embedder, vector, language),
            ),
        )
        for hit in hits
    )


def _carrier(
    hit: Hit, idf: Mapping[str, float], embedder: Embedder | None, vector: Vectors | None, language: str
) -> Carrier | None:
    """The sentence that carries a hit; None when none has anything in common with the query."""
    chunk = hit.passage.chunk
    sentences = [unit for unit in units(chunk.text) if unit.kind not in ("heading", "fence")]
    if not sentences:
        return None
    terms = [set(analyse(unit.text, language)) for unit in sentences]
    total = sum(idf.values()) or 1.0
    shares = [sum(weight for term, weight in idf.items() if term in own) / total for own in terms]
    cosines = [0.0] * len(sentences)
    if embedder is not None and vector is not None:
        cosines = [float(value) for value in embedder.embed([unit.text for unit in sentences]) @ vector]
    unrelated = unrelated_cosine(embedder)
    values = [
        (1 - TERMS_SHARE) * nearness(cosine, unrelated) + TERMS_SHARE * share
        for cosine, share in zip(cosines, shares, strict=True)
    ]
    at = values.index(max(values))
    if values[at] <= 0:
        return None
    elsewhere = set().union(*(own for n, own in enumerate(terms) if n != at))
    alone = tuple(term for term in hit.terms if term in terms[at] - elsewhere)
    if embedder is None or vector is None:
        return Carrier(sentences[at].text, None, None, None, alone)
    whole, rest = (float(value) for value in embedder.embed([chunk.indexed, _without(chunk, sentences[at])]) @ vector)
    return Carrier(sentences[at].text, cosines[at], whole, rest, alone)


def _without(chunk: Chunk, sentence: Unit) -> str:
    text = f"{chunk.text[: sentence.start].rstrip()} {chunk.text[sentence.end :].lstrip()}".strip()
    return replace(chunk, text=text).indexed


def near_misses(behind: Sequence[Hit], last: Hit) -> tuple[NearMiss, ...]:
    """The passages behind the last hit, each with what it has less of than that one."""
    return tuple(NearMiss(hit, _why(hit, last)) for hit in behind)


def _why(hit: Hit, last: Hit) -> str:
    """One line: the stages that put a passage behind another, and the terms that only the other has."""
    needed = {stage.stage: stage for stage in last.stages}
    reasons = []
    for stage in hit.stages:
        other = needed.get(stage.stage)
        if other is None or other.score is None or (stage.stage == "document" and stage.score is None):
            continue  # a document of one passage has no vector: that is no failing
        if stage.score is None:
            unread = stage.stage in ("rerank", "sentences")
            reasons.append("not reranked" if unread else f"{stage.stage} did not find it")
        elif stage.score < other.score:
            reasons.append(f"{stage.stage} {stage.score:.3f} against {other.score:.3f}")
    if lacking := [term for term in last.terms if term not in hit.terms]:
        reasons.append(f"lacks {', '.join(lacking)}")
    return "; ".join(reasons) or "as good as the last hit in every stage"

"""Why a hit ranks where it does, which of its sentences carries its score, and why others came after.

Knows hits, their stages, terms and the embedder; knows nothing of indexes, the store or how hits are ordered.

The sentence that carries a hit is found by taking it away: each of the passage's sentences that are nearest to the
query, by their cosine and by the weights of the query's terms in them, is left out, and the rest is embedded again.
The one without which the passage loses most carries it, and what is lost is what it was worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ragkit.domain import Carrier, Chunk, Explanation, Hit, NearMiss
from ragkit.nearness import nearness, unrelated_cosine
from ragkit.snippets import spelled
from ragkit.text import analyse, fold_line
from ragkit.units import Unit, units

if TYPE_CHECKING:
    from ragkit.roles import Embedder

NEAR_MISSES = 5
"""Passages behind the last hit that are explained, too."""
CANDIDATES = 3
"""So many sentences of a passage are taken away, one at a time."""
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
    carriers = _carriers(query, hits, idf, embedder, language)
    return tuple(
        replace(
            hit,
            explanation=Explanation(
                matched={term: idf[term] for term in hit.terms if term in idf},
                missing={term: weight for term, weight in idf.items() if term not in hit.terms},
                carrier=carrier,
            ),
        )
        for hit, carrier in zip(hits, carriers, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A sentence that may carry a hit."""

    text: str
    cosine: float
    rest: str
    """What is embedded of the passage without it."""
    terms: tuple[str, ...]
    """Matched terms that no other sentence has."""
    weight: float
    """Of those terms."""


def _carriers(
    query: str, hits: Sequence[Hit], idf: Mapping[str, float], embedder: Embedder | None, language: str
) -> list[Carrier | None]:
    """The sentence that carries each hit; None where none has anything in common with the query, or none is missed.

    Texts of all hits are embedded together, twice: their sentences, then the passages, whole and without a candidate.
    """
    sentences = [_sentences(hit) for hit in hits]
    cosines = _cosines(query, [[unit.text for unit in found] for found in sentences], embedder)
    unrelated = unrelated_cosine(embedder)
    candidates = [
        _candidates(hit, found, near, idf, unrelated, language)
        for hit, found, near in zip(hits, sentences, cosines, strict=True)
    ]
    texts = [
        [hit.passage.chunk.indexed, *(one.rest for one in found)] for hit, found in zip(hits, candidates, strict=True)
    ]
    passages = _cosines(query, texts, embedder)
    known = embedder is not None
    return [_costliest(found, near, known) for found, near in zip(candidates, passages, strict=True)]


def _cosines(query: str, groups: Sequence[Sequence[str]], embedder: Embedder | None) -> list[list[float]]:
    """The cosine to the query of each text, all embedded together; 0 without an embedder."""
    texts = [text for group in groups for text in group]
    near = [0.0] * len(texts)
    if embedder is not None and texts:
        near = [float(value) for value in embedder.embed(texts) @ embedder.embed([query], "query")[0]]
    rest = iter(near)
    return [[next(rest) for _ in group] for group in groups]


def _sentences(hit: Hit) -> list[Unit]:
    """The sentences of a passage; those that only say a heading again when there are no others."""
    chunk = hit.passage.chunk
    headings = {_bare(one) for one in (hit.passage.title, *chunk.heading)}
    found = [unit for unit in units(chunk.text) if unit.kind not in ("heading", "fence")]
    return [unit for unit in found if _bare(unit.text) not in headings] or found


def _bare(text: str) -> str:
    return fold_line(text).strip("#=*: .")


def _candidates(
    hit: Hit,
    sentences: Sequence[Unit],
    cosines: Sequence[float],
    idf: Mapping[str, float],
    unrelated: float,
    language: str,
) -> list[_Candidate]:
    """The sentences with most in common with the query, by cosine and weights of terms, the best first."""
    terms = [set(analyse(unit.text, language)) for unit in sentences]
    total = sum(idf.values()) or 1.0
    shares = [sum(weight for term, weight in idf.items() if term in own) / total for own in terms]
    values = [
        (1 - TERMS_SHARE) * nearness(cosine, unrelated) + TERMS_SHARE * share
        for cosine, share in zip(cosines, shares, strict=True)
    ]
    best = sorted(range(len(values)), key=lambda at: -values[at])[:CANDIDATES]
    found = []
    for at in (at for at in best if values[at] > 0):
        elsewhere = set().union(*(own for n, own in enumerate(terms) if n != at))
        alone = tuple(term for term in hit.terms if term in terms[at] - elsewhere)
        weight = sum(idf.get(term, 0.0) for term in alone)
        rest = _without(hit.passage.chunk, sentences[at])
        found.append(_Candidate(sentences[at].text, cosines[at], rest, alone, weight))
    return found


def _without(chunk: Chunk, sentence: Unit) -> str:
    text = f"{chunk.text[: sentence.start].rstrip()} {chunk.text[sentence.end :].lstrip()}".strip()
    return replace(chunk, text=text).indexed


def _costliest(candidates: Sequence[_Candidate], cosines: Sequence[float], known: bool) -> Carrier | None:
    """The candidate without which the passage is farthest from the query, or lacks most where no cosine is known.

    `cosines` are of the whole passage, then of what each candidate leaves.
    """
    if not candidates:
        return None
    pairs = zip(candidates, cosines[1:], strict=True)
    best, without = max(pairs, key=lambda pair: (-pair[1], pair[0].weight))
    if not known:
        return Carrier(best.text, None, None, None, best.terms)
    if without >= cosines[0] and not best.terms:  # others say it as well
        return None
    return Carrier(best.text, best.cosine, cosines[0], without, best.terms)


def near_misses(behind: Sequence[Hit], last: Hit, query: str = "") -> tuple[NearMiss, ...]:
    """The passages behind the last hit, each with what it has less of than that one, in the words of the query."""
    return tuple(NearMiss(hit, _why(hit, last, query)) for hit in behind)


def _why(hit: Hit, last: Hit, query: str) -> str:
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
    if lacking := [spelled(term, query) for term in last.terms if term not in hit.terms]:
        reasons.append(f"lacks {', '.join(lacking)}")
    return "; ".join(reasons) or "as good as the last hit in every stage"

"""Answer with the documents' own sentences, each cited; no model needed.

Knows sentences and analysed terms; knows nothing of how the sources were found.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.domain import Context, Draft, Embedder, Source
from ragkit.text import analyse
from ragkit.units import Unit, units

NAME = "extractive"
MIN_SHARE = 0.75
"""Sentences that score below this share of the best one are left out."""
FOLLOWERS = 6
"""Items or lines of code that a sentence ending with a colon brings along."""
_NEIGHBOUR = 0.1
_COSINE = 1.0
_RANK = 0.2
_SHORT = 4


@dataclass(frozen=True, slots=True)
class _Candidate:
    source: Source
    at: int
    unit: Unit
    terms: frozenset[str]


def extract(
    question: str, context: Context, *, embedder: Embedder | None = None, language: str = "english", limit: int = 3
) -> Draft:
    """At most `limit` sentences that answer the question best, in document order, each followed by its [n].

    A sentence scores the share of the question's terms that it holds, weighted by how rare they are in the
    context, plus a part of its neighbours' share, plus its cosine with the question when there is an embedder.
    """
    started = time.perf_counter()
    passages = [(source, units(source.text)) for source in context.sources]
    candidates = [
        _Candidate(source, at, unit, frozenset(analyse(unit.text, language)))
        for source, parts in passages
        for at, unit in enumerate(parts)
        if unit.kind not in ("heading", "fence")
    ]
    scores = _scores(question, candidates, embedder, language)
    chosen = _choose(candidates, scores, limit)
    parts_of = {source.number: parts for source, parts in passages}
    text = _compose([(candidate, parts_of[candidate.source.number]) for candidate in chosen])
    return Draft(text, NAME, seconds=time.perf_counter() - started)


def _scores(question: str, candidates: Sequence[_Candidate], embedder: Embedder | None, language: str) -> list[float]:
    wanted = frozenset(analyse(question, language))
    seen = Counter(term for candidate in candidates for term in candidate.terms & wanted)
    weights = {term: math.log(1 + len(candidates) / (1 + seen[term])) for term in wanted}
    total = sum(weights.values()) or 1.0
    own = [sum(weights[term] for term in candidate.terms & wanted) / total for candidate in candidates]
    scores = []
    for at, candidate in enumerate(candidates):
        around = [
            own[near]
            for near in (at - 1, at + 1)
            if 0 <= near < len(own) and candidates[near].source.number == candidate.source.number
        ]
        rank = _RANK / candidate.source.number
        short = 0.5 if len(candidate.unit.text.split()) < _SHORT or candidate.unit.text.endswith("?") else 1.0
        scores.append(short * (own[at] + _NEIGHBOUR * max(around, default=0.0) + rank))
    if embedder is None or not candidates:
        return scores
    query = embedder.embed([question], "query")[0]
    cosines = embedder.embed([candidate.unit.text for candidate in candidates]) @ query
    return [score + _COSINE * max(0.0, float(cosine)) for score, cosine in zip(scores, cosines, strict=True)]


def _choose(candidates: Sequence[_Candidate], scores: Sequence[float], limit: int) -> list[_Candidate]:
    """The best candidates that do not repeat one another, in document order."""
    best: list[int] = []
    for at in sorted(range(len(candidates)), key=lambda at: -scores[at]):
        if len(best) == limit or scores[at] < MIN_SHARE * scores[best[0] if best else at]:
            break
        if not any(_repeats(candidates[at].terms, candidates[other].terms) for other in best):
            best.append(at)
    return [candidates[at] for at in sorted(best)]


def _repeats(mine: frozenset[str], theirs: frozenset[str]) -> bool:
    return len(mine & theirs) >= 0.8 * max(1, min(len(mine), len(theirs)))


def _compose(chosen: Sequence[tuple[_Candidate, Sequence[Unit]]]) -> str:
    """Sentences run on; items, rows and code keep lines of their own, code in fences."""
    blocks: list[tuple[str, str]] = []
    used: set[tuple[int, int]] = set()
    for candidate, parts in chosen:
        number, at = candidate.source.number, candidate.at
        for follower in (at, *_followers(parts, at)):
            if (number, follower) not in used:
                used.add((number, follower))
                blocks.append(_spell(parts[follower], number))
    text = ""
    before = ""
    for kind, piece in blocks:
        text += {"": "", "sentence": " "}.get(before if kind == "sentence" else before and "line", "\n") + piece
        before = kind
    return text


def _followers(parts: Sequence[Unit], at: int) -> list[int]:
    if not parts[at].text.endswith(":"):
        return []
    found: list[int] = []
    for near in range(at + 1, len(parts)):
        if parts[near].kind in ("item", "code", "row") and len(found) < FOLLOWERS:
            found.append(near)
        elif parts[near].kind != "fence":
            break
    return found


def _spell(unit: Unit, number: int) -> tuple[str, str]:
    line = " ".join(unit.text.split())
    if unit.kind == "sentence":
        return "sentence", f"{line} [{number}]"
    if unit.kind == "code":
        return "line", f"`{unit.text.strip()}` [{number}]"
    return "line", f"- {line.strip('| ') if unit.kind == 'row' else line} [{number}]"

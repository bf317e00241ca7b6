"""Answer with the documents' own sentences, each cited; no model needed.

Knows sentences and analysed terms; knows nothing of how the sources were found.
"""

from __future__ import annotations

import math
import re
import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ragkit.domain import Context, Source
from ragkit.domain.answers import Draft
from ragkit.nearness import nearness, unrelated_cosine
from ragkit.roles import Embedder
from ragkit.text import analyse
from ragkit.units import Unit, units

EXTRACTIVE = "extractive"
"""The model's name in a draft that no language model wrote."""
MIN_SHARE = 0.75
"""Sentences that score below this share of the best one are left out."""
FOLLOWERS = 6
"""Items or lines of code that a sentence ending with a colon brings along."""
_COMMENT = re.compile(r"\s*(?:#|//|/\*|--|;|<!--|\{[{%])")
"""A comment in code, or a directive of a site generator: no answer by itself."""
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
        if unit.kind not in ("heading", "fence") and not _COMMENT.match(unit.text)
    ]
    scores = _scores(question, candidates, embedder, language)
    chosen = _choose(candidates, scores, limit)
    parts_of = {source.number: parts for source, parts in passages}
    text = _compose([(candidate, parts_of[candidate.source.number]) for candidate in chosen])
    return Draft(text, EXTRACTIVE, seconds=time.perf_counter() - started)


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
    unrelated = unrelated_cosine(embedder)
    return [
        score + _COSINE * nearness(float(cosine), unrelated) for score, cosine in zip(scores, cosines, strict=True)
    ]


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
    """Sentences run on; items and rows keep lines of their own; code that stood together stays so, in a fence."""
    blocks: list[tuple[str, list[str], int]] = []
    used: set[tuple[int, int]] = set()
    for candidate, parts in chosen:
        number = candidate.source.number
        for at in _together(parts, candidate.at):
            if (number, at) in used:
                continue
            kind = parts[at].kind
            line = parts[at].text.rstrip() if kind == "code" else " ".join(parts[at].text.split())
            if kind == "code" and blocks and blocks[-1][0] == "code" and (number, at - 1) in used:
                blocks[-1][1].append(line)
            else:
                blocks.append((kind, [line], number))
            used.add((number, at))
    text = before = ""
    for block, lines, number in blocks:
        text += _apart(before, block) + _spell(block, lines, number)
        before = block
    return text


def _together(parts: Sequence[Unit], at: int) -> list[int]:
    """The unit and what it makes no sense without: the lines of code around one, the list after a colon."""
    first = last = at
    if parts[at].kind == "code":
        while first and parts[first - 1].kind == "code" and last - first < FOLLOWERS:
            first -= 1
        while last + 1 < len(parts) and parts[last + 1].kind == "code" and last - first < FOLLOWERS:
            last += 1
        return list(range(first, last + 1))
    if not parts[at].text.endswith(":"):
        return [at]
    found = [at]
    for near in range(at + 1, len(parts)):
        if parts[near].kind in ("item", "code", "row") and len(found) <= FOLLOWERS:
            found.append(near)
        elif parts[near].kind != "fence":
            break
    return found


def _apart(before: str, kind: str) -> str:
    """What stands between two blocks, so that Markdown keeps them apart."""
    if not before:
        return ""
    if kind == "sentence":
        return " " if before == "sentence" else "\n\n"
    return "\n"


def _spell(kind: str, lines: Sequence[str], number: int) -> str:
    if kind == "code":
        return "\n".join(("```", *textwrap.dedent("\n".join(lines)).split("\n"), "```", f"[{number}]"))
    line = lines[0].strip("| ") if kind == "row" else lines[0]
    return f"{line} [{number}]" if kind == "sentence" else f"- {line} [{number}]"

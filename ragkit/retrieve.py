"""Find the passages that answer a query: search both indexes, fuse their lists into one ranking.

Knows ranks, scores and queries; knows nothing of files, passages' text, models or how an index is built.
Fusion is two pure functions over ranked lists, `fuse_ranks` and `fuse_scores`.

A fused score says where a passage stands between the worst and the best that this query could have found
(0 to 1); it orders the hits of one query and cannot be compared between queries. What can be compared is
the dense stage's own score, a cosine, which every hit found by the dense index carries in its stages.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from ragkit import text
from ragkit.domain import Ranked, StageScore

if TYPE_CHECKING:
    from ragkit.config import RetrieveSettings
    from ragkit.domain import ChunkIds, DenseIndex, Embedder, LexicalIndex


K = TypeVar("K", int, str)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """One query's ranking, best first, ties by id, and how each stage came to it.

    `stages[id]` has one entry for each index that was asked: its own rank and raw score (cosine, BM25),
    or None where that index did not return the passage.
    """

    ranked: tuple[Ranked, ...]
    stages: Mapping[int, tuple[StageScore, ...]] = field(default_factory=dict)
    terms: tuple[str, ...] = ()
    """The query as the lexical index sees it, each term once."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds by stage."""


def fuse_ranks(rankings: Sequence[Sequence[K]], k: float = 60) -> dict[K, float]:
    """Reciprocal-rank fusion: each list gives its entry at rank r the score 1 / (k + r); best first.

    Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual rank learning
    methods", SIGIR 2009. Lists hold each entry once; k must be above -1.

    >>> fuse_ranks([["a", "b"], ["b"]], k=0)
    {'b': 1.5, 'a': 1.0}
    """
    shares: dict[K, list[float]] = {}
    for ranking in rankings:
        for rank, key in enumerate(ranking, start=1):
            shares.setdefault(key, []).append(1.0 / (k + rank))
    return _best_first({key: math.fsum(parts) for key, parts in shares.items()})


def fuse_scores(rankings: Sequence[Mapping[K, float]], weights: Sequence[float]) -> dict[K, float]:
    """Convex combination of min-max normalised scores, in [0, 1]; best first.

    Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1), 2023. In each
    list the best score becomes 1 and the worst 0 (all 1 if they are equal); an entry that a list lacks gets 0
    there. Weights are of the size of the rankings, not negative; lists without entries give theirs up, and
    the rest are scaled to add up to 1.

    >>> fuse_scores([{"a": 0.9, "b": 0.5, "c": 0.1}, {"b": 12.0, "c": 8.0}], weights=[0.5, 0.5])
    {'b': 0.75, 'a': 0.5, 'c': 0.0}
    """
    present = [(ranking, weight) for ranking, weight in zip(rankings, weights, strict=True) if ranking]
    total = math.fsum(weight for _, weight in present)
    shares: dict[K, list[float]] = {}
    for ranking, weight in present:
        share = weight / total if total else 1.0 / len(present)
        for key, score in normalise(ranking).items():
            shares.setdefault(key, []).append(share * score)
    return _best_first({key: min(1.0, math.fsum(parts)) for key, parts in shares.items()})


def normalise(scores: Mapping[K, float]) -> dict[K, float]:
    """Min-max: the best score becomes 1 and the worst 0; equal scores all become 1.

    >>> normalise({"a": 3.0, "b": 2.0, "c": 1.0}), normalise({"a": 7.0})
    ({'a': 1.0, 'b': 0.5, 'c': 0.0}, {'a': 1.0})
    """
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if not high - low > 0.0:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - low) / (high - low) for key, score in scores.items()}


def _best_first(scores: Mapping[K, float]) -> dict[K, float]:
    return dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))


def retrieve(
    query: str,
    dense: DenseIndex | None,
    lexical: LexicalIndex | None,
    embedder: Embedder | None,
    settings: RetrieveSettings,
    *,
    language: str = "english",
    limit: int | None = None,
    allowed: ChunkIds | None = None,
) -> Retrieved:
    """Search the indexes that `settings.mode` names and fuse what they return; at most `limit` entries.

    An index that is None is not asked (nor is `dense` without an embedder), whatever the mode. Only ids in
    `allowed` come back, when it is given.
    """
    limit = settings.limit if limit is None else limit
    depth = max(limit, settings.candidates)
    terms = tuple(dict.fromkeys(text.analyse(query, language)))
    lists: dict[str, list[Ranked]] = {}
    timings: dict[str, float] = {}
    if dense is not None and embedder is not None and settings.mode != "lexical":
        began = time.perf_counter()
        vector = embedder.embed([query], kind="query")[0]
        timings["embed"] = time.perf_counter() - began
        began = time.perf_counter()
        lists["dense"] = dense.search(vector, depth, allowed)
        timings["dense"] = time.perf_counter() - began
    if lexical is not None and settings.mode != "dense":
        began = time.perf_counter()
        lists["lexical"] = lexical.search(terms, depth, allowed) if terms else []
        timings["lexical"] = time.perf_counter() - began
    began = time.perf_counter()
    fused = _fuse(lists, settings)
    ranked = tuple(Ranked(id, score) for id, score in list(fused.items())[:limit])
    stages = _stages(lists, {entry.id for entry in ranked})
    timings["fuse"] = time.perf_counter() - began
    return Retrieved(ranked, stages, terms, timings)


def _fuse(lists: Mapping[str, Sequence[Ranked]], settings: RetrieveSettings) -> dict[int, float]:
    """One list of scores in [0, 1] from one or two, by the method that the settings name."""
    if settings.fusion == "rrf" and len(lists) > 1:
        best = len(lists) / (settings.rrf_k + 1)
        fused = fuse_ranks([[entry.id for entry in _ordered(entries)] for entries in lists.values()], settings.rrf_k)
        return {id: score / best for id, score in fused.items()}
    weights = {"dense": settings.dense_weight, "lexical": 1.0 - settings.dense_weight}
    return fuse_scores(
        [{entry.id: entry.score for entry in entries} for entries in lists.values()],
        [weights[name] for name in lists],
    )


def _stages(lists: Mapping[str, Sequence[Ranked]], wanted: set[int]) -> dict[int, tuple[StageScore, ...]]:
    """What each index said of each wanted id."""
    found: dict[int, dict[str, StageScore]] = {id: {} for id in wanted}
    for stage, entries in lists.items():
        for rank, entry in enumerate(_ordered(entries), start=1):
            if entry.id in found:
                found[entry.id][stage] = StageScore(stage, rank, entry.score)
    return {
        id: tuple(stages.get(stage, StageScore(stage, None, None)) for stage in lists) for id, stages in found.items()
    }


def _ordered(entries: Sequence[Ranked]) -> list[Ranked]:
    """Best first, ties by id: the same whatever order an index breaks its ties in."""
    return sorted(entries, key=lambda entry: (-entry.score, entry.id))

"""Find the passages that answer a query: search both indexes, fuse their lists into one ranking.

Knows ranks, scores and queries; knows nothing of files, passages' text, models or how an index is built.
Fusion is two pure functions over ranked lists, `fuse_ranks` and `fuse_scores`.

A fused score lies between 0 (nothing in common with the query) and 1 (the very same text, holding the query's
words best of all). It orders the hits of one query: its lexical part is relative to that query's best, and
reciprocal ranks are relative altogether. What can be compared between queries is the dense stage's own score,
a cosine, which every hit found by the dense index carries in its stages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ragkit import text
from ragkit.domain import Ranked, StageScore
from ragkit.nearness import unrelated_cosine
from ragkit.stopwatch import Stopwatch

if TYPE_CHECKING:
    from ragkit.config import RetrieveSettings
    from ragkit.domain import ChunkIds, Vectors
    from ragkit.domain.queries import Expansion
    from ragkit.roles import DenseIndex, DocumentIndex, Embedder, LexicalIndex


K = TypeVar("K", int, str)
DOCUMENT = "document"
"""The stage that tells how near a passage's whole document is."""
Bounds: TypeAlias = tuple[float | None, float | None]
"""The lowest and the highest score that a list could hold; None where its own lowest or highest stands in."""


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


def fuse_scores(
    rankings: Sequence[Mapping[K, float]], weights: Sequence[float], bounds: Sequence[Bounds] | None = None
) -> dict[K, float]:
    """Convex combination of scores brought to [0, 1] each, so in [0, 1] itself; best first.

    Bruch, Gai and Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1), 2023. Each
    list is scaled by its `bounds` (see `normalise`); an entry that a list lacks gets 0 there. Weights are not
    negative; lists without entries give theirs up, and the rest are scaled to add up to 1.

    >>> fuse_scores([{"a": 0.9, "b": 0.5, "c": 0.1}, {"b": 12.0, "c": 8.0}], weights=[0.5, 0.5])
    {'b': 0.75, 'a': 0.5, 'c': 0.0}
    """
    spans = bounds or [(None, None)] * len(rankings)
    present = [entry for entry in zip(rankings, weights, spans, strict=True) if entry[0]]
    total = math.fsum(weight for _, weight, _ in present)
    shares: dict[K, list[float]] = {}
    for ranking, weight, span in present:
        share = weight / total if total else 1.0 / len(present)
        for key, score in normalise(ranking, span).items():
            shares.setdefault(key, []).append(share * score)
    return _best_first({key: min(1.0, math.fsum(parts)) for key, parts in shares.items()})


def normalise(scores: Mapping[K, float], bounds: Bounds = (None, None)) -> dict[K, float]:
    """Scores brought to [0, 1]: the lower bound becomes 0, the upper 1, what lies outside is clipped.

    A bound that is None is the list's own lowest or highest score. Where the bounds meet, all become 1.

    >>> normalise({"a": 3.0, "b": 2.0, "c": 1.0}), normalise({"a": 3.0, "b": 1.5}, (0.0, None)), normalise({"a": 7.0})
    ({'a': 1.0, 'b': 0.5, 'c': 0.0}, {'a': 1.0, 'b': 0.5}, {'a': 1.0})
    """
    if not scores:
        return {}
    low = min(scores.values()) if bounds[0] is None else bounds[0]
    high = max(scores.values()) if bounds[1] is None else bounds[1]
    if not high - low > 0.0:
        return dict.fromkeys(scores, 1.0)
    return {key: min(1.0, max(0.0, (score - low) / (high - low))) for key, score in scores.items()}


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
    words: str | None = None,
    group_of: Mapping[int, int] | None = None,
    boilerplate: Set[int] = frozenset(),
    expansion: Expansion | None = None,
    documents: DocumentIndex | None = None,
) -> Retrieved:
    """Search the indexes that `settings.mode` names and fuse what they return; at most `limit` entries.

    An index that is None is not asked (nor is `dense` without an embedder), whatever the mode. Only ids in
    `allowed` come back, when it is given. The lexical index is asked for `words`, when they are not all of the query.
    Of passages with the same number in `group_of`, near-duplicates, the best one comes back; `boilerplate` keeps half
    of its score. An `expansion` adds terms to the lexical query, and vectors whose mean with the query's is searched
    for. With `documents`, the cosine of a passage's document has a share in its dense score; the stage `document`
    tells it.
    """
    limit = settings.limit if limit is None else limit
    depth = max(limit, settings.candidates)
    # A term said twice counts twice, as Okapi BM25 has it.
    terms = text.analyse(query if words is None else words, language)
    asked = terms if expansion is None else terms * expansion.own + list(expansion.terms)
    lists: dict[str, list[Ranked]] = {}
    near: Mapping[int, tuple[float, float]] = {}
    clock = Stopwatch()
    if dense is not None and embedder is not None and settings.mode != "lexical":
        with clock("embed"):
            vector = _vector(query, embedder, expansion)
        with clock("dense"):
            lists["dense"] = dense.search(vector, depth, allowed)
        if documents is not None:
            with clock("documents"):
                near = documents.near(vector, [entry.id for entry in lists["dense"]])
    if lexical is not None and settings.mode != "dense":
        with clock("lexical"):
            lists["lexical"] = lexical.search(asked, depth, allowed) if asked else []
    with clock("fuse"):
        moved = _with_documents(lists, near, settings.document_share)
        fused = _fuse({**lists, **moved}, settings, unrelated_cosine(embedder))
        fused = _once(_demoted(fused, boilerplate), group_of or {})
        ranked = tuple(Ranked(id, score) for id, score in list(fused.items())[:limit])
        stages = _stages(lists, {entry.id for entry in ranked})
        if near:
            told = _document_stages(near)
            nothing = StageScore(DOCUMENT, None, None)
            stages = {id: (*found, told.get(id, nothing)) for id, found in stages.items()}
    return Retrieved(ranked, stages, tuple(dict.fromkeys(terms)), clock.seconds)


def _vector(query: str, embedder: Embedder, expansion: Expansion | None) -> Vectors:
    """The query's vector, or the mean of it and of those that an expansion adds, of length 1."""
    if expansion is None or not (expansion.queries or expansion.passages):
        vector: Vectors = embedder.embed([query], kind="query")[0]
        return vector
    total = embedder.embed([query, *expansion.queries], kind="query").sum(axis=0)
    if expansion.passages:
        total = total + embedder.embed(expansion.passages, kind="passage").sum(axis=0)
    length = math.sqrt(float(total @ total))
    mean: Vectors = (total / length if length else total).astype(total.dtype)
    return mean


def _fuse(
    lists: Mapping[str, Sequence[Ranked]], settings: RetrieveSettings, unrelated: float = 0.0
) -> dict[int, float]:
    """One list of scores in [0, 1] from one or two, by the method that the settings name.

    Of the dense side what lies above the cosine of unrelated texts, so that it decides more where it found something
    near and less where it did not; BM25 as a share of the query's best, for it has no upper bound. Better on average
    than min-max scaling of both, and than ranks (docs/retrieval.md).
    """
    if settings.fusion == "rrf" and len(lists) > 1:
        best = len(lists) / (settings.rrf_k + 1)
        fused = fuse_ranks([[entry.id for entry in _ordered(entries)] for entries in lists.values()], settings.rrf_k)
        return {id: score / best for id, score in fused.items()}
    scores = {stage: {entry.id: entry.score for entry in entries} for stage, entries in lists.items()}
    if scores.get("dense"):
        # What the dense index did not return is at most as near as the last that it did; nothing is known of
        # it beyond that. What the lexical index did not return shares no term, or none that counts.
        farthest = min(scores["dense"].values())
        scores["dense"] = dict.fromkeys(scores.get("lexical", ()), farthest) | scores["dense"]
    weights = {"dense": settings.dense_weight, "lexical": 1.0 - settings.dense_weight}
    bounds: Mapping[str, Bounds] = {"dense": (unrelated, 1.0), "lexical": (0.0, None)}
    return fuse_scores(
        list(scores.values()), [weights[stage] for stage in scores], [bounds[stage] for stage in scores]
    )


def _with_documents(
    lists: Mapping[str, Sequence[Ranked]], near: Mapping[int, tuple[float, float]], share: float
) -> dict[str, list[Ranked]]:
    """The dense list with each score moved towards that of the passage's document; nothing when none has one."""
    if not near:
        return {}
    moved = []
    for entry in lists["dense"]:
        says, cosine = near.get(entry.id, (0.0, 0.0))
        moved.append(Ranked(entry.id, entry.score + share * says * (cosine - entry.score)))
    return {"dense": _ordered(moved)}


def _demoted(scores: Mapping[int, float], boilerplate: Set[int]) -> Mapping[int, float]:
    """The scores, best first, those of boilerplate halved."""
    if boilerplate.isdisjoint(scores):
        return scores
    return _best_first({id: score / 2 if id in boilerplate else score for id, score in scores.items()})


def _once(scores: Mapping[int, float], group_of: Mapping[int, int]) -> dict[int, float]:
    """The scores, best first, without the passages of a group that a better one has spoken for."""
    found: dict[int, float] = {}
    taken: set[int] = set()
    for id, score in scores.items():
        group = group_of.get(id)
        if group is None or group not in taken:
            found[id] = score
        if group is not None:
            taken.add(group)
    return found


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


def _document_stages(near: Mapping[int, tuple[float, float]]) -> dict[int, StageScore]:
    """What the documents said of each chunk; chunks of one document share its rank."""
    cosines = sorted({cosine for _, cosine in near.values()}, reverse=True)
    ranks = {cosine: rank for rank, cosine in enumerate(cosines, start=1)}
    return {id: StageScore(DOCUMENT, ranks[cosine], cosine) for id, (_, cosine) in near.items()}


def _ordered(entries: Sequence[Ranked]) -> list[Ranked]:
    """Best first, ties by id: the same whatever order an index breaks its ties in."""
    return sorted(entries, key=lambda entry: (-entry.score, entry.id))

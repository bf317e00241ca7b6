"""Fusion keeps its promises for any lists, and a retrieval says how each stage saw each passage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit.config import RetrieveSettings
from ragkit.domain import Ranked
from ragkit.retrieve import Retrieved, fuse_ranks, fuse_scores, normalise, retrieve
from ragkit.testing import HashEmbedder, NarrowEmbedder
from ragkit.text import analyse

if TYPE_CHECKING:
    from ragkit.domain import ChunkIds, Vectors

TEXTS = {
    7: "set listen_port in server.toml to change the port",
    8: "backups run every night and are kept for a month",
    9: "restore a backup with vault restore",
    10: "the port of the web interface is 8443",
}

scores = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
ranking = st.dictionaries(st.integers(0, 30), scores, max_size=12)
rankings = st.lists(ranking, min_size=1, max_size=4)


def order(scored: dict[int, float]) -> list[int]:
    return sorted(scored, key=lambda key: (-scored[key], key))


class Dense:
    """Brute force over a handful of vectors."""

    def __init__(self, embedder: HashEmbedder | NarrowEmbedder) -> None:
        self.vectors = dict(zip(TEXTS, embedder.embed(list(TEXTS.values())), strict=True))

    def search(self, vector: Vectors, limit: int, allowed: ChunkIds | None = None) -> list[Ranked]:
        ids = [id for id in self.vectors if allowed is None or id in allowed]
        found = [Ranked(id, float(self.vectors[id] @ vector)) for id in ids]
        return sorted(found, key=lambda entry: -entry.score)[:limit]


class Lexical:
    """Counts shared terms."""

    def search(self, terms: Sequence[str], limit: int, allowed: ChunkIds | None = None) -> list[Ranked]:
        found = [
            Ranked(id, float(len(set(terms) & set(analyse(text)))))
            for id, text in TEXTS.items()
            if allowed is None or id in allowed
        ]
        return sorted((entry for entry in found if entry.score > 0), key=lambda entry: -entry.score)[:limit]


def find(query: str, settings: RetrieveSettings | None = None, **options: object) -> Retrieved:
    embedder = HashEmbedder(256)
    parts = {"dense": Dense(embedder), "lexical": Lexical(), "embedder": embedder} | options
    return retrieve(query, settings=settings or RetrieveSettings(), **parts)  # type: ignore[arg-type]


# ---------------------------------------------------------------- reciprocal ranks


@given(rankings, st.integers(0, 100), st.randoms())
def test_rank_fusion_does_not_depend_on_the_order_of_the_lists(lists, k, random) -> None:
    shuffled = random.sample(lists, len(lists))
    assert fuse_ranks([order(one) for one in lists], k) == fuse_ranks([order(one) for one in shuffled], k)


@given(ranking, st.integers(0, 100))
def test_rank_fusion_of_one_list_keeps_its_order(scored, k) -> None:
    assert list(fuse_ranks([order(scored)], k)) == order(scored)


@given(st.lists(st.integers(), min_size=2, max_size=12, unique=True), st.data())
def test_moving_up_in_one_list_never_lowers_the_fused_rank_score(keys, data) -> None:
    at = data.draw(st.integers(1, len(keys) - 1))
    moved = [*keys[: at - 1], keys[at], keys[at - 1], *keys[at + 1 :]]
    other = data.draw(st.permutations(keys))
    assert fuse_ranks([moved, other])[keys[at]] > fuse_ranks([keys, other])[keys[at]]


def test_rank_fusion_gives_the_published_formula() -> None:
    assert fuse_ranks([["a", "b"], ["b", "c"]], k=60) == {"b": 1 / 62 + 1 / 61, "a": 1 / 61, "c": 1 / 62}


# ---------------------------------------------------------------- scores


@given(rankings, st.data())
def test_fused_scores_lie_between_zero_and_one(lists, data) -> None:
    weights = data.draw(st.lists(st.floats(0, 10), min_size=len(lists), max_size=len(lists)))
    fused = fuse_scores(lists, weights)
    assert set(fused) == {key for one in lists for key in one}
    assert all(0.0 <= score <= 1.0 for score in fused.values())
    assert list(fused) == order(fused)


@given(rankings, st.data())
def test_score_fusion_does_not_depend_on_the_order_of_the_lists(lists, data) -> None:
    weights = data.draw(st.lists(st.floats(0, 1), min_size=len(lists), max_size=len(lists)))
    places = data.draw(st.permutations(range(len(lists))))
    assert fuse_scores(lists, weights) == fuse_scores([lists[i] for i in places], [weights[i] for i in places])


@given(ranking, st.floats(0.01, 5))
def test_score_fusion_of_one_list_is_that_list_normalised(scored, weight) -> None:
    assert fuse_scores([scored], [weight]) == normalise(scored)
    assert list(fuse_scores([scored, {}], [weight, 1.0])) == order(normalise(scored))


@given(ranking.filter(lambda scored: len(scored) > 1), ranking, st.floats(0, 1), st.data())
def test_a_better_score_in_one_list_never_lowers_the_fused_one(scored, other, weight, data) -> None:
    key = data.draw(st.sampled_from(sorted(scored)))
    low, high = min(scored.values()), max(scored.values())
    raised = scored | {key: scored[key] + (high - scored[key]) * data.draw(st.floats(0, 1))}
    if min(raised.values()) > low:  # the worst moved: the scale of the others did, too
        return
    weights = [weight, 1 - weight]
    assert fuse_scores([raised, other], weights)[key] >= fuse_scores([scored, other], weights)[key] - 1e-12


@pytest.mark.parametrize("lists", [[], [{}], [{}, {}]])
def test_fusing_nothing_gives_nothing(lists) -> None:
    assert fuse_scores(lists, [1.0] * len(lists)) == {}
    assert fuse_ranks([list(one) for one in lists]) == {}


@given(rankings, st.floats(-5, 0), st.floats(0.1, 5))
def test_scores_beyond_their_bounds_are_clipped(lists, low, high) -> None:
    fused = fuse_scores(lists, [1.0] * len(lists), [(low, high)] * len(lists))
    assert all(0.0 <= score <= 1.0 for score in fused.values())
    assert normalise({1: low, 2: high, 3: high + 1}, (low, high)) == {1: 0.0, 2: 1.0, 3: 1.0}


def test_equal_scores_and_single_entries_are_the_best_of_their_list() -> None:
    assert fuse_scores([{1: 5.0, 2: 5.0}], [1.0]) == {1: 1.0, 2: 1.0}
    assert fuse_scores([{3: -2.0}], [0.0]) == {3: 1.0}


def test_ties_are_broken_by_id() -> None:
    assert list(fuse_scores([{9: 1.0, 2: 1.0, 5: 1.0}], [1.0])) == [2, 5, 9]
    assert list(fuse_ranks([[9, 2], [2, 9]])) == [2, 9]


def test_weights_must_match_the_lists() -> None:
    with pytest.raises(ValueError):
        fuse_scores([{1: 1.0}], [0.5, 0.5])


# ---------------------------------------------------------------- retrieve


def test_hybrid_retrieval_reports_each_stage_with_its_own_rank_and_raw_score() -> None:
    found = find("change the listen_port")
    best = found.ranked[0]
    assert best.id == 7
    stages = {stage.stage: stage for stage in found.stages[7]}
    assert set(stages) == {"dense", "lexical"}
    assert stages["dense"].rank == 1
    assert -1.0 <= stages["dense"].score <= 1.0
    assert stages["lexical"].score == len(set(analyse("change the listen_port")) & set(analyse(TEXTS[7])))
    assert set(found.timings) == {"embed", "dense", "lexical", "fuse"}
    assert found.terms == tuple(dict.fromkeys(analyse("change the listen_port")))


def test_a_passage_that_one_index_missed_says_so() -> None:
    found = find("backup")
    stages = {stage.stage: stage for stage in found.stages[10]}
    assert stages["lexical"].rank is None
    assert stages["lexical"].score is None
    assert stages["dense"].rank is not None


def test_a_term_said_twice_reaches_the_lexical_index_twice_and_is_reported_once() -> None:
    asked: list[list[str]] = []

    class Listening(Lexical):
        def search(self, terms: Sequence[str], limit: int, allowed: ChunkIds | None = None) -> list[Ranked]:
            asked.append(list(terms))
            return super().search(terms, limit, allowed)

    found = find("backup of a backup", lexical=Listening())
    assert asked == [["backup", "backup"]]
    assert found.terms == ("backup",)


@pytest.mark.parametrize(("mode", "stages"), [("dense", {"dense"}), ("lexical", {"lexical"})])
def test_one_mode_asks_one_index(mode, stages) -> None:
    found = find("restore a backup", RetrieveSettings(mode=mode))
    assert {stage.stage for entry in found.stages.values() for stage in entry} == stages
    assert found.ranked[0].id == 9


def test_one_list_alone_scores_by_its_cosine_or_by_its_share_of_the_best() -> None:
    dense = find("restore a backup", RetrieveSettings(mode="dense"))
    assert all(max(0.0, dense.stages[e.id][0].score) == pytest.approx(e.score) for e in dense.ranked)
    assert find("restore a backup", RetrieveSettings(mode="lexical")).ranked[0] == Ranked(9, 1.0)


def test_convex_fusion_adds_the_cosine_and_the_share_of_the_best_lexical_score() -> None:
    found = find("restore a backup", RetrieveSettings(dense_weight=0.75))
    stages = {stage.stage: stage for stage in found.stages[9]}
    assert found.ranked[0].id == 9
    assert found.ranked[0].score == pytest.approx(0.75 * stages["dense"].score + 0.25)


@given(st.floats(0.05, 0.9), st.sampled_from(["restore a backup", "change the listen_port", "cats"]))
def test_an_embedder_whose_vectors_lie_in_a_cone_gives_the_same_scores(unrelated, query) -> None:
    embedder = NarrowEmbedder(unrelated, dimension=256)
    narrow = retrieve(query, Dense(embedder), Lexical(), embedder, RetrieveSettings())
    assert {e.id: e.score for e in narrow.ranked} == pytest.approx(
        {e.id: e.score for e in find(query).ranked}, abs=1e-4
    )


def test_a_passage_that_the_dense_index_left_out_counts_as_its_last() -> None:
    class NearestOnly(Dense):
        def search(self, vector: Vectors, limit: int, allowed: ChunkIds | None = None) -> list[Ranked]:
            return super().search(vector, 1, allowed)

    found = find("restore a backup at the port", dense=NearestOnly(HashEmbedder(256)))
    nearest = next(stage.score for stages in found.stages.values() for stage in stages if stage.rank == 1)
    missed = [e for e in found.ranked if found.stages[e.id][0].rank is None]
    assert missed
    assert all(0.75 * nearest <= entry.score < 1.0 for entry in missed)


@pytest.mark.parametrize("fusion", ["convex", "rrf"])
@given(query=st.text(max_size=40), limit=st.integers(1, 6))
def test_any_query_gives_at_most_the_limit_in_order_with_scores_in_range(fusion, query, limit) -> None:
    found = find(query, RetrieveSettings(fusion=fusion), limit=limit)
    assert len(found.ranked) <= limit
    assert all(0.0 <= entry.score <= 1.0 for entry in found.ranked)
    assert [(-entry.score, entry.id) for entry in found.ranked] == sorted((-e.score, e.id) for e in found.ranked)
    assert set(found.stages) == {entry.id for entry in found.ranked}


def test_best_of_both_lists_scores_one_under_rank_fusion() -> None:
    assert find("restore a backup", RetrieveSettings(fusion="rrf")).ranked[0] == Ranked(9, pytest.approx(1.0))


def test_of_near_duplicates_the_best_comes_back_and_others_move_up() -> None:
    every = [entry.id for entry in find("restore a backup").ranked]
    once = [entry.id for entry in find("restore a backup", group_of={every[0]: 0, every[1]: 0, every[2]: 1}).ranked]
    assert once == [every[0], *every[2:]]
    alone = np.array([every[1]], dtype=np.int64)
    assert [e.id for e in find("restore", group_of={every[0]: 0, every[1]: 0}, allowed=alone).ranked] == [every[1]]


def test_boilerplate_keeps_half_of_its_score() -> None:
    plain = {e.id: e.score for e in find("restore a backup").ranked}
    ranked = find("restore a backup", boilerplate=frozenset({9, 99})).ranked
    assert {e.id: e.score for e in ranked} == plain | {9: plain[9] / 2}
    assert [e.score for e in ranked] == sorted((e.score for e in ranked), reverse=True)


def test_only_allowed_passages_come_back() -> None:
    found = find("port", allowed=np.array([8, 10], dtype=np.int64))
    assert {entry.id for entry in found.ranked} == {8, 10}


def test_a_query_of_stop_words_is_answered_by_the_dense_index_alone() -> None:
    found = find("what is it of the")
    assert found.terms == ()
    assert found.ranked
    assert {stage.rank for stages in found.stages.values() for stage in stages if stage.stage == "lexical"} == {None}


def test_a_missing_index_is_not_asked() -> None:
    assert {stage.stage for stages in find("port", lexical=None).stages.values() for stage in stages} == {"dense"}
    assert {stage.stage for stages in find("port", embedder=None).stages.values() for stage in stages} == {"lexical"}
    assert find("port", dense=None, lexical=None).ranked == ()

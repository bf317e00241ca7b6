"""What every search index promises, whichever engine is behind it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ragkit.config import DenseSettings, LexicalSettings
from ragkit.domain import Ranked
from ragkit.errors import SnapshotError
from ragkit.index import dense, lexical
from ragkit.index.ranking import members, settled
from ragkit.roles import LexicalIndex

ENGINES: tuple[lexical.Engine, ...] = ("rank_bm25", "tantivy")
TEXTS = {
    3: "the snapshot is published whole",
    5: "a reader keeps its snapshot open",
    8: "snapshot snapshot snapshot",
    13: "set max_file_size in ragkit.toml",
    21: "pip install --no-deps ragkit",
    34: "検索エンジンの設定",
}
NONE = np.array([], dtype=np.int64)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> lexical.Engine:
    return request.param  # type: ignore[no-any-return]


def opened(folder: Path, engine: lexical.Engine, texts: dict[int, str]) -> LexicalIndex:
    lexical.build(folder, engine, sorted(texts.items()), "english")
    return lexical.open_lexical(folder, engine)


def ids(found: Sequence[Ranked]) -> list[int]:
    return [one.id for one in found]


# ---------------------------------------------------------------- lexical


def test_chunks_with_a_query_term_come_back_best_first(tmp_path: Path, engine: lexical.Engine) -> None:
    found = opened(tmp_path, engine, TEXTS).search(["snapshot"], 10)
    assert ids(found) == [8, 3, 5]
    assert all(one.score > 0 for one in found)


def test_the_chunks_that_hold_all_of_some_terms_are_counted_and_listed(
    tmp_path: Path, engine: lexical.Engine
) -> None:
    index = opened(tmp_path, engine, TEXTS)
    assert (index.holders("snapshot"), index.holders("nowhere"), index.holders("x" * 500)) == (3, 0, 0)
    assert index.holding(["snapshot", "whole"]).tolist() == [3]
    assert index.holding(["snapshot"]).tolist() == [3, 5, 8]
    assert index.holding([]).tolist() == sorted(TEXTS)
    assert index.holding(["snapshot", "nowhere"]).tolist() == []


def test_an_empty_index_holds_nothing(tmp_path: Path, engine: lexical.Engine) -> None:
    index = opened(tmp_path, engine, {})
    assert index.holders("snapshot") == 0
    assert index.holding([]).tolist() == []


def test_identifiers_and_unspaced_scripts_are_found(tmp_path: Path, engine: lexical.Engine) -> None:
    index = opened(tmp_path, engine, TEXTS)
    assert ids(index.search(["max_file_size"], 3)) == [13]
    assert ids(index.search(["検索"], 3)) == [34]


def test_limit_cuts_and_zero_gives_nothing(tmp_path: Path, engine: lexical.Engine) -> None:
    index = opened(tmp_path, engine, TEXTS)
    assert ids(index.search(["snapshot"], 1)) == [8]
    assert index.search(["snapshot"], 0) == []


def test_terms_that_nobody_has_find_nothing(tmp_path: Path, engine: lexical.Engine) -> None:
    index = opened(tmp_path, engine, TEXTS)
    assert index.search(["zebra"], 5) == []
    assert index.search([], 5) == []
    assert index.search(["x" * 500], 5) == []
    assert ids(index.search(["zebra", "pip"], 5)) == [21]


def test_a_word_of_one_chunk_out_of_two_is_found(tmp_path: Path, engine: lexical.Engine) -> None:
    """rank_bm25's own idf is zero there."""
    index = opened(tmp_path, engine, {1: "alpha", 2: "beta"})
    assert ids(index.search(["alpha"], 5)) == [1]
    assert opened(tmp_path / "one", engine, {1: "alpha"}).search(["alpha"], 5)[0].id == 1


def test_a_repeated_query_term_counts_twice(tmp_path: Path, engine: lexical.Engine) -> None:
    index = opened(tmp_path, engine, TEXTS)
    once, twice = index.search(["pip"], 1)[0], index.search(["pip", "pip"], 1)[0]
    assert twice.score == pytest.approx(2 * once.score)


def test_ties_are_in_the_order_of_ids_even_at_the_cut(tmp_path: Path, engine: lexical.Engine) -> None:
    index = opened(tmp_path, engine, dict.fromkeys(range(100, 0, -3), "same words here"))
    expected = sorted(range(100, 0, -3))[:7]
    assert ids(index.search(["word"], 7)) == expected
    assert ids(index.search(["word"], 7, np.arange(1, 101))) == expected


def test_allowed_ids_still_fill_the_limit(tmp_path: Path, engine: lexical.Engine) -> None:
    texts = {id: "common word " + "filler " * (id % 7) for id in range(1, 400)}
    index = opened(tmp_path, engine, texts)
    allowed = np.arange(300, 340, dtype=np.int64)
    everything = [one for one in index.search(["common"], 400) if 300 <= one.id < 340]
    found = index.search(["common"], 10, allowed)
    assert ids(found) == ids(everything[:10])
    assert index.search(["common"], 10, NONE) == []


def test_many_allowed_ids_give_the_same_as_filtering_everything(tmp_path: Path, engine: lexical.Engine) -> None:
    count = lexical._FEW_IDS * 2 + 100
    index = opened(tmp_path, engine, {id: f"common w{id % 50}" for id in range(1, count)})
    allowed = np.arange(2, count, 2, dtype=np.int64)
    found = index.search(["common", "w8"], 20, allowed)
    assert len(found) == 20
    assert ids(found) == [one.id for one in index.search(["common", "w8"], count) if one.id % 2 == 0][:20]


def test_empty_index_and_chunks_without_terms_are_searchable(tmp_path: Path, engine: lexical.Engine) -> None:
    assert opened(tmp_path / "a", engine, {}).search(["x"], 3) == []
    assert opened(tmp_path / "b", engine, {1: "the of and"}).search(["x"], 3) == []


def test_extended_index_holds_what_a_new_one_would(tmp_path: Path, engine: lexical.Engine) -> None:
    base, grown = tmp_path / "base", tmp_path / "grown"
    before = opened(base, engine, TEXTS)
    added = {40: "another snapshot of the day", 41: "zebra crossing"}
    lexical.extend(base, grown, engine, np.array([5, 8]), sorted(added.items()), "english")
    after = lexical.open_lexical(grown, engine)
    assert set(ids(after.search(["snapshot"], 9))) == {3, 40}
    assert ids(after.search(["zebra"], 9)) == [41]
    assert set(ids(before.search(["snapshot"], 9))) == {3, 5, 8}
    assert set(ids(lexical.open_lexical(base, engine).search(["snapshot"], 9))) == {3, 5, 8}
    assert len(after) == len(TEXTS)  # type: ignore[arg-type]


def test_damaged_lexical_files_are_reported(tmp_path: Path, engine: lexical.Engine) -> None:
    with pytest.raises(SnapshotError, match="cannot be read"):
        lexical.open_lexical(tmp_path / "nowhere", engine)
    opened(tmp_path / "a", engine, TEXTS)
    for file in (tmp_path / "a").iterdir():
        file.write_bytes(b"\0" * 10)
    with pytest.raises(SnapshotError, match="run `ragkit ingest --rebuild`"):
        lexical.open_lexical(tmp_path / "a", engine)


def bm25(texts: dict[int, Sequence[str]], query: Sequence[str]) -> dict[int, float]:
    """Okapi BM25 with Lucene's idf, as written in Kamphuis et al. (2020), times (k1 + 1)."""
    average = sum(map(len, texts.values())) / len(texts)
    holders = Counter(term for terms in texts.values() for term in set(terms))
    scores = dict.fromkeys(texts, 0.0)
    for id, terms in texts.items():
        for term in query:
            count = terms.count(term)
            idf = math.log(1 + (len(texts) - holders[term] + 0.5) / (holders[term] + 0.5))
            norm = lexical.K1 * (1 - lexical.B + lexical.B * len(terms) / average)
            scores[id] += idf * count * (lexical.K1 + 1) / (count + norm)
    return {id: score for id, score in scores.items() if score > 0}


def test_engines_score_by_the_textbook_formula(tmp_path: Path, engine: lexical.Engine) -> None:
    # Lengths up to 24 terms are kept exactly by tantivy's one byte.
    words = [f"term{number}" for number in range(30)]
    texts = {id: [words[(id * step) % 30] for step in range(1, 5 + id % 20)] for id in range(1, 60)}
    index = opened(tmp_path, engine, {id: " ".join(terms) for id, terms in texts.items()})
    for query in (["term3"], ["term3", "term7", "term20"]):
        expected = bm25(texts, query)
        assert {one.id: one.score for one in index.search(query, 100)} == pytest.approx(expected, rel=1e-4)


def test_auto_takes_tantivy_above_the_threshold() -> None:
    settings = LexicalSettings(auto_chunks=10)
    assert [lexical.choose(settings, count) for count in (10, 11)] == ["rank_bm25", "tantivy"]
    assert lexical.choose(LexicalSettings(engine="rank_bm25"), 10**6) == "rank_bm25"


def test_analyser_fingerprint_depends_on_the_language() -> None:
    assert lexical.fingerprint("english") == lexical.fingerprint("english")
    assert lexical.fingerprint("english") != lexical.fingerprint("none")


# ---------------------------------------------------------------- dense


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def random_vectors(count: int, dimension: int = 16, seed: int = 0) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)))


def written(folder: Path, keys: np.ndarray, vectors: np.ndarray, exact: int = 10**6) -> dense.FaissIndex:
    facts = dense.build(
        folder / "dense.faiss",
        lambda: [(keys, vectors)],
        len(keys),
        vectors.shape[1],
        DenseSettings(exact_chunks=exact),
    )
    return dense.FaissIndex(folder / "dense.faiss", facts)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    limit=st.integers(0, 70),
    seed=st.integers(0, 10**6),
    distinct=st.integers(1, 60),
    share=st.floats(0, 1) | st.none(),
)
def test_exact_search_is_brute_force(
    tmp_path_factory: pytest.TempPathFactory, count: int, limit: int, seed: int, distinct: int, share: float | None
) -> None:
    random = np.random.default_rng(seed)
    vectors = random_vectors(distinct, 8, seed)[random.integers(0, distinct, count)]  # duplicates make ties
    keys = np.sort(random.choice(10_000, count, replace=False)).astype(np.int64)
    allowed = None if share is None else keys[random.random(count) < share]
    query = random_vectors(1, 8, seed + 1)[0]
    index = written(tmp_path_factory.mktemp("dense"), keys, vectors)
    members = set(keys.tolist() if allowed is None else allowed.tolist())
    scores = {
        int(key): float(vector @ query) for key, vector in zip(keys, vectors, strict=True) if int(key) in members
    }
    found = index.search(query, limit, allowed)
    assert len(found) == min(limit, len(scores))
    assert [one.score for one in found] == pytest.approx(sorted(scores.values(), reverse=True)[:limit], abs=1e-5)
    assert all(one.score == pytest.approx(scores[one.id], abs=1e-5) for one in found)
    assert found == sorted(found, key=lambda one: (-one.score, one.id))
    assert len(set(ids(found))) == len(found)


def test_large_index_measures_its_recall(tmp_path: Path) -> None:
    vectors = random_vectors(3000)
    index = written(tmp_path, np.arange(1, 3001), vectors, exact=1000)
    facts = index._facts
    assert facts.kind == dense.IVF
    assert facts.lists == 64
    assert 0.9 < facts.recall_at_10 <= 1
    assert ids(index.search(vectors[41], 1)) == [42]


def test_large_index_fills_the_limit_from_few_allowed_ids(tmp_path: Path) -> None:
    vectors = random_vectors(3000)
    keys = np.arange(1, 3001)
    facts = dense.build(
        tmp_path / "x", lambda: [(keys, vectors)], 3000, 16, DenseSettings(exact_chunks=1000, probes=1)
    )
    index = dense.FaissIndex(tmp_path / "x", facts)
    allowed = np.array([7, 1900, 2500, 2999])
    assert sorted(ids(index.search(vectors[0], 10, allowed))) == allowed.tolist()
    assert index.search(vectors[0], 10, NONE) == []


@pytest.mark.parametrize("exact", [10**6, 100])
def test_many_allowed_ids_are_the_only_ones_that_come_back(tmp_path: Path, exact: int) -> None:
    keys = np.arange(5, 5 + 3 * (dense.MANY_IDS + 500), 3, dtype=np.int64)
    vectors = random_vectors(len(keys))
    index = written(tmp_path, keys, vectors, exact)
    allowed = np.delete(keys, [0, 700, len(keys) - 1])
    assert len(allowed) > dense.MANY_IDS
    for at in (0, 700, len(keys) - 1):
        without = [id for id in ids(index.search(vectors[at], 20)) if id != keys[at]]
        assert ids(index.search(vectors[at], 19, allowed))[: len(without)] == without[:19]


@given(st.lists(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_members_are_looked_up_in_order(wanted: list[int], among: set[int]) -> None:
    table = np.asarray(sorted(among), dtype=np.int64)
    assert members(wanted, table) == [id for id in wanted if id in among]


def test_large_index_is_extended_without_training(tmp_path: Path) -> None:
    vectors, more = random_vectors(3000), random_vectors(50, seed=9)
    keys, settings = np.arange(1, 3001), DenseSettings(exact_chunks=1000)
    facts = dense.build(tmp_path / "a", lambda: [(keys, vectors)], 3000, 16, settings)
    added = [(np.arange(5000, 5050), more)]
    grown = dense.extend(tmp_path / "a", facts, tmp_path / "b", np.array([1, 2]), lambda: added, 3048, settings)
    assert grown is not None
    index = dense.FaissIndex(tmp_path / "b", grown)
    assert len(index) == 3048
    assert ids(index.search(more[7], 1)) == [5007]
    assert 1 not in ids(index.search(vectors[0], 50))
    assert dense.extend(tmp_path / "a", facts, tmp_path / "c", keys[:2000], lambda: added, 1050, settings) is None


def test_vectors_of_an_exact_index_can_be_read_back(tmp_path: Path) -> None:
    vectors, keys = random_vectors(100), np.arange(10, 110)
    written(tmp_path, keys, vectors)
    parts = list(dense.vectors_of(tmp_path / "dense.faiss", np.array([12, 13, 90]), block=32))
    assert np.concatenate([part[0] for part in parts]).tolist() == [12, 13, 90]
    assert np.array_equal(np.concatenate([part[1] for part in parts]), vectors[[2, 3, 80]])


def test_query_of_another_dimension_and_damaged_file_are_reported(tmp_path: Path) -> None:
    index = written(tmp_path, np.arange(5), random_vectors(5))
    with pytest.raises(SnapshotError, match="8 dimensions"):
        index.search(np.ones(8, dtype=np.float32), 3)
    (tmp_path / "dense.faiss").write_bytes(b"nonsense")
    with pytest.raises(SnapshotError, match="cannot be read"):
        dense.FaissIndex(tmp_path / "dense.faiss", index._facts)


def test_missing_vectors_are_not_published(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="6 chunks have 5 vectors"):
        dense.build(tmp_path / "x", lambda: [(np.arange(5), random_vectors(5))], 6, 16, DenseSettings())


# ---------------------------------------------------------------- ranking


@given(st.lists(st.sampled_from([0.1, 0.2, 0.3]), max_size=80), st.integers(0, 90), st.randoms())
def test_order_of_ties_does_not_depend_on_the_engine(scores: list[float], limit: int, random: object) -> None:
    entries = [Ranked(id, score) for id, score in enumerate(scores)]
    random.shuffle(entries)  # type: ignore[attr-defined]
    entries.sort(key=lambda one: -one.score)  # stable: ties stay shuffled
    expected = sorted(entries, key=lambda one: (-one.score, one.id))[:limit]
    assert settled(lambda n: entries[:n], limit, len(entries)) == expected

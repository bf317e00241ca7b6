"""Reranking reorders hits by a blend of scores; one contract for both cross-encoder engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragkit import sbert
from ragkit.config import RerankSettings
from ragkit.domain import Chunk, Hit, Passage, StageScore
from ragkit.embed import open_embedder
from ragkit.encoder import Encoder
from ragkit.errors import ModelNotFound, ModelUnsuitable
from ragkit.models.prepare import prepare
from ragkit.rerank import SentenceReranker, cooled, open_reranker, rerank
from ragkit.testing import HashEmbedder, NarrowEmbedder, OverlapReranker
from tests import toy_models


def hit(number: int, text: str, score: float) -> Hit:
    chunk = Chunk(0, len(text), text)
    passage = Passage(id=number, document_id=number, ordinal=0, path=f"{number}.md", title="", chunk=chunk)
    return Hit(passage, score, (StageScore("fused", number, score),))


def passages(*texts: str) -> list[Passage]:
    return [hit(number, text, 0.5).passage for number, text in enumerate(texts)]


HITS = [
    hit(1, "cats sleep", 0.9),
    hit(2, "the port of the server", 0.8),
    hit(3, "server port", 0.7),
    hit(4, "dogs", 0.6),
]


# ---------------------------------------------------------------- the stage


def test_hits_that_the_reranker_prefers_come_first_and_keep_every_stages_opinion() -> None:
    found = rerank("server port", HITS, OverlapReranker(), RerankSettings(depth=10, weight=0.7))
    assert [entry.passage.id for entry in found] == [2, 3, 1, 4]
    assert found[0].score == pytest.approx(0.7 * 1.0 + 0.3 * 0.8)
    assert found[0].stages == (StageScore("fused", 2, 0.8), StageScore("rerank", 1, 1.0))


def test_hits_below_the_depth_follow_in_their_order_with_no_higher_score() -> None:
    found = rerank("dogs", HITS, OverlapReranker(), RerankSettings(depth=2, weight=1.0))
    assert [entry.passage.id for entry in found] == [1, 2, 3, 4]
    assert [entry.score for entry in found] == [0.0, 0.0, 0.0, 0.0]
    assert found[-1].stages[-1] == StageScore("rerank", None, None)


def test_no_hits_stay_no_hits() -> None:
    assert rerank("q", [], OverlapReranker(), RerankSettings()) == ()


@given(
    st.lists(st.floats(0, 1), max_size=12), st.integers(1, 15), st.floats(0, 1), st.text(alphabet="abc ", max_size=9)
)
def test_scores_never_rise_and_no_hit_is_lost(scores: list[float], depth: int, weight: float, query: str) -> None:
    hits = [hit(number, "abc"[number % 3] * 2, score) for number, score in enumerate(sorted(scores, reverse=True))]
    found = rerank(query, hits, OverlapReranker(), RerankSettings(depth=depth, weight=weight))
    assert sorted(entry.passage.id for entry in found) == [entry.passage.id for entry in hits]
    assert all(a.score >= b.score for a, b in zip(found, found[1:], strict=False))  # noqa: RUF007
    assert all(0 <= entry.score <= 1 for entry in found)


def test_a_reranker_has_the_weight_it_deserves_unless_the_settings_say_another() -> None:
    own = rerank("server port", HITS, OverlapReranker(), RerankSettings())
    assert own[0].score == pytest.approx(OverlapReranker.weight * 1.0 + (1 - OverlapReranker.weight) * 0.8)
    told = rerank("server port", HITS, OverlapReranker(), RerankSettings(weight=0.5))
    assert told[0].score == pytest.approx(0.5 * 1.0 + 0.5 * 0.8)


# ---------------------------------------------------------------- sentence by sentence


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 20))
def test_cooling_keeps_the_order_and_the_bounds(one: float, other: float, temperature: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= cooled(low, temperature) <= cooled(high, temperature) <= 1
    assert cooled(0.5, temperature) == pytest.approx(0.5)
    assert cooled(low, 1.0) == low


def test_the_best_sentence_speaks_for_its_passage() -> None:
    reranker = SentenceReranker(HashEmbedder())
    filler = "Cats sleep all day long. Dogs bark at night. Birds sing in trees."
    with_it, without = passages(f"{filler} The server port is 8080.", f"{filler} Fish swim in water.")
    scores = reranker.score("server port", [with_it, without])
    assert scores[0] > scores[1]
    assert all(0.0 <= score <= 1.0 for score in scores)


def test_an_embedder_whose_vectors_lie_in_a_cone_gives_the_same_scores() -> None:
    found = passages("The server port is 8080. Cats sleep.", "Dogs bark at night.", "A port of call.")
    plain, narrow = (
        SentenceReranker(embedder).score("server port", found) for embedder in (HashEmbedder(), NarrowEmbedder(0.7))
    )
    assert narrow == pytest.approx(plain, abs=1e-4)


def test_of_two_passages_as_near_the_one_with_more_to_say_wins() -> None:
    stub, whole = passages("Server port", "Server port")
    whole = replace(whole, chunk=replace(whole.chunk, tokens=200))
    scores = SentenceReranker(HashEmbedder()).score("server port", [stub, whole])
    assert scores[1] > scores[0]


def test_a_short_function_is_no_stub() -> None:
    (short,) = passages("server port")
    chunk = replace(short.chunk, tokens=2)
    prose, code = (replace(short, chunk=chunk, format=format) for format in ("markdown", "python"))
    one, other = SentenceReranker(HashEmbedder()).score("server port", [prose, code])
    long = replace(prose, chunk=replace(chunk, tokens=256))
    assert one < other == pytest.approx(SentenceReranker(HashEmbedder()).score("server port", [long])[0])


def test_stored_sentence_vectors_are_used_and_only_the_others_are_embedded_now() -> None:
    embedder = HashEmbedder()
    near, far, unknown = [hit(n, text, 0.5).passage for n, text in ((1, "a b"), (2, "c d"), (3, "server port"))]
    query = embedder.embed(["server port"], "query")
    kept = {1: np.vstack([query, -query]), 2: np.zeros((0, 64), dtype=np.float32)}
    asked: list[list[int]] = []

    def stored(ids: Sequence[int]) -> Mapping[int, Any]:
        asked.append(list(ids))
        return kept

    before = embedder.embedded
    scores = SentenceReranker(embedder, stored=stored).score("server port", [near, far, unknown])
    assert asked == [[1, 2, 3]]
    assert embedder.embedded == before + 2  # the query and the one sentence without a stored vector
    assert scores[0] == pytest.approx(0.6)
    assert scores[1] == 0.0
    assert scores[2] == pytest.approx(0.6)


def test_passages_without_a_sentence_and_no_passages_are_no_trouble() -> None:
    reranker = SentenceReranker(HashEmbedder())
    assert reranker.score("q", []) == []
    assert reranker.score("q", passages("```", "")) == [0.0, 0.0]


# ---------------------------------------------------------------- cross-encoders, both engines


@pytest.fixture(scope="session")
def cross_encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("cross")
    source = toy_models.save_cross_encoder(folder / "ce")
    return {
        engine: prepare(
            f"path:{source}", "reranker", folder / "models", engine=engine, prefer="fidelity", threads=2
        ).path
        for engine in ("onnx", "sentence-transformers")
    }


@pytest.fixture(params=["onnx", "sentence-transformers"])
def reranker(request: pytest.FixtureRequest, cross_encoders: dict[str, Path]) -> Any:
    return open_reranker(cross_encoders[request.param], threads=2)


TEXTS = ["restart the server", "", "a backup is run in the night", "the key and the value " * 60]


def test_every_text_gets_a_score_within_zero_and_one(reranker: Any) -> None:
    scores = reranker.score("how to restart the server?", passages(*TEXTS))
    assert len(scores) == len(TEXTS)
    assert all(0 <= score <= 1 for score in scores)


def test_scores_follow_their_texts_whatever_the_order(reranker: Any) -> None:
    forward = reranker.score("server port", passages(*TEXTS))
    assert reranker.score("server port", passages(*TEXTS[::-1]))[::-1] == pytest.approx(forward, abs=1e-4)


def test_no_texts_give_no_scores(reranker: Any) -> None:
    assert reranker.score("q", []) == []


def test_long_text_is_scored_by_its_best_window(reranker: Any) -> None:
    filler = "the key and the value of the option " * 40
    ending = "restart the server in the night"
    whole = reranker.score("restart the server", passages(filler + ending))[0]
    assert whole >= reranker.score("restart the server", passages(filler))[0] - 1e-3


def test_query_longer_than_the_window_still_scores(reranker: Any) -> None:
    assert len(reranker.score("server " * 300, passages("the port"))) == 1


def test_both_engines_agree(cross_encoders: dict[str, Path]) -> None:
    ours = open_reranker(cross_encoders["onnx"], 2).score("restart the server", passages(*TEXTS))
    theirs = open_reranker(cross_encoders["sentence-transformers"], 2).score("restart the server", passages(*TEXTS))
    assert ours == pytest.approx(theirs, abs=2e-3)


def test_a_reranker_is_no_embedder_and_an_empty_folder_is_neither(
    cross_encoders: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ModelUnsuitable, match="not an embedder"):
        open_embedder(cross_encoders["onnx"], 1)
    with pytest.raises(ModelNotFound, match="ragkit models prepare"):
        open_reranker(tmp_path, 1)


def test_cross_encoder_of_several_labels_is_no_reranker_but_gives_label_probabilities(tmp_path: Path) -> None:
    source = toy_models.save_cross_encoder(tmp_path / "nli", labels=3)
    with pytest.raises(ModelUnsuitable, match="has 3"):
        prepare(f"path:{source}", "reranker", tmp_path / "models")
    made = prepare(f"path:{source}", "nli", tmp_path / "models", engine="onnx", prefer="fidelity")
    manifest = made.manifest
    assert len(manifest["labels"]) == manifest["dimension"] == 3
    encoder = Encoder(made.path, max_tokens=manifest["max_tokens"], threads=1, batch_tokens=512, pairs=True)
    pairs = [("the server is a node", "the port is a key"), ("restart", "stop")]
    expected = sbert.score(sbert.load_cross_encoder(source), pairs)
    assert np.allclose(encoder.run(pairs), expected, atol=1e-3)
    assert np.allclose(expected.sum(axis=1), 1, atol=1e-5)

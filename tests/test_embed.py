"""Embedders: one contract for both engines, and the export is the model that it was exported from."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragkit import sbert
from ragkit.config import Settings
from ragkit.domain import Chunk
from ragkit.embed import OnnxEmbedder, embed_chunks, open_embedder, truncated
from ragkit.encoder import EQUAL_LENGTHS, MODEL, Encoder, group_by_budget, open_session
from ragkit.errors import ModelCorrupt, ModelNotFound, ModelUnsuitable
from ragkit.models import sample
from ragkit.models.prepare import prepare, prepared
from ragkit.testing import HashEmbedder
from tests import toy_models

TEXTS = [
    "how to restart the server",
    "",
    "a backup is run in the night",
    "port",
    "x" * 300,
    "the key and the value " * 40,
]


@pytest.fixture(scope="session")
def toys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of prepared toy models, by engine."""
    folder = tmp_path_factory.mktemp("toys")
    source = toy_models.save_bi_encoder(folder / "bi", prompts={"query": "search: ", "passage": ""})
    made = {}
    for engine in ("onnx", "sentence-transformers"):
        made[engine] = prepare(
            f"path:{source}", "embedder", folder / "models", engine=engine, prefer="fidelity", threads=2
        ).path
    table = toy_models.save_static(folder / "static", prompts={"query": "search: ", "passage": ""})
    made["static"] = prepare(f"path:{table}", "embedder", folder / "models", prefer="fidelity", threads=2).path
    return {**made, "source": source, "table": table}


@pytest.fixture(params=["onnx", "sentence-transformers", "static"])
def embedder(request: pytest.FixtureRequest, toys: dict[str, Path]) -> Any:
    return open_embedder(toys[request.param], threads=2)


# ---------------------------------------------------------------- the contract, over both engines


def test_vectors_are_unit_float32_rows_in_the_order_of_the_texts(embedder: Any) -> None:
    vectors = embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimension)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(embedder.embed(TEXTS[::-1])[::-1], vectors, atol=1e-4)


def test_no_texts_give_no_rows(embedder: Any) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_a_text_has_the_same_vector_alone_and_in_company(embedder: Any) -> None:
    together = embedder.embed(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.allclose(embedder.embed([text])[0], vector, atol=1e-4)


def test_what_is_past_the_window_does_not_matter(embedder: Any) -> None:
    long = "server " * 600
    assert np.allclose(embedder.embed([long]), embedder.embed([long + "backup " * 50]), atol=1e-5)


def test_queries_and_passages_get_their_own_prefix(embedder: Any) -> None:
    query = embedder.embed(["restart the server"], "query")
    assert np.allclose(query, embedder.embed(["search: restart the server"], "passage"), atol=1e-5)
    assert not np.allclose(query, embedder.embed(["restart the server"], "passage"), atol=1e-2)


def test_spans_cover_the_words_and_nothing_is_cut_off(embedder: Any) -> None:
    text = "Restart the server, then wait. " * 50
    spans = embedder.spans(text)
    assert text[slice(*spans[1])] == "the"
    assert spans[-1][1] == len(text) - 1
    assert len(spans) > embedder.max_tokens
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def test_progress_ends_at_the_number_of_texts(embedder: Any) -> None:
    seen: list[tuple[str, int, int]] = []
    embedder.embed(TEXTS * 3, progress=lambda *step: seen.append(step))
    assert seen[-1] == ("embed", 3 * len(TEXTS), 3 * len(TEXTS))


def test_both_engines_give_the_same_vectors(toys: dict[str, Path]) -> None:
    ours = open_embedder(toys["onnx"], threads=2).embed(TEXTS)
    theirs = open_embedder(toys["sentence-transformers"], threads=2).embed(TEXTS)
    assert (ours * theirs).sum(axis=1).min() > 0.999


def test_parts_have_the_mean_of_their_tokens_states_in_the_pass_of_the_whole(
    tmp_path: Path,
) -> None:
    import torch

    source = toy_models.save_bi_encoder(tmp_path / "bi")
    made = prepare(f"path:{source}", "embedder", tmp_path / "models", engine="onnx", prefer="fidelity")
    embedder = open_embedder(made.path, threads=2)
    assert isinstance(embedder, OnnxEmbedder)
    assert embedder.embeds_parts
    texts = ["restart the server", "the port is a node on the server", "port"]
    parts = [[(0, 7), (8, 18)], [(0, 32), (4, 8)], []]
    whole, found = embedder.embed_with_parts(texts, parts)
    assert np.allclose(whole, embedder.embed(texts), atol=1e-4)
    assert [rows.shape for rows in found] == [(2, 32), (2, 32), (0, 32)]

    model = sbert.load_bi_encoder(source, exportable=True)
    encoded = model.tokenizer(texts[0], return_offsets_mapping=True, return_tensors="pt")
    offsets = encoded.pop("offset_mapping")[0].tolist()
    with torch.inference_mode():
        states = model(dict(encoded))["token_embeddings"][0].numpy()
    for row, (start, end) in zip(found[0], parts[0], strict=True):
        own = [at for at, (a, b) in enumerate(offsets) if a < b and a < end and b > start]
        mean = states[own].mean(axis=0)
        assert np.allclose(row, mean / np.linalg.norm(mean), atol=1e-3)


def test_parts_behind_the_window_have_no_vector_and_a_prefix_moves_none(tmp_path: Path) -> None:
    source = toy_models.save_bi_encoder(tmp_path / "bi")
    made = prepare(f"path:{source}", "embedder", tmp_path / "models", engine="onnx", prefer="fidelity")
    manifest = json.loads((made.path / "manifest.json").read_text())
    plain = OnnxEmbedder(made.path, threads=1)
    long = "server " * 600
    _, found = plain.embed_with_parts([long], [[(0, 6), (len(long) - 8, len(long))]])
    assert found[0][0].any()
    assert not found[0][1].any()
    prefixed = tmp_path / "prefixed"
    shutil.copytree(made.path, prefixed)
    manifest["prefixes"]["passage"] = "the port "
    (prefixed / "manifest.json").write_text(json.dumps(manifest))
    _, moved = OnnxEmbedder(prefixed, threads=1).embed_with_parts(["restart server"], [[(0, 14)]])
    _, same = plain.embed_with_parts(["the port restart server"], [[(9, 23)]])
    assert np.allclose(moved[0], same[0], atol=1e-4)


def test_a_model_that_is_not_pooled_by_the_mean_embeds_no_parts(tmp_path: Path) -> None:
    source = toy_models.save_bi_encoder(tmp_path / "bi", pooling="cls")
    made = prepare(f"path:{source}", "embedder", tmp_path / "models", engine="onnx", prefer="fidelity")
    embedder = open_embedder(made.path, threads=1)
    assert isinstance(embedder, OnnxEmbedder)
    assert not embedder.embeds_parts


def test_sentences_of_chunks_are_embedded_with_them(tmp_path: Path) -> None:
    source = toy_models.save_bi_encoder(tmp_path / "bi")
    made = prepare(f"path:{source}", "embedder", tmp_path / "models", engine="onnx", prefer="fidelity")
    embedder = open_embedder(made.path, threads=1)
    text = "Restart the server. The port is a node."
    chunk = Chunk(0, len(text), text, context="node > port")
    vectors, sentences = embed_chunks([chunk], embedder)
    assert vectors.shape == (1, 32)
    assert sentences[0].shape == (2, 32)
    _, expected = embedder.embed_with_parts([chunk.indexed], [[(12, 31), (32, 51)]])  # type: ignore[union-attr]
    assert np.allclose(sentences[0], expected[0])
    assert embed_chunks([chunk], HashEmbedder())[1] == []


def test_engines_have_different_fingerprints(toys: dict[str, Path]) -> None:
    names = {open_embedder(toys[engine], 1).fingerprint for engine in ("onnx", "sentence-transformers")}
    assert len(names) == 2


# ---------------------------------------------------------------- what is exported


@pytest.mark.parametrize(("pooling", "dense"), [("cls", 0), ("max", 0), ("mean", 16)])
def test_pooling_and_dense_layers_are_part_of_the_export(tmp_path: Path, pooling: str, dense: int) -> None:
    source = toy_models.save_bi_encoder(tmp_path / "bi", pooling=pooling, dense=dense)
    made = prepare(f"path:{source}", "embedder", tmp_path / "models", engine="onnx", prefer="fidelity")
    embedder = open_embedder(made.path, 1)
    assert embedder.dimension == (dense or 32)
    expected = sbert.encode(sbert.load_bi_encoder(source), ["restart the server", "port"])
    assert np.allclose(embedder.embed(["restart the server", "port"]), expected, atol=1e-3)


def test_a_table_of_vectors_is_the_model_that_it_was_made_from_and_needs_no_network(toys: dict[str, Path]) -> None:
    manifest = json.loads((toys["static"] / "manifest.json").read_text())
    assert (manifest["reference"], manifest["pooling"]) == ("its table", "mean")
    embedder = open_embedder(toys["static"], 1)
    known = [text for text in TEXTS if text and "x" not in text]
    expected = sbert.encode(sbert.load_bi_encoder(toys["table"]), known)
    assert np.allclose(embedder.embed(known), expected, atol=1e-4)
    assert np.allclose(embedder.embed(["port é 世"]), embedder.embed(["port e"]), atol=1e-6)  # unknown: says nothing
    _, sentences = embed_chunks([Chunk(0, 18, "A port. The key is")], embedder)
    assert np.allclose(sentences[0][0], embedder.embed(["A port."])[0], atol=1e-4)


def test_a_table_that_does_not_fit_its_tokenizer_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    source = toy_models.save_static(tmp_path / "static")
    weights = next(source.rglob("model.safetensors"))
    table = next(iter(load_file(weights).values()))
    for tensors, reason in (
        ({"embedding": table[:50]}, "50 rows"),
        ({"a": table, "b": table}, "a, b, not one table"),
    ):
        save_file(tensors, weights)
        with pytest.raises(ModelUnsuitable, match=reason):
            prepare(f"path:{source}", "embedder", tmp_path / "models", engine="onnx")
    weights.write_bytes(b"nonsense")
    with pytest.raises(ModelUnsuitable, match="is no table"):
        prepare(f"path:{source}", "embedder", tmp_path / "models", engine="onnx")


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_repositorys_own_onnx_file_is_pooled_like_the_original(tmp_path: Path, pooling: str) -> None:
    import torch

    from ragkit.models import graph

    source = toy_models.save_bi_encoder(tmp_path / "bi", pooling=pooling)
    model = sbert.load_bi_encoder(source, exportable=True)

    features = sbert._features(model, ["a port", "the server is a node"])

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer = model

        def forward(self, *inputs: Any) -> Any:
            return self.transformer(dict(zip(features, inputs, strict=True)))["token_embeddings"]

    sbert._export(States(), features, tmp_path / "raw.onnx", ("last_hidden_state",))
    folder = tmp_path / "pooled"
    folder.mkdir()
    graph.append_pooling(tmp_path / "raw.onnx", folder / "model.onnx", pooling)
    (folder / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())
    (folder / "manifest.json").write_text(
        json.dumps(
            {"name": "t", "role": "embedder", "engine": "onnx", "fingerprint": "t", "dimension": 32, "max_tokens": 62,
             "prefixes": {"query": "", "passage": ""}, "batch_tokens": 512}
        )
    )  # fmt: skip
    expected = sbert.encode(model, ["restart the server", "port"])
    assert np.allclose(open_embedder(folder, 1).embed(["restart the server", "port"]), expected, atol=1e-4)


def test_a_graph_without_a_padding_mask_says_so_and_reads_texts_of_one_length_together(toys: dict[str, Path]) -> None:
    session = open_session(toys["onnx"] / MODEL)
    assert EQUAL_LENGTHS in session.get_modelmeta().custom_metadata_map
    lengths: list[int] = []

    class Watched(Encoder):
        def _arrays(self, tokens: Any) -> Any:
            lengths.append(len({len(one.ids) for one in tokens}))
            return super()._arrays(tokens)

    Watched(toys["onnx"], max_tokens=62, threads=2, batch_tokens=512).run(TEXTS * 2)
    assert lengths and set(lengths) == {1}


def test_prepared_model_is_found_again_and_made_anew_when_its_source_changes(tmp_path: Path) -> None:
    source = toy_models.save_bi_encoder(tmp_path / "bi")
    name, models_dir = f"path:{source}", tmp_path / "models"
    assert prepared(name, "embedder", models_dir) is None
    first = prepare(name, "embedder", models_dir, engine="onnx", prefer="fidelity")
    again = prepare(name, "embedder", models_dir, engine="onnx", prefer="fidelity")
    assert again.path == first.path
    assert first.manifest["candidates"][0]["name"] == "sentence-transformers"
    assert {"float32", "int8"} <= {entry["name"] for entry in first.manifest["candidates"]}
    assert 0.0 <= first.manifest["unrelated"] < 1.0
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "note": "changed"}))
    assert prepare(name, "embedder", models_dir, engine="onnx", prefer="fidelity").path != first.path


def test_model_of_another_role_is_refused_with_the_models_that_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelUnsuitable, match="all-MiniLM-L6-v2"):
        prepare("smollm2-135m-instruct", "embedder", tmp_path)


def test_missing_and_damaged_models_are_named(tmp_path: Path, toys: dict[str, Path]) -> None:
    with pytest.raises(ModelNotFound, match="ragkit models prepare"):
        open_embedder(tmp_path, 1)
    for name in ("tokenizer.json", "manifest.json"):
        (tmp_path / name).write_bytes((toys["onnx"] / name).read_bytes())
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelCorrupt, match=r"model\.onnx"):
        open_embedder(tmp_path, 1).embed(["text"])


# ---------------------------------------------------------------- properties


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 600), st.booleans())
def test_batches_hold_every_text_once_and_keep_to_the_budget(lengths: list[int], budget: int, equal: bool) -> None:
    lengths.sort(reverse=True)
    runs = list(group_by_budget(lengths, budget, equal=equal))
    assert [place for run in runs for place in run] == list(range(len(lengths)))
    assert all(len(run) == 1 or len(run) * lengths[run[0]] <= budget for run in runs)
    assert not equal or all(lengths[run[0]] == lengths[run[-1]] for run in runs)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=80), max_size=8))
def test_any_text_has_a_finite_unit_vector_and_equal_texts_equal_ones(
    toys: dict[str, Path], texts: list[str]
) -> None:
    vectors = open_embedder(toys["onnx"], 1).embed(texts + texts)
    assert np.isfinite(vectors).all()
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[: len(texts)], vectors[len(texts) :])


# ---------------------------------------------------------------- the default model


@pytest.fixture(scope="session")
def minilm(models: None) -> OnnxEmbedder:
    made = prepare("all-MiniLM-L6-v2", "embedder", Settings().models_directory)
    embedder = open_embedder(made.path, 2)
    assert isinstance(embedder, OnnxEmbedder)
    return embedder


@pytest.mark.slow
def test_default_embedder_points_where_sentence_transformers_does(minilm: OnnxEmbedder) -> None:
    """Mean cosine of at least 0.99 on real passages of 200 tokens."""
    texts = sample.passages(minilm, 40, 200)[24:]  # preparation looked at the first 24
    files = Settings().models_directory / "files" / "all-MiniLM-L6-v2"
    original = sbert.encode(sbert.load_bi_encoder(files), texts)
    cosines = (minilm.embed(texts) * original).sum(axis=1)
    assert cosines.mean() >= 0.99
    assert cosines.min() >= 0.95


@pytest.mark.slow
def test_company_hardly_moves_a_quantised_vector(minilm: OnnxEmbedder) -> None:
    texts = sample.passages(minilm, 12, 120)
    alone = np.concatenate([minilm.embed([text]) for text in texts])
    assert (alone * minilm.embed(texts)).sum(axis=1).min() > 0.98


@pytest.mark.slow
def test_default_embedder_finds_the_passage_that_answers(minilm: OnnxEmbedder) -> None:
    passages = [
        "Backups are kept for thirty days.",
        "The web interface listens on port 8443.",
        "Pods run containers.",
    ]
    question = minilm.embed(["Which port does the user interface use?"], "query")
    assert int((minilm.embed(passages) @ question[0]).argmax()) == 1


@pytest.mark.slow
def test_query_path_imports_neither_torch_nor_transformers(minilm: OnnxEmbedder) -> None:
    path = prepare("all-MiniLM-L6-v2", "embedder", Settings().models_directory).path
    program = (
        "import sys; from pathlib import Path; from ragkit.embed import open_embedder\n"
        f"open_embedder(Path({str(path)!r}), 2).embed(['a question'], 'query')\n"
        "print([name for name in ('torch', 'transformers', 'sentence_transformers', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_truncated_vectors_are_the_first_dimensions_made_unit_again(tmp_path: Path) -> None:
    source = toy_models.save_bi_encoder(tmp_path / "bi", pooling="mean")
    whole = open_embedder(prepare(f"path:{source}", "embedder", tmp_path / "models", engine="onnx").path, threads=1)
    cut = truncated(whole, 8, None)
    expected = whole.embed(TEXTS)[:, :8]
    assert cut.dimension == 8
    assert cut.unrelated == whole.unrelated
    assert np.allclose(cut.embed(TEXTS), expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    assert cut.fingerprint != whole.fingerprint
    assert cut.fingerprint.rpartition("-")[0] == whole.fingerprint.rpartition("-")[0]
    _, sentences = embed_chunks([Chunk(0, 13, "One. And two.")], cut)
    assert [one.shape for one in sentences] == [(2, 8)]


def test_dimensions_that_a_model_was_not_trained_for_are_refused(toys: dict[str, Path]) -> None:
    embedder = open_embedder(toys["onnx"], threads=1)
    assert truncated(embedder, 0, ()) is embedder
    assert truncated(embedder, embedder.dimension, ()) is embedder
    with pytest.raises(ModelUnsuitable, match="was not trained for 8 dimensions"):
        truncated(embedder, 8, ())
    with pytest.raises(ModelUnsuitable, match="dimensions, not 9999"):
        truncated(embedder, 9999, None)
    assert truncated(embedder, 8, (8, 16)).dimension == 8

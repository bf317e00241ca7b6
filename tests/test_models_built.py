"""A model that training changed a part of is built from the official one and the changes, and is the trained one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ragkit import config, sbert
from ragkit.cross_encoder import open_cross_encoder
from ragkit.embed import open_embedder
from ragkit.errors import ModelCorrupt
from ragkit.models import catalogue, resolve
from ragkit.models.built import CHANGES, applied, build, difference
from ragkit.models.catalogue import File, ModelSpec, Source
from ragkit.models.prepare import prepare
from tests import toy_models
from training.ship import ship

PAIRS = [("how to restart the server", "restart the server in the night"), ("port", "the disk and the volume")]
numbers = st.floats(-4, 4, width=32)
matrices = arrays.arrays(np.float32, (3, 5), elements=numbers)


@given(matrices, matrices)
def test_a_change_is_kept_to_half_a_step_of_its_row(before: np.ndarray, after: np.ndarray) -> None:
    found = applied({"a": before}, difference({"a": before}, {"a": after}))["a"]
    step = np.abs(after - before).max(axis=1, keepdims=True) / 127
    assert (np.abs(found - after) <= step / 2 + 1e-5).all()


@given(matrices, arrays.arrays(np.float32, 5, elements=numbers))
def test_what_did_not_change_is_not_kept_and_what_is_new_is(same: np.ndarray, new: np.ndarray) -> None:
    changes = difference({"a": same}, {"a": same, "b": new})
    assert set(changes) == {"b"}
    found = applied({"a": same}, changes)
    assert (found["a"] == same).all() and (found["b"] == new).all()


def test_changes_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        applied({"a": np.zeros((2, 2), np.float32)}, {"a": np.zeros((3, 2), np.float32)})


@pytest.fixture
def own(tmp_path: Path) -> tuple[Path, Path, ModelSpec]:
    """The model that training began with, the trained one, and the spec of what is built of it and the changes."""
    base = toy_models.save_bi_encoder(tmp_path / "base")
    trained = toy_models.save_cross_encoder(tmp_path / "trained")
    ship(base, trained, tmp_path / "own")
    spec = ModelSpec(
        name="toy-reranker",
        role="reranker",
        files=(
            File("model.safetensors"),
            File("config.json"),
            File("tokenizer.json"),
            File("absent.json", optional=True),
        ),
        sources=(Source("built", base=f"path:{base}", folder=str(tmp_path / "own")),),
        megabytes=1,
        max_tokens=64,
    )
    return base, trained, spec


def test_the_built_model_scores_as_the_trained_one_without_a_connection(
    own: tuple[Path, Path, ModelSpec], tmp_path: Path
) -> None:
    _, trained, spec = own
    found = resolve.resolve(spec, tmp_path / "models", offline=True)
    assert sorted(found.files) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert found.notices == ()  # its parts are pinned: nothing is trusted on first use
    built = sbert.score(sbert.load_cross_encoder(found.directory), PAIRS)
    assert built == pytest.approx(sbert.score(sbert.load_cross_encoder(trained), PAIRS), abs=0.02)
    again = resolve.resolve(spec, tmp_path / "models", offline=True, force=True)
    assert again.digest == found.digest


def test_changes_that_are_broken_or_of_another_model_are_told(
    own: tuple[Path, Path, ModelSpec], tmp_path: Path
) -> None:
    from safetensors.numpy import save_file

    _, _, spec = own
    changes = tmp_path / "own" / CHANGES
    save_file({"bert.pooler.dense.bias": np.ones(7, np.float32)}, changes)
    with pytest.raises(ModelCorrupt, match=r"does not fit .*7") as other:
        resolve.resolve(spec, tmp_path / "models")
    assert "install ragkit again" in str(other.value.hint)
    changes.write_bytes(b"not a file of tensors")
    with pytest.raises(ModelCorrupt, match="does not fit"):
        resolve.resolve(spec, tmp_path / "models")


def test_a_bi_encoder_is_built_like_a_cross_encoder(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    base = toy_models.save_bi_encoder(tmp_path / "base")
    trained = toy_models.save_bi_encoder(tmp_path / "trained")
    weights = load_file(trained / "model.safetensors")
    save_file({name: tensor * 1.5 for name, tensor in weights.items()}, trained / "model.safetensors")
    ship(base, trained, tmp_path / "own")
    names = ["model.safetensors", "1_Pooling/config.json", "absent.json"]
    build(base, tmp_path / "own", names, tmp_path)
    assert (tmp_path / "1_Pooling" / "config.json").is_file()
    found = load_file(tmp_path / "model.safetensors")
    assert found.keys() == weights.keys()
    for name, tensor in weights.items():
        assert np.allclose(found[name], tensor * 1.5, atol=0.01)


def test_the_catalogues_own_models_have_their_files_beside_it() -> None:
    specs = [spec for spec in catalogue.models() if spec.built]
    assert specs
    for spec in specs:
        for source in spec.sources:
            folder = catalogue.CATALOGUE.parent / source.folder
            assert {CHANGES, "config.json", "MODEL_CARD.md"} <= {path.name for path in folder.iterdir()}
            assert catalogue.get(source.base).licence == spec.licence


@pytest.mark.slow
def test_the_embedder_of_source_code_puts_it_where_the_questions_are(models: None) -> None:
    directory = config.load().settings.models_directory
    asking = open_embedder(prepare("all-MiniLM-L6-v2", "embedder", directory, offline=True).path, 2)
    reading = open_embedder(prepare("ragkit-code-v1", "embedder", directory, offline=True).path, 2)
    code = [
        "shop cart > total\ndef total(self):\n    return sum(item.price * item.count for item in self.items)",
        "shop cart > clear\ndef clear(self):\n    self.items.clear()\n    self.changed.send(self)",
    ]
    asked = asking.embed(["What all that was chosen costs together"], "query")[0]
    right, wrong = reading.embed(code) @ asked
    assert right > wrong


@pytest.mark.slow
def test_the_reranker_that_ships_tells_an_answer_from_another_text(models: None) -> None:
    settings = config.load().settings
    made = prepare("ragkit-reranker-v2", "reranker", settings.models_directory, offline=True, threads=2)
    model = open_cross_encoder(made.path, "reranker", 2)
    asked = "Which port does the server listen on?"
    right, wrong = model.run(
        [(asked, "The server listens on port 8080."), (asked, "Backups run at night.")], "rerank"
    )
    assert right > 0.9 and wrong < 0.1

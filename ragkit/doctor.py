"""Is everything in order: versions, models, store, indexes; and if not, the command that repairs it.

Knows what a sound installation looks like; repairs nothing itself.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ragkit.errors import RagkitError

if TYPE_CHECKING:
    from ragkit.config import Settings
    from ragkit.store import Store

PACKAGES = ("faiss-cpu", "tantivy", "rank-bm25", "onnxruntime", "tokenizers", "llama-cpp-python", "sqlalchemy")
OPTIONAL = ("torch", "sentence-transformers")
MIN_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `command` repairs it when it is not ok."""

    thing: str
    ok: bool
    detail: str
    command: str = ""


def examine(settings: Settings, *, deep: bool = False) -> list[Check]:
    """Every check, in the order in which a repair makes sense; a check that fails never stops the others."""
    parts: tuple[Callable[[], Iterator[Check]], ...] = (
        _versions,
        lambda: _disk(settings),
        lambda: _models(settings, deep),
        lambda: _store(settings, deep),
    )
    found: list[Check] = []
    for part in parts:
        try:
            found.extend(part())
        except RagkitError as error:
            found.append(Check(error.name, False, error.message, error.hint))
    return found


def _versions() -> Iterator[Check]:
    yield Check("python", True, f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}")
    for name in PACKAGES:
        try:
            yield Check(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, False, "not installed", "pip install ragkit")
    for name in OPTIONAL:
        try:
            yield Check(name, True, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, True, "not installed; needed only to prepare models that bring no ONNX file")


def _disk(settings: Settings) -> Iterator[Check]:
    for thing, folder in (("store", settings.store_directory), ("models", settings.models_directory)):
        there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
        free = shutil.disk_usage(there).free
        enough = free >= MIN_FREE_BYTES
        yield Check(
            f"{thing} folder",
            enough,
            f"{folder}, {free / 1e9:.1f} GB free",
            "" if enough else f"free some space, or move it with --set {thing}.directory=DIR",
        )


def _models(settings: Settings, deep: bool) -> Iterator[Check]:
    from ragkit.models import resolve

    for name, role in settings.models_in_use:
        try:
            detail = resolve.check(name, settings.models_directory, deep=deep)
        except RagkitError as error:
            yield Check(f"{role} {name}", False, error.message, error.hint or f"ragkit models pull {name}")
        else:
            yield Check(f"{role} {name}", True, detail)


def _store(settings: Settings, deep: bool) -> Iterator[Check]:
    from ragkit.store import Store

    with Store(settings.store_directory, settings.store.database_url) as store:
        corpora = store.corpora()
        yield Check("store", True, f"{len(corpora)} corpora")
        for record in corpora:
            yield from _corpus(store, record.name, deep)


def _corpus(store: Store, name: str, deep: bool) -> Iterator[Check]:
    from ragkit.index.snapshot import verify_snapshot

    status = store.status(name)
    if status.unfinished:
        yield Check(f"corpus {name}", False, "an ingest was interrupted", f"ragkit ingest --corpus {name}")
    problems = verify_snapshot(store, name, deep=deep)
    for problem in problems:
        yield Check(problem.thing, False, problem.reason, problem.command)
    if not problems and status.snapshot is not None:
        snapshot = status.snapshot
        yield Check(
            f"corpus {name}",
            True,
            f"snapshot {snapshot.name}, {snapshot.documents} documents, {snapshot.chunks} chunks",
        )

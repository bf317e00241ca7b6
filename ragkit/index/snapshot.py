"""Snapshots on disk: opened, verified and collected. `building` writes them, `manifest` describes their folder.

Knows a snapshot's folder and who reads it; knows nothing of files being ingested, models or queries.

A reader holds a shared lock of the operating system on its manifest for as long as the snapshot is open, and
never waits for it. A collector deletes only what it can lock alone; so a snapshot that any process still reads
stays, with the rows it needs, until the next ingest after it is closed.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ragkit.errors import CorpusNotFound, RagkitError, SnapshotError
from ragkit.index import dense, lexical
from ragkit.index.acronyms import Acronyms
from ragkit.index.documents import DocumentVectors
from ragkit.index.duplicates import Duplicates
from ragkit.index.lock import writer_lock
from ragkit.index.manifest import (
    ACRONYMS_FILE,
    DENSE_FILE,
    DOCUMENTS_FOLDER,
    DUPLICATES_FOLDER,
    LEXICAL_FOLDER,
    MANIFEST,
    VERSIONS_FOLDER,
    VOCABULARY_FILE,
    Problem,
    damage,
    read_manifest,
)
from ragkit.index.versions import DocVersions
from ragkit.index.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ragkit.choices import Mode
    from ragkit.config import Settings
    from ragkit.roles import DenseIndex, Embedder, LexicalIndex
    from ragkit.store import CorpusWriter, SnapshotRecord, Store


class Snapshot:
    """An open snapshot. Its indexes open when they are first used; close it to let it be collected."""

    def __init__(self, record: SnapshotRecord, settings: Settings) -> None:
        self.record = record
        self.name = record.name
        self.corpus = record.corpus
        self._settings = settings
        self._opening = threading.Lock()
        self._dense: DenseIndex | None = None
        self._lexical: LexicalIndex | None = None
        self.vocabulary = Vocabulary(record.directory / VOCABULARY_FILE)
        self.acronyms = Acronyms(record.directory / ACRONYMS_FILE)
        self.duplicates = Duplicates(record.directory / DUPLICATES_FOLDER)
        self.documents = DocumentVectors(record.directory / DOCUMENTS_FOLDER)
        self.versions = DocVersions(record.directory / VERSIONS_FOLDER)
        self._lease = _lease(record.directory / MANIFEST)
        try:
            self.manifest = read_manifest(record.directory)
            if problem := next(damage(record.directory, self.manifest), None):
                raise SnapshotError(f"{problem.thing} {problem.reason}", f"run `{problem.command}`")
        except BaseException:
            self.close()
            raise

    def open(self, mode: Mode) -> None:
        """Open the indexes that `mode` asks: now, while something else is being read."""
        _ = self.lexical if mode != "dense" else None
        _ = self.dense if mode != "lexical" else None

    @property
    def dense(self) -> DenseIndex:
        """The vectors' index."""
        with self._opening:
            if self._dense is None:
                path = self.record.directory / DENSE_FILE
                self._dense = dense.FaissIndex(path, self.manifest.dense, self._settings.dense.probes)
            return self._dense

    @property
    def lexical(self) -> LexicalIndex:
        """The terms' index. Raises SnapshotError when the settings analyse queries for another language."""
        wanted = self._settings.lexical.language
        if wanted != self.manifest.language:
            raise SnapshotError(
                f"corpus {self.corpus} was analysed for language {self.manifest.language}, settings ask for {wanted}",
                f"run `ragkit ingest --corpus {self.corpus}` or set lexical.language to {self.manifest.language}",
            )
        with self._opening:
            if self._lexical is None:
                self._lexical = lexical.open_lexical(self.record.directory / LEXICAL_FOLDER, self.manifest.lexical)
            return self._lexical

    @cached_property
    def boilerplate(self) -> frozenset[int]:
        """The chunks that tell nothing of their document, for many documents have them."""
        return self.duplicates.boilerplate(self.manifest.documents)

    def require_model(self, name: str) -> None:
        """Raise SnapshotError unless the vectors are of the model of that name; `require_embedder` is stricter."""
        if _model(self.manifest.embedder) != name:
            raise self._made_with_another(name, name)

    def require_embedder(self, embedder: Embedder) -> None:
        """Raise SnapshotError unless the vectors are this embedder's."""
        if embedder.fingerprint != self.manifest.embedder:
            raise self._made_with_another(embedder.fingerprint, _model(embedder.fingerprint))

    def _made_with_another(self, wanted: str, model: str) -> SnapshotError:
        former, dimensions = _model(self.manifest.embedder), self._settings.embed.dimensions
        command, instead = f"ragkit ingest --corpus {self.corpus}", ""
        if model != former:  # said whole: the setting may be of one command alone
            command += f" --set embed.model={model}"
            instead = f", or choose the former with --set embed.model={former}"
        if dimensions:
            command += f" --set embed.dimensions={dimensions}"
        return SnapshotError(
            f"corpus {self.corpus} was ingested with embedder {self.manifest.embedder}, settings ask for {wanted}",
            f"run `{command}`{instead}",
        )

    def close(self) -> None:
        """Let go of the indexes and of the lease."""
        self._dense = self._lexical = None
        self._lease.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _model(fingerprint: str) -> str:
    """The name of the model in an embedder's fingerprint."""
    return fingerprint.rpartition("-")[0]


def open_snapshot(store: Store, corpus: str, settings: Settings) -> Snapshot:
    """Open the current snapshot of a corpus.

    Raises CorpusNotFound, CorpusEmpty, or SnapshotError when its files are missing or damaged.
    """
    record = store.current_snapshot(corpus)
    while True:
        try:
            return Snapshot(record, settings)
        except SnapshotError:
            # It may have been replaced and collected between the look in the database and the open.
            newer = store.current_snapshot(corpus)
            if newer.id == record.id:
                raise
            record = newer


# ---------------------------------------------------------------- verifying


def verify_snapshot(store: Store, corpus: str, *, deep: bool = False) -> list[Problem]:
    """What is wrong with the current snapshot of a corpus; `deep` also reads every byte and every id.

    A corpus that was never published has one problem: that.
    """
    repair = f"ragkit ingest --corpus {corpus} --rebuild"
    try:
        record = store.current_snapshot(corpus)
        manifest = read_manifest(record.directory)
    except RagkitError as error:
        return [Problem(f"corpus {corpus}", error.message, repair)]
    problems = list(damage(record.directory, manifest, deep))
    if manifest.chunks != record.chunks or len(store.chunk_ids(record)) != record.chunks:
        reason = f"its index has {manifest.chunks} chunks, the database {len(store.chunk_ids(record))}"
        problems.append(Problem(f"corpus {corpus}", reason, repair))
    if problems:
        return problems
    try:
        vectors = dense.FaissIndex(record.directory / DENSE_FILE, manifest.dense)
        terms = lexical.open_lexical(record.directory / LEXICAL_FOLDER, manifest.lexical)
    except RagkitError as error:
        return [Problem(f"corpus {corpus}", error.message, repair)]
    for name, index in (("dense", vectors), ("lexical", terms)):
        if (held := len(index)) != record.chunks:  # type: ignore[arg-type]
            reason = f"its {name} index holds {held} chunks, the database {record.chunks}"
            problems.append(Problem(f"corpus {corpus}", reason, repair))
    return problems


# ---------------------------------------------------------------- leases and collection


def _lease(path: Path) -> IO[bytes]:
    """Open a manifest with a shared lock that ends when the file is closed or the process dies."""
    try:
        handle = path.open("rb")
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror}", "run `ragkit ingest --rebuild`") from error
    _flock(handle, exclusive=False)
    return handle


def _flock(handle: IO[bytes], *, exclusive: bool) -> bool:
    """Try to lock a file; True when it worked. Where there is no flock, an open file cannot be deleted anyway."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def collect(writer: CorpusWriter, keep: int) -> list[str]:
    """Delete snapshots past the newest `keep` that no process reads, and what only they needed; their names."""
    gone = []
    for record in writer.store.snapshots(writer.corpus.name)[max(1, keep) :]:
        with _unread(record.directory) as free:
            if free:
                gone.append(record)
                # The manifest goes first, under the lock: who comes later finds nothing to open.
                (record.directory / MANIFEST).unlink(missing_ok=True)
    if gone:
        writer.forget([record.id for record in gone])
        for record in gone:
            shutil.rmtree(record.directory, ignore_errors=True)
    known = {record.name for record in writer.store.snapshots(writer.corpus.name)}
    for folder in writer.store.corpus_directory(writer.corpus).glob("[0-9]*"):
        if folder.name not in known:
            shutil.rmtree(folder, ignore_errors=True)
    return [record.name for record in gone]


@contextmanager
def _unread(directory: Path) -> Iterator[bool]:
    """Whether no process has the snapshot open."""
    try:
        handle = (directory / MANIFEST).open("rb")
    except OSError:
        yield True
        return
    with handle:
        yield _flock(handle, exclusive=True)


def remove_corpus(store: Store, corpus: str) -> None:
    """Delete a corpus: its rows and its index files. Raises CorpusLocked while it is being ingested."""
    from ragkit.store import remove_corpus as remove_rows

    if not corpus:
        raise CorpusNotFound("no corpus named", "`ragkit corpus list` shows every corpus")
    record = store.corpus(corpus)
    with writer_lock(store.directory, record.name):
        remove_rows(store, record.name)
        shutil.rmtree(store.corpus_directory(record), ignore_errors=True)

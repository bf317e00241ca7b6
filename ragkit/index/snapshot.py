"""Snapshots on disk: written aside, published whole, opened, verified and collected.

Knows a snapshot's folder, its manifest and what else lies in it; knows nothing of files being ingested, models or
queries. The order of publication is what makes it safe to die at any instant: index files, then the manifest,
all flushed to disk, then the folder renamed into place, then one transaction in the store that makes it current.

A reader holds a shared lock of the operating system on its manifest for as long as the snapshot is open, and
never waits for it. A collector deletes only what it can lock alone; so a snapshot that any process still reads
stays, with the rows it needs, until the next ingest after it is closed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ragkit.errors import CorpusNotFound, RagkitError, SnapshotError
from ragkit.index import acronyms, dense, duplicates, lexical, versions, vocabulary
from ragkit.index.acronyms import Acronyms
from ragkit.index.duplicates import Duplicates
from ragkit.index.lock import writer_lock
from ragkit.index.versions import DocVersions
from ragkit.index.vocabulary import Vocabulary
from ragkit.versions import About, find

if TYPE_CHECKING:
    from ragkit.config import DenseSettings, LexicalSettings, Settings
    from ragkit.domain import ChunkIds, Mode
    from ragkit.roles import DenseIndex, Embedder, LexicalIndex
    from ragkit.store import CorpusWriter, SnapshotRecord, Store

FORMAT = 1
"""Version of the folder's layout."""
MANIFEST, DENSE_FILE, LEXICAL_FOLDER = "manifest.json", "dense.faiss", "lexical"
VOCABULARY_FILE, ACRONYMS_FILE, DUPLICATES_FOLDER = "vocabulary.tsv", "acronyms.tsv", "duplicates"
VERSIONS_FOLDER = "versions"
VERSIONS = f"{VERSIONS_FOLDER}/{versions.VERSIONS_FILE}"
SIGNATURES = f"{DUPLICATES_FOLDER}/{duplicates.SIGNATURES_FILE}"
DERIVED = {VOCABULARY_FILE, ACRONYMS_FILE, VERSIONS, SIGNATURES}
"""Files that a snapshot of an earlier ragkit may lack."""
BLOCK = 4096
"""Chunks whose texts are read at a time."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot's folder holds and how it was made. `files` gives each file's size and sha256."""

    corpus: str
    snapshot: str
    created_at: str
    code: str
    """Changes when the code that reads and cuts files does."""
    documents: int
    chunks: int
    embedder: str
    language: str
    analyser: str
    """Changes when the analyser gives other terms for the same text."""
    lexical: lexical.Engine
    dense: dense.DenseFacts
    files: Mapping[str, Mapping[str, Any]]
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a snapshot, and the command that repairs it."""

    thing: str
    reason: str
    command: str


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
        self.versions = DocVersions(record.directory / VERSIONS_FOLDER)
        self._lease = _lease(record.directory / MANIFEST)
        try:
            self.manifest = read_manifest(record.directory)
            if problem := next(_damage(record.directory, self.manifest), None):
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

    def require_model(self, name: str) -> None:
        """Raise SnapshotError unless the vectors are of the model of that name; `require_embedder` is stricter."""
        if self.manifest.embedder.rpartition("-")[0] != name:
            raise self._made_with_another(name)

    def require_embedder(self, embedder: Embedder) -> None:
        """Raise SnapshotError unless the vectors are this embedder's."""
        if embedder.fingerprint != self.manifest.embedder:
            raise self._made_with_another(embedder.fingerprint)

    def _made_with_another(self, wanted: str) -> SnapshotError:
        return SnapshotError(
            f"corpus {self.corpus} was ingested with embedder {self.manifest.embedder}, settings ask for {wanted}",
            f"run `ragkit ingest --corpus {self.corpus}`, or choose the former with --set embed.model=NAME",
        )

    def close(self) -> None:
        """Let go of the indexes and of the lease."""
        self._dense = self._lexical = None
        self._lease.close()

    def __enter__(self) -> Snapshot:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


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


# ---------------------------------------------------------------- writing


def build(
    writer: CorpusWriter,
    record: SnapshotRecord,
    base: SnapshotRecord | None,
    code: str,
    dense_settings: DenseSettings,
    lexical_settings: LexicalSettings,
) -> Manifest:
    """Write the index files of `record`, reusing those of `base` where they still serve, and move them in place.

    All vectors are in the store by now. Raises OSError when the disk is full; nothing is published then.
    """
    home = record.directory.parent
    _sweep(home)
    aside = home / f".{record.name}.tmp"
    aside.mkdir(parents=True)
    parts = _Parts(writer, record, base)
    facts = parts.write_dense(aside / DENSE_FILE, dense_settings)
    engine = parts.write_lexical(aside / LEXICAL_FOLDER, lexical_settings)
    parts.write_words(aside)
    parts.write_duplicates(aside / DUPLICATES_FOLDER)
    parts.write_versions(aside / VERSIONS_FOLDER)
    files = {
        path.relative_to(aside).as_posix(): {"size": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(aside.rglob("*"))
        if path.is_file()
    }
    manifest = Manifest(
        record.corpus,
        record.name,
        record.created_at,
        code,
        record.documents,
        record.chunks,
        record.embedder,
        lexical_settings.language,
        lexical.fingerprint(lexical_settings.language),
        engine,
        facts,
        files,
    )
    for name in files:
        _flush(aside / name)
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False)
    (aside / MANIFEST).write_text(text + "\n", encoding="utf-8")
    _flush(aside / MANIFEST)
    for folder in (*(path for path in aside.rglob("*") if path.is_dir()), aside):
        _flush(folder)
    if record.directory.exists():  # renamed by an ingest that died before it could publish
        shutil.rmtree(record.directory)
    aside.rename(record.directory)
    _flush(home)
    return manifest


class _Parts:
    """The files of a snapshot under construction, from a base snapshot and the store."""

    def __init__(self, writer: CorpusWriter, record: SnapshotRecord, base: SnapshotRecord | None) -> None:
        self._writer = writer
        self._record = record
        self._base = base
        self._base_manifest = None
        self._ids = writer.store.chunk_ids(record)
        self._old: ChunkIds = self._ids[:0]
        if base is not None:
            with suppress(SnapshotError):
                found = read_manifest(base.directory)
                if next(_damage(base.directory, found), None) is None:
                    self._base_manifest = found
                    self._old = writer.store.chunk_ids(base)

    @cached_property
    def _removed(self) -> ChunkIds:
        """Chunks of the base that are no longer there."""
        import numpy as np

        gone: ChunkIds = np.setdiff1d(self._old, self._ids, assume_unique=True)
        return gone

    def write_dense(self, path: Path, settings: DenseSettings) -> dense.DenseFacts:
        record, base, known = self._record, self._base, self._base_manifest
        dimension = self._writer.dimension(record.embedder)
        if base is None or known is None or known.embedder != record.embedder or not len(self._old):
            return dense.build(path, self._blocks, len(self._ids), dimension, settings)
        old, newest = base.directory / DENSE_FILE, int(self._old[-1])
        if known.dense.kind == dense.IVF:
            facts = dense.extend(
                old, known.dense, path, self._removed, lambda: self._blocks(newest), len(self._ids), settings
            )
            return facts or dense.build(path, self._blocks, len(self._ids), dimension, settings)

        def blocks() -> Iterator[Any]:
            yield from dense.vectors_of(old, self._ids)
            yield from self._blocks(newest)

        return dense.build(path, blocks, len(self._ids), dimension, settings)

    def write_lexical(self, folder: Path, settings: LexicalSettings) -> lexical.Engine:
        engine = lexical.choose(settings, len(self._ids))
        base, known = self._base, self._base_manifest
        kept = len(self._old) - len(self._removed)
        same = known is not None and (known.lexical, known.language, known.analyser) == (
            engine,
            settings.language,
            lexical.fingerprint(settings.language),
        )
        # Chunks that were removed still count in tantivy's statistics: past a share, begin anew.
        if base is None or not same or kept * 5 < len(self._ids) * 4:
            lexical.build(folder, engine, self._writer.store.chunk_texts(self._record), settings.language)
        else:
            newest = int(self._old[-1]) if len(self._old) else 0
            texts = self._writer.store.chunk_texts(self._record, newest)
            lexical.extend(base.directory / LEXICAL_FOLDER, folder, engine, self._removed, texts, settings.language)
        return engine

    def write_words(self, folder: Path) -> None:
        """The vocabulary and the acronyms: both count chunks, and go on from what the base has counted."""
        store, base, known = self._writer.store, self._base, self._base_manifest
        for name, counted in ((VOCABULARY_FILE, vocabulary), (ACRONYMS_FILE, acronyms)):
            if base is None or known is None or name not in known.files or not len(self._old):
                counted.build(folder / name, (text for _, text in store.chunk_texts(self._record)))
                continue
            added = (text for _, text in store.chunk_texts(self._record, int(self._old[-1])))
            counted.extend(
                base.directory / name, folder / name, store.indexed_texts(self._removed.tolist()).values(), added
            )

    def write_duplicates(self, folder: Path) -> None:
        import numpy as np

        store, base, known = self._writer.store, self._base, self._base_manifest
        earlier = base.directory / DUPLICATES_FOLDER if base and known and SIGNATURES in known.files else None
        new = np.setdiff1d(self._ids, self._old) if earlier is not None else self._ids

        def texts(ids: Sequence[int]) -> dict[int, str]:
            return {passage.id: passage.chunk.text for passage in store.passages(ids)}

        blocks = (texts(new[start : start + BLOCK].tolist()) for start in range(0, len(new), BLOCK))
        fresh = (item for block in blocks for item in block.items())
        duplicates.write(folder, earlier, self._ids, fresh, texts)

    def write_versions(self, folder: Path) -> None:
        store = self._writer.store
        documents = [About(one.id, one.path, one.title, one.metadata) for one in store.documents(self._record)]
        versions.write(folder, find(documents, store.document_text), *store.owners(self._record))

    def _blocks(self, after: int = 0) -> Iterator[Any]:
        return self._writer.vectors(self._record.embedder, self._record.id, after)


def _sweep(home: Path) -> None:
    """Remove what an ingest that was killed left half written."""
    for leftover in home.glob(".*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _flush(path: Path) -> None:
    """Have the operating system put a file or a folder's entries on the disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# ---------------------------------------------------------------- reading


def read_manifest(directory: Path) -> Manifest:
    """Read a snapshot's manifest. Raises SnapshotError when it is missing, damaged or of a newer format."""
    path = directory / MANIFEST
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if table["format"] != FORMAT:
            raise SnapshotError(
                f"{path} has format {table['format']}, this ragkit reads {FORMAT}", "run `ragkit ingest --rebuild`"
            )
        return Manifest(**{**table, "dense": dense.DenseFacts(**table["dense"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SnapshotError(f"{path} cannot be read: {reason}", "run `ragkit ingest --rebuild`") from error


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
    problems = list(_damage(record.directory, manifest, deep))
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


def _damage(directory: Path, manifest: Manifest, deep: bool = False) -> Iterator[Problem]:
    """Files that are missing or not what the manifest says; by size, and by sha256 when `deep`."""
    repair = f"ragkit ingest --corpus {manifest.corpus} --rebuild"
    for name, facts in manifest.files.items():
        path = directory / name
        try:
            if (size := path.stat().st_size) != facts["size"]:
                yield Problem(f"index file {path}", f"has {size} bytes, its manifest says {facts['size']}", repair)
            elif deep and _sha256(path) != facts["sha256"]:
                yield Problem(f"index file {path}", "is not what was written (sha256 differs)", repair)
        except OSError as error:
            yield Problem(f"index file {path}", f"cannot be read: {error.strerror}", repair)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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

"""Writing a snapshot's files, from the store and from those of the snapshot before it.

Knows what a folder holds and in which order it is written; knows nothing of files being ingested, models or queries.
The order is what makes it safe to die at any instant: index files, then the manifest, all flushed to disk, then the
folder renamed into place. Only then does the store make the snapshot current, in one transaction.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragkit.domain import CODE_FORMATS
from ragkit.errors import SnapshotError
from ragkit.index import acronyms, dense, documents, duplicates, lexical, versions, vocabulary
from ragkit.index.manifest import (
    ACRONYMS_FILE,
    DENSE_FILE,
    DOCUMENTS_FOLDER,
    DUPLICATES_FOLDER,
    LEXICAL_FOLDER,
    MANIFEST,
    SIGNATURES,
    VERSIONS_FOLDER,
    VOCABULARY_FILE,
    Manifest,
    damage,
    read_manifest,
    sha256_of,
)
from ragkit.versions import About, find

if TYPE_CHECKING:
    from ragkit.config import DenseSettings, LexicalSettings
    from ragkit.domain import ChunkIds
    from ragkit.store import CorpusWriter, DocumentRecord, SnapshotRecord

BLOCK = 4096
"""Chunks whose texts are read at a time."""


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
    engine, removed = parts.write_lexical(aside / LEXICAL_FOLDER, lexical_settings)
    parts.write_words(aside)
    parts.write_duplicates(aside / DUPLICATES_FOLDER)
    parts.write_versions(aside / VERSIONS_FOLDER)
    parts.write_documents(aside / DOCUMENTS_FOLDER)
    files = {
        path.relative_to(aside).as_posix(): {"size": path.stat().st_size, "sha256": sha256_of(path)}
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
        lexical_removed=removed,
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
                if next(damage(base.directory, found), None) is None:
                    self._base_manifest = found
                    self._old = writer.store.chunk_ids(base)

    @cached_property
    def _removed(self) -> ChunkIds:
        """Chunks of the base that are no longer there."""
        import numpy as np

        gone: ChunkIds = np.setdiff1d(self._old, self._ids, assume_unique=True)
        return gone

    @cached_property
    def _documents(self) -> list[DocumentRecord]:
        return list(self._writer.store.documents(self._record))

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

    def write_lexical(self, folder: Path, settings: LexicalSettings) -> tuple[lexical.Engine, int]:
        """Also gives how many chunks were taken out since the index was last built anew."""
        engine = lexical.choose(settings, len(self._ids))
        base, known = self._base, self._base_manifest
        kept = len(self._old) - len(self._removed)
        same = known is not None and (known.lexical, known.language, known.analyser) == (
            engine,
            settings.language,
            lexical.fingerprint(settings.language),
        )
        removed = len(self._removed) + (known.lexical_removed if known is not None else 0)
        few = kept * 5 < len(self._ids) * 4 or removed * 5 > len(self._ids)
        # Chunks that were removed still count in tantivy's statistics: past a share, begin anew.
        if base is None or not same or few:
            removed = 0
            lexical.build(folder, engine, self._writer.store.chunk_texts(self._record), settings.language)
        else:
            newest = int(self._old[-1]) if len(self._old) else 0
            texts = self._writer.store.chunk_texts(self._record, newest)
            lexical.extend(base.directory / LEXICAL_FOLDER, folder, engine, self._removed, texts, settings.language)
        return engine, removed

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
        about = [About(one.id, one.path, one.title, one.metadata) for one in self._documents]
        versions.write(folder, find(about, store.document_text), *store.owners(self._record))

    def write_documents(self, folder: Path) -> None:
        """Not of source code: a file is about many things, and its mean finds no function better (eval/LOG.md)."""
        store, record, base, known = self._writer.store, self._record, self._base, self._base_manifest
        same = base is not None and known is not None and known.embedder == record.embedder
        documents.write(
            folder,
            base.directory / DOCUMENTS_FOLDER if base is not None and same else None,
            store.owners(record),
            self._blocks,
            self._writer.dimension(record.embedder),
            apart=[one.id for one in self._documents if one.format in CODE_FORMATS],
        )

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

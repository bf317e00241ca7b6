"""Rows of the database, and the records that they are: a passage, a document, a corpus, an ingest, an answer.

Knows columns and how they hold what is no plain value; knows nothing of queries or connections.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from ragkit.domain import Chunk, Document, LineMap, Passage
from ragkit.domain.corpora import LedgerRow
from ragkit.store.records import (
    CorpusRecord,
    DocumentRecord,
    IngestRecord,
    Root,
    SnapshotRecord,
    StoredAnswer,
    snapshot_name,
)

Row: TypeAlias = Any
"""A row's values by the names of its columns: sqlite3.Row, or SQLAlchemy's RowMapping."""


def decoded(value: Any) -> Any:
    """An object or list, which some drivers decode themselves."""
    return json.loads(value) if isinstance(value, str) else value


def now() -> str:
    """The time in UTC, as the store writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def indexed_text(row: Row) -> str:
    """The text of a row of `chunks` that is embedded and indexed."""
    return Chunk(0, 0, row["text"], context=row["context"], prefix=row["prefix"]).indexed


def to_passage(row: Row) -> Passage:
    """A row of `chunks` with its document's path, title, metadata and format."""
    chunk = Chunk(
        row["start"],
        row["end"],
        row["text"],
        tuple(decoded(row["heading"])),
        row["anchor"],
        row["context"],
        row["prefix"],
        row["start_line"],
        row["end_line"],
        row["unit"],
        row["tokens"],
    )
    return Passage(
        row["id"],
        row["document_id"],
        row["ordinal"],
        row["path"],
        row["title"],
        chunk,
        decoded(row["metadata"]),
        format=row["format"],
    )


def to_document(row: Row) -> Document:
    """A row of `documents` with its text."""
    lines = decoded(row["lines"])
    return Document(
        row["path"],
        row["text"],
        row["format"],
        row["title"],
        decoded(row["metadata"]),
        lines=LineMap(lines["unit"], tuple(lines["numbers"])),
    )


def to_document_record(row: Row) -> DocumentRecord:
    """A row of `documents`."""
    return DocumentRecord(
        row["id"],
        row["path"],
        row["title"],
        row["format"],
        row["sha256"],
        row["size"],
        row["mtime_ns"],
        Path(row["file"]),
        row["recipe"],
        row["born"],
        decoded(row["metadata"]),
    )


def to_corpus(row: Row) -> CorpusRecord:
    """A row of `corpora`."""
    roots = tuple(Root(**root) for root in decoded(row["roots"]))
    about = decoded(row["about"])
    return CorpusRecord(row["id"], row["name"], row["slug"], roots, about, row["snapshot_id"], row["created_at"])


def to_snapshot(row: Row, folder: Path) -> SnapshotRecord:
    """A row of `snapshots` with its corpus's name; `folder` is the corpus's."""
    name = snapshot_name(row["id"])
    return SnapshotRecord(
        row["id"],
        row["corpus_id"],
        row["name"],
        name,
        folder / name,
        row["created_at"],
        row["documents"],
        row["chunks"],
        row["embedder"],
    )


def to_ingest(row: Row) -> IngestRecord:
    """A row of `ingests`."""
    name = snapshot_name(row["snapshot_id"]) if row["snapshot_id"] is not None else ""
    counts = decoded(row["counts"])
    return IngestRecord(row["id"], row["started_at"], row["finished_at"], row["state"], name, counts, row["error"])


def to_ledger_row(row: Row) -> LedgerRow:
    """A row of `ledger`."""
    return LedgerRow(row["path"], row["outcome"], row["reason"], row["chunks"])


def to_answer(row: Row) -> StoredAnswer:
    """A row of `answers`."""
    return StoredAnswer(
        row["id"],
        row["asked_at"],
        row["corpus"],
        row["snapshot"],
        row["question"],
        row["status"],
        row["model"],
        row["prompt_hash"],
        decoded(row["timings"]),
        decoded(row["answer"]),
    )

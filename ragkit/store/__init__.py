"""Corpora, documents, chunks, vectors, snapshots, ledgers, answers and evaluations, kept in a database.

This package is the only place that knows SQLAlchemy. `Store` reads, and logs answers; `CorpusWriter` is
what ingest writes with. Knows rows and snapshots; knows nothing of files, models or index files, save
in which folder they belong. SQLAlchemy takes a fifth of a second to import, so it makes the tables and writes
them, and reads databases other than SQLite; names load when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.store.evaluations import EvaluationRecord, Evaluations
    from ragkit.store.reading import Store
    from ragkit.store.records import (
        CorpusRecord,
        CorpusStatus,
        DocumentRecord,
        IngestRecord,
        Root,
        SnapshotRecord,
        StoredAnswer,
    )
    from ragkit.store.writing import CorpusWriter, NewDocument, SeenFile, remove_corpus

SCHEMA_VERSION = "0004"
"""The newest revision in ragkit/migrations/versions."""

_HOMES = {
    "Store": "reading",
    "CorpusWriter": "writing",
    "NewDocument": "writing",
    "SeenFile": "writing",
    "remove_corpus": "writing",
    "CorpusRecord": "records",
    "CorpusStatus": "records",
    "DocumentRecord": "records",
    "IngestRecord": "records",
    "Root": "records",
    "SnapshotRecord": "records",
    "StoredAnswer": "records",
    "EvaluationRecord": "evaluations",
    "Evaluations": "evaluations",
}

__all__ = [
    "SCHEMA_VERSION",
    "CorpusRecord",
    "CorpusStatus",
    "CorpusWriter",
    "DocumentRecord",
    "EvaluationRecord",
    "Evaluations",
    "IngestRecord",
    "NewDocument",
    "Root",
    "SeenFile",
    "SnapshotRecord",
    "Store",
    "StoredAnswer",
    "remove_corpus",
]


def __getattr__(name: str) -> Any:
    if home := _HOMES.get(name):
        return getattr(importlib.import_module(f"ragkit.store.{home}"), name)
    raise AttributeError(f"module 'ragkit.store' has no attribute {name!r}")

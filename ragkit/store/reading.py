"""The reading side of the store, for every stage after ingest; it also keeps the log of answers.

Knows corpora, snapshots, documents and passages as rows; knows nothing of index files or models. Reads
never wait for an ingest, and each sees one consistent view.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Row, Select, and_, bindparam, delete, func, insert, select

from ragkit.domain import JSON, Chunk, Document, LedgerRow, LineMap, Passage
from ragkit.errors import CorpusEmpty, CorpusNotFound, StoreError
from ragkit.filters import Filter, matches, parse
from ragkit.store import schema as t
from ragkit.store.database import Database
from ragkit.store.records import (
    CorpusRecord,
    CorpusStatus,
    DocumentRecord,
    IngestRecord,
    Root,
    SnapshotRecord,
    StoredAnswer,
    snapshot_name,
)

if TYPE_CHECKING:
    from ragkit.domain import ChunkIds

DATABASE_FILE = "ragkit.db"
BATCH = 900
"""Ids in one IN list: below the smallest limit on variables of any SQLite."""

_PASSAGE = (
    t.chunks.c.id,
    t.chunks.c.document_id,
    t.chunks.c.ordinal,
    t.chunks.c.start,
    t.chunks.c.end,
    t.chunks.c.text,
    t.chunks.c.heading,
    t.chunks.c.anchor,
    t.chunks.c.context,
    t.chunks.c.prefix,
    t.chunks.c.start_line,
    t.chunks.c.end_line,
    t.chunks.c.unit,
    t.chunks.c.tokens,
    t.documents.c.path,
    t.documents.c.title,
    t.documents.c.metadata,
)


class Store:
    """An open store: a database, and the folder that index files of its corpora lie in.

    `directory` is made when it does not exist; `url` is any SQLAlchemy URL, a SQLite file in `directory` when
    empty. Raises StoreError when the database cannot be opened or is newer than this ragkit.
    """

    def __init__(self, directory: Path | str, url: str = "") -> None:
        self.directory = Path(directory)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"store folder {self.directory} cannot be made: {error.strerror or error}",
                "name another one with --set store.directory=DIR",
            ) from error
        self.database = Database(url or URL.create("sqlite", database=str(self.directory / DATABASE_FILE)))
        # Per snapshot: what filters look at, read once. Snapshots never change, so this never goes stale.
        self._fields = lru_cache(maxsize=4)(self._read_fields)
        self._chunk_documents = lru_cache(maxsize=4)(self._read_chunk_documents)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ------------------------------------------------------------ corpora and snapshots

    def corpora(self) -> list[CorpusRecord]:
        """Every corpus, by name."""
        with self.database.reading() as connection:
            return [_corpus(row) for row in connection.execute(select(t.corpora).order_by(t.corpora.c.name))]

    def corpus(self, name: str = "") -> CorpusRecord:
        """The corpus of that name, or the only one when no name is given; CorpusNotFound otherwise."""
        known = self.corpora()
        if not known:
            thing = f"corpus {name}" if name else "no corpus"
            raise CorpusNotFound(
                f"{thing} {'does not exist' if name else 'exists yet'} in {self.directory}",
                "run `ragkit ingest PATH`",
            )
        if not name and len(known) == 1:
            return known[0]
        names = [corpus.name for corpus in known]
        if not name:
            raise CorpusNotFound(
                f"there are {len(known)} corpora: {', '.join(names)}", "choose one with --corpus NAME"
            )
        if name in names:
            return known[names.index(name)]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise CorpusNotFound(f"corpus {name} does not exist", hint + "`ragkit corpus list` shows every corpus")

    def current_snapshot(self, corpus: str) -> SnapshotRecord:
        """The snapshot that answers for a corpus; CorpusEmpty when none has been published yet."""
        query = (
            select(t.snapshots, t.corpora.c.name, t.corpora.c.slug)
            .join(t.corpora, t.corpora.c.snapshot_id == t.snapshots.c.id)
            .where(t.corpora.c.name == corpus)
        )
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        if row is not None:
            return self._snapshot(row)
        raise CorpusEmpty(
            f"corpus {self.corpus(corpus).name} has no finished ingest", f"run `ragkit ingest --corpus {corpus}`"
        )

    def snapshots(self, corpus: str) -> list[SnapshotRecord]:
        """Every published snapshot of a corpus that is still kept, newest first."""
        query = (
            select(t.snapshots, t.corpora.c.name, t.corpora.c.slug)
            .join(t.corpora, t.corpora.c.id == t.snapshots.c.corpus_id)
            .where(t.corpora.c.name == corpus, t.snapshots.c.state == "published")
            .order_by(t.snapshots.c.id.desc())
        )
        with self.database.reading() as connection:
            return [self._snapshot(row) for row in connection.execute(query)]

    def corpus_directory(self, corpus: CorpusRecord) -> Path:
        """The folder of a corpus's snapshots."""
        return self.directory / corpus.slug

    def status(self, corpus: str) -> CorpusStatus:
        """A corpus at a glance."""
        record = self.corpus(corpus)
        snapshot = self.current_snapshot(record.name) if record.snapshot_id is not None else None
        formats: dict[str, int] = {}
        with self.database.reading() as connection:
            if snapshot is not None:
                query = (
                    select(t.documents.c.format, func.count())
                    .where(t.documents.c.corpus_id == record.id, t.visible(t.documents, snapshot.id))
                    .group_by(t.documents.c.format)
                    .order_by(func.count().desc(), t.documents.c.format)
                )
                formats = {row[0]: row[1] for row in connection.execute(query)}
            building = select(t.snapshots.c.id).where(
                t.snapshots.c.corpus_id == record.id, t.snapshots.c.state == "building"
            )
            unfinished = connection.execute(building).first() is not None
        return CorpusStatus(record, snapshot, formats, next(iter(self.ingests(record.name, 1)), None), unfinished)

    def remove_corpus(self, name: str) -> None:
        """Delete every row of a corpus, and vectors that no other corpus uses. Index files are not touched.

        `ragkit.index.snapshot.remove_corpus` does both, under the writer lock.
        """
        record = self.corpus(name)
        mine = select(t.chunks.c.text_hash).where(t.chunks.c.corpus_id == record.id)
        others = select(t.chunks.c.text_hash).where(t.chunks.c.corpus_id != record.id)
        with self.database.writing() as connection:
            connection.execute(
                delete(t.vectors).where(t.vectors.c.text_hash.in_(mine), t.vectors.c.text_hash.not_in(others))
            )
            for table in (t.chunks, t.documents, t.snapshots, t.ingests):
                connection.execute(delete(table).where(table.c.corpus_id == record.id))
            connection.execute(delete(t.corpora).where(t.corpora.c.id == record.id))

    # ------------------------------------------------------------ passages and documents

    def passages(self, ids: Iterable[int]) -> list[Passage]:
        """The passages with these ids, in this order. Raises StoreError when one is not there."""
        wanted = [int(id) for id in ids]
        query = select(*_PASSAGE).join(t.documents, t.documents.c.id == t.chunks.c.document_id)
        found: dict[int, Passage] = {}
        with self.database.reading() as connection:
            for part in _batched(wanted):
                rows = connection.execute(
                    query.where(t.chunks.c.id.in_(bindparam("ids", expanding=True))), {"ids": part}
                )
                found.update((row.id, _passage(row)) for row in rows)
        if missing := [str(id) for id in wanted if id not in found]:
            raise StoreError(
                f"passages {', '.join(missing[:5])} are no longer stored",
                "open the corpus again: it was ingested anew",
            )
        return [found[id] for id in wanted]

    def neighbours(self, passage_id: int, before: int = 1, after: int = 1) -> list[Passage]:
        """The passages around one in its document, in order, itself included."""
        chunk = t.chunks.alias()
        near = and_(
            t.chunks.c.document_id == chunk.c.document_id,
            t.chunks.c.ordinal.between(chunk.c.ordinal - before, chunk.c.ordinal + after),
        )
        query = (
            select(*_PASSAGE)
            .join(t.documents, t.documents.c.id == t.chunks.c.document_id)
            .join(chunk, near)
            .where(chunk.c.id == int(passage_id))
            .order_by(t.chunks.c.ordinal)
        )
        with self.database.reading() as connection:
            return [_passage(row) for row in connection.execute(query)]

    def document(self, document_id: int) -> Document:
        """A stored document: text, title, metadata and line map, without its sections and blocks."""
        query = (
            select(t.documents, t.texts.c.text)
            .join(t.texts, t.texts.c.document_id == t.documents.c.id)
            .where(t.documents.c.id == int(document_id))
        )
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise StoreError(
                f"document {document_id} is no longer stored", "open the corpus again: it was ingested anew"
            )
        lines = LineMap(row.lines["unit"], tuple(row.lines["numbers"]))
        return Document(row.path, row.text, row.format, row.title, row.metadata, lines=lines)

    def document_text(self, document_id: int) -> str:
        """The whole text of a document; passages' offsets count its characters."""
        query = select(t.texts.c.text).where(t.texts.c.document_id == int(document_id))
        with self.database.reading() as connection:
            text: str | None = connection.execute(query).scalar()
        if text is None:
            raise StoreError(
                f"document {document_id} is no longer stored", "open the corpus again: it was ingested anew"
            )
        return text

    def document_by_path(self, corpus: str, path: str) -> DocumentRecord | None:
        """The document at a path of the current snapshot, or None."""
        return next(self.documents(self.current_snapshot(corpus), path), None)

    def documents(self, snapshot: SnapshotRecord, path: str | None = None) -> Iterator[DocumentRecord]:
        """The documents that a snapshot sees (or the one at `path`), by path."""
        query = select(t.documents).where(
            t.documents.c.corpus_id == snapshot.corpus_id, t.visible(t.documents, snapshot.id)
        )
        if path is not None:
            query = query.where(t.documents.c.path == path)
        with self.database.reading() as connection:
            yield from (document_record(row) for row in connection.execute(query.order_by(t.documents.c.path)))

    def chunk_texts(self, snapshot: SnapshotRecord, after: int = 0) -> Iterator[tuple[int, str]]:
        """(id, indexed text) of every chunk above id `after` that a snapshot sees, by id."""
        columns = (t.chunks.c.id, t.chunks.c.context, t.chunks.c.prefix, t.chunks.c.text)
        with self.database.reading() as connection:
            query = self._visible_chunks(snapshot, *columns).where(t.chunks.c.id > after)
            rows = connection.execution_options(yield_per=2000).execute(query)
            for row in rows:
                yield row.id, "\n".join(part for part in (row.context, row.prefix, row.text) if part)

    def indexed_texts(self, ids: Sequence[int]) -> dict[int, str]:
        """The text that is embedded and indexed for each of these chunks."""
        c = t.chunks.c
        query = select(c.id, c.context, c.prefix, c.text).where(c.id.in_(bindparam("ids", expanding=True)))
        found: dict[int, str] = {}
        with self.database.reading() as connection:
            for part in _batched(list(ids)):
                rows = connection.execute(query, {"ids": part})
                found.update((r.id, "\n".join(part for part in (r.context, r.prefix, r.text) if part)) for r in rows)
        return found

    def chunk_ids(self, snapshot: SnapshotRecord) -> ChunkIds:
        """Ids of every chunk that a snapshot sees, ascending."""
        ids: ChunkIds = self._chunk_documents(snapshot)[0]
        return ids

    def allowed(self, snapshot: SnapshotRecord, filters: Sequence[str | Filter]) -> ChunkIds | None:
        """Ascending ids of the chunks whose documents meet every filter; None when there are no filters.

        Raises FilterError for an expression that cannot be read.
        """
        import numpy as np

        conditions = [one for one in filters if isinstance(one, Filter)]
        conditions += parse(one for one in filters if isinstance(one, str))
        if not conditions:
            return None
        wanted = [
            id
            for id, path, title, format, metadata in self._fields(snapshot)
            if matches(conditions, path=path, title=title, format=format, metadata=metadata)
        ]
        ids, owners = self._chunk_documents(snapshot)
        chosen: ChunkIds = ids[np.isin(owners, np.asarray(wanted, dtype=np.int64))]
        return chosen

    # ------------------------------------------------------------ ingests and answers

    def ingests(self, corpus: str, limit: int = 20) -> list[IngestRecord]:
        """The latest ingests of a corpus, newest first."""
        query = (
            select(t.ingests)
            .join(t.corpora, t.corpora.c.id == t.ingests.c.corpus_id)
            .where(t.corpora.c.name == corpus)
            .order_by(t.ingests.c.id.desc())
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [_ingest(row) for row in connection.execute(query)]

    def ledger(self, ingest: int, outcomes: Sequence[str] = ()) -> list[LedgerRow]:
        """What one ingest did with each file, by path; only these outcomes, when any are named."""
        query = select(t.ledger).where(t.ledger.c.ingest_id == ingest).order_by(t.ledger.c.path)
        if outcomes:
            query = query.where(t.ledger.c.outcome.in_(outcomes))
        with self.database.reading() as connection:
            return [LedgerRow(row.path, row.outcome, row.reason, row.chunks) for row in connection.execute(query)]

    def log_answer(
        self,
        *,
        corpus: str,
        snapshot: str,
        question: str,
        status: str,
        model: str,
        prompt_hash: str,
        timings: Mapping[str, float],
        answer: Mapping[str, JSON],
    ) -> int:
        """Keep a question with its whole answer as JSON; returns the entry's id."""
        row = {
            "asked_at": now(),
            "corpus": corpus,
            "snapshot": snapshot,
            "question": question,
            "status": status,
            "model": model,
            "prompt_hash": prompt_hash,
            "seconds": float(sum(timings.values())),
            "timings": dict(timings),
            "answer": dict(answer),
        }
        with self.database.writing() as connection:
            key = connection.execute(insert(t.answers).values(row)).inserted_primary_key
        return int(key[0]) if key else 0

    def answers(self, corpus: str = "", limit: int = 20) -> list[StoredAnswer]:
        """The latest logged answers, newest first."""
        query = select(t.answers).order_by(t.answers.c.id.desc()).limit(limit)
        if corpus:
            query = query.where(t.answers.c.corpus == corpus)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            StoredAnswer(
                r.id,
                r.asked_at,
                r.corpus,
                r.snapshot,
                r.question,
                r.status,
                r.model,
                r.prompt_hash,
                r.timings,
                r.answer,
            )
            for r in rows
        ]

    # ------------------------------------------------------------ inside

    def _snapshot(self, row: Row[Any]) -> SnapshotRecord:
        name = snapshot_name(row.id)
        directory = self.directory / row.slug / name
        return SnapshotRecord(
            row.id, row.corpus_id, row.name, name, directory, row.created_at, row.documents, row.chunks, row.embedder
        )

    def _visible_chunks(self, snapshot: SnapshotRecord, *columns: Any) -> Select[Any]:
        return (
            select(*columns)
            .where(t.chunks.c.corpus_id == snapshot.corpus_id, t.visible(t.chunks, snapshot.id))
            .order_by(t.chunks.c.id)
        )

    def _read_fields(self, snapshot: SnapshotRecord) -> list[tuple[int, str, str, str, Mapping[str, JSON]]]:
        d = t.documents.c
        query = select(d.id, d.path, d.title, d.format, d.metadata).where(
            d.corpus_id == snapshot.corpus_id, t.visible(t.documents, snapshot.id)
        )
        with self.database.reading() as connection:
            return [(row.id, row.path, row.title, row.format, row.metadata) for row in connection.execute(query)]

    def _read_chunk_documents(self, snapshot: SnapshotRecord) -> tuple[ChunkIds, ChunkIds]:
        """Chunk ids, ascending, and the document of each."""
        import numpy as np

        with self.database.reading() as connection:
            rows = connection.execute(self._visible_chunks(snapshot, t.chunks.c.id, t.chunks.c.document_id)).all()
        pairs = np.asarray([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0].copy(), pairs[:, 1].copy()


def now() -> str:
    """The time in UTC, as the store writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def document_record(row: Row[Any]) -> DocumentRecord:
    """A row of `documents`."""
    return DocumentRecord(
        row.id,
        row.path,
        row.title,
        row.format,
        row.sha256,
        row.size,
        row.mtime_ns,
        Path(row.file),
        row.recipe,
        row.born,
        row.metadata,
    )


def _batched(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def _corpus(row: Row[Any]) -> CorpusRecord:
    roots = tuple(Root(**root) for root in row.roots)
    return CorpusRecord(row.id, row.name, row.slug, roots, row.about, row.snapshot_id, row.created_at)


def _ingest(row: Row[Any]) -> IngestRecord:
    name = snapshot_name(row.snapshot_id) if row.snapshot_id is not None else ""
    return IngestRecord(row.id, row.started_at, row.finished_at, row.state, name, row.counts, row.error)


def _passage(row: Any) -> Passage:
    chunk = Chunk(
        row.start,
        row.end,
        row.text,
        tuple(row.heading),
        row.anchor,
        row.context,
        row.prefix,
        row.start_line,
        row.end_line,
        row.unit,
        row.tokens,
    )
    return Passage(row.id, row.document_id, row.ordinal, row.path, row.title, chunk, row.metadata)

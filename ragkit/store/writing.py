"""The writing side of the store, for ingest: rows of one corpus, under its writer lock.

Knows which rows a snapshot under construction bears and retires; knows nothing of files, loaders, models or
index files. Every method is one transaction, so a process may die between any two of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from ragkit.domain import Chunk, Document, text_hash
from ragkit.domain.corpora import LedgerRow
from ragkit.errors import CorpusNotFound, UsageError
from ragkit.store import schema as t
from ragkit.store.packing import pack
from ragkit.store.reading import BATCH, Store
from ragkit.store.records import CorpusRecord, DocumentRecord, Root, SnapshotRecord, snapshot_name
from ragkit.store.rows import now, to_document_record

if TYPE_CHECKING:
    from ragkit.domain import ChunkIds, Vectors

KEPT_INGESTS = 20
"""Ingests of a corpus whose ledgers are kept."""

OWN_FOLDERS = {"locks", "expansions"}
"""What the store's folder holds besides a folder for each corpus, and its database."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document that was read and cut, with what is needed to recognise its file next time."""

    document: Document
    chunks: Sequence[Chunk]
    file: str
    sha256: str
    size: int
    mtime_ns: int
    recipe: str
    reader: str = ""
    """Fingerprint of the model that embeds its chunks, where that is not the corpus's embedder: their vectors have
    another key than that embedder's of the same text."""


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A ledger row with the state of the file that it is about."""

    row: LedgerRow
    size: int = -1
    mtime_ns: int = -1


class CorpusWriter:
    """Writes one corpus, making its row if there is none. The caller holds the corpus's writer lock."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self._database = store.database
        try:
            self.corpus = store.corpus(name)
        except CorpusNotFound:
            self.corpus = self._create(name)

    def describe(self, roots: Sequence[Root], about: Mapping[str, str]) -> None:
        """Remember where the corpus's files come from."""
        if (tuple(roots), dict(about)) == (self.corpus.roots, self.corpus.about):
            return
        values = {"roots": [asdict(root) for root in roots], "about": dict(about)}
        with self._database.writing() as connection:
            connection.execute(update(t.corpora).where(t.corpora.c.id == self.corpus.id).values(values))
        self.corpus = self.store.corpus(self.corpus.name)

    # ------------------------------------------------------------ the ingest and its ledger

    def begin_ingest(self, code: str) -> int:
        """Note that an ingest has begun; earlier ones that never ended were interrupted."""
        with self._database.writing() as connection:
            mine = t.ingests.c.corpus_id == self.corpus.id
            connection.execute(
                update(t.ingests).where(mine, t.ingests.c.state == "running").values(state="interrupted")
            )
            row = {
                "corpus_id": self.corpus.id,
                "started_at": now(),
                "state": "running",
                "code": code,
                "counts": {},
            }
            key = connection.execute(insert(t.ingests).values(row)).inserted_primary_key
            old = select(t.ingests.c.id).where(mine).order_by(t.ingests.c.id.desc()).offset(KEPT_INGESTS).limit(1)
            if (last := connection.execute(old).scalar()) is not None:
                connection.execute(delete(t.ingests).where(mine, t.ingests.c.id <= last))
        return int(key[0]) if key else 0

    def end_ingest(
        self, ingest: int, state: str, seen: Iterable[SeenFile], snapshot: int | None = None, error: str = ""
    ) -> None:
        """Write the ledger and how the ingest ended."""
        rows = [{"ingest_id": ingest, **_plain(one.row), "size": one.size, "mtime_ns": one.mtime_ns} for one in seen]
        counts: dict[str, int] = {}
        for row in rows:
            counts[str(row["outcome"])] = counts.get(str(row["outcome"]), 0) + 1
        values = {"state": state, "finished_at": now(), "counts": counts, "snapshot_id": snapshot, "error": error}
        with self._database.writing() as connection:
            if rows:
                connection.execute(insert(t.ledger), rows)
            connection.execute(update(t.ingests).where(t.ingests.c.id == ingest).values(values))

    def skipped_before(self, code: str) -> dict[str, SeenFile]:
        """Files that the latest finished ingest skipped, by path, if the same code read them."""
        latest = (
            select(t.ingests.c.id, t.ingests.c.code)
            .where(t.ingests.c.corpus_id == self.corpus.id, t.ingests.c.state == "done")
            .order_by(t.ingests.c.id.desc())
            .limit(1)
        )
        with self._database.reading() as connection:
            ingest = connection.execute(latest).first()
            if ingest is None or ingest.code != code:
                return {}
            query = select(t.ledger).where(t.ledger.c.ingest_id == ingest.id, t.ledger.c.outcome == "skipped")
            return {
                row.path: SeenFile(LedgerRow(row.path, row.outcome, row.reason, row.chunks), row.size, row.mtime_ns)
                for row in connection.execute(query)
            }

    # ------------------------------------------------------------ the snapshot under construction

    def building(self) -> int | None:
        """The snapshot that an interrupted ingest left under construction."""
        query = select(t.snapshots.c.id).where(
            t.snapshots.c.corpus_id == self.corpus.id, t.snapshots.c.state == "building"
        )
        with self._database.reading() as connection:
            found: int | None = connection.execute(query).scalar()
            return found

    def begin_snapshot(self) -> int:
        """Start a snapshot; readers do not see it."""
        row = {"corpus_id": self.corpus.id, "state": "building", "created_at": now()}
        with self._database.writing() as connection:
            key = connection.execute(insert(t.snapshots).values(row)).inserted_primary_key
        return int(key[0]) if key else 0

    def live_documents(self) -> list[DocumentRecord]:
        """The documents that the next snapshot would hold if nothing changed, by path."""
        query = (
            select(t.documents)
            .where(t.documents.c.corpus_id == self.corpus.id, t.documents.c.retired.is_(None))
            .order_by(t.documents.c.path)
        )
        with self._database.reading() as connection:
            return [to_document_record(row) for row in connection.execute(query).mappings()]

    def retired_paths(self, snapshot: int) -> set[str]:
        """Paths of documents that the snapshot under construction has retired so far."""
        query = select(t.documents.c.path).where(
            t.documents.c.corpus_id == self.corpus.id, t.documents.c.retired == snapshot
        )
        with self._database.reading() as connection:
            return {row.path for row in connection.execute(query)}

    def put(self, snapshot: int, new: Sequence[NewDocument]) -> None:
        """Add documents to the snapshot under construction, retiring those at the same paths."""
        with self._database.writing() as connection:
            paths = [one.document.path for one in new]
            query = select(t.documents.c.id).where(
                t.documents.c.corpus_id == self.corpus.id,
                t.documents.c.path.in_(paths),
                t.documents.c.retired.is_(None),
            )
            unseen = self._retire(connection, snapshot, list(connection.execute(query).scalars()))
            for one in new:
                self._insert(connection, snapshot, one)
            _drop_unused_vectors(connection, unseen)

    def retire(self, snapshot: int, document_ids: Sequence[int]) -> None:
        """Take documents out of the snapshot under construction."""
        with self._database.writing() as connection:
            for start in range(0, len(document_ids), BATCH):
                unseen = self._retire(connection, snapshot, list(document_ids[start : start + BATCH]))
                _drop_unused_vectors(connection, unseen)

    def touch(self, documents: Iterable[tuple[int, int, int]]) -> None:
        """Note (document id, size, mtime_ns) of files that were rewritten without a change."""
        statement = update(t.documents)
        with self._database.writing() as connection:
            for id, size, mtime_ns in documents:
                values = {"size": size, "mtime_ns": mtime_ns}
                connection.execute(statement.where(t.documents.c.id == id).values(values))

    # ------------------------------------------------------------ vectors

    def missing_vectors(self, embedder: str) -> list[tuple[str, int]]:
        """(text hash, a chunk with that text) of live chunks without a vector, the longest text first."""
        known = exists().where(t.vectors.c.embedder == embedder, t.vectors.c.text_hash == t.chunks.c.text_hash)
        query = (
            select(t.chunks.c.text_hash, func.min(t.chunks.c.id).label("id"))
            .where(t.chunks.c.corpus_id == self.corpus.id, t.chunks.c.retired.is_(None), ~known)
            .group_by(t.chunks.c.text_hash)
            .order_by(func.min(t.chunks.c.tokens).desc(), func.min(t.chunks.c.id))
        )
        with self._database.reading() as connection:
            return [(row.text_hash, row.id) for row in connection.execute(query)]

    def put_vectors(
        self, embedder: str, hashes: Sequence[str], vectors: Vectors, sentences: Sequence[Vectors] = ()
    ) -> None:
        """Keep one batch of vectors, and those of the texts' sentences if there are any: what is committed here is
        never embedded again."""
        packed = vectors.astype("<f4", copy=False)
        rows = [
            {"embedder": embedder, "text_hash": key, "vector": packed[at].tobytes()} for at, key in enumerate(hashes)
        ]
        with self._database.writing() as connection:
            connection.execute(self._database.insert_new(t.vectors), rows)
            if sentences:
                parts = [
                    {"embedder": embedder, "text_hash": key, "vectors": pack(found)}
                    for key, found in zip(hashes, sentences, strict=True)
                ]
                connection.execute(self._database.insert_new(t.sentence_vectors), parts)

    def dimension(self, embedder: str) -> int:
        """Length of the vectors of an embedder; 0 when there are none."""
        query = select(func.length(t.vectors.c.vector)).where(t.vectors.c.embedder == embedder).limit(1)
        with self._database.reading() as connection:
            return int(connection.execute(query).scalar() or 0) // 4

    def vectors(self, embedder: str, snapshot: int, after: int = 0) -> Iterator[tuple[ChunkIds, Vectors]]:
        """Chunk ids above `after`, ascending, with their vectors, in blocks, for what a snapshot will see."""
        import numpy as np

        query = (
            select(t.chunks.c.id, t.vectors.c.vector)
            .join(t.vectors, t.vectors.c.text_hash == t.chunks.c.text_hash)
            .where(
                t.chunks.c.corpus_id == self.corpus.id,
                t.chunks.c.id > after,
                t.vectors.c.embedder == embedder,
                t.visible(t.chunks, snapshot),
            )
            .order_by(t.chunks.c.id)
        )
        with self._database.reading() as connection:
            for block in connection.execution_options(yield_per=4096).execute(query).partitions():
                ids = np.fromiter((row.id for row in block), dtype=np.int64, count=len(block))
                flat = np.frombuffer(b"".join(row.vector for row in block), dtype="<f4")
                yield ids, flat.reshape(len(block), -1).astype(np.float32, copy=False)

    # ------------------------------------------------------------ publishing and collecting

    def view(self, snapshot: int, embedder: str = "") -> SnapshotRecord:
        """The snapshot under construction as readers will see it once it is published."""
        directory = self.store.corpus_directory(self.corpus) / snapshot_name(snapshot)
        counted = []
        with self._database.reading() as connection:
            for table in (t.documents, t.chunks):
                query = select(func.count()).select_from(table)
                query = query.where(table.c.corpus_id == self.corpus.id, t.visible(table, snapshot))
                counted.append(int(connection.execute(query).scalar() or 0))
        name = snapshot_name(snapshot)
        return SnapshotRecord(
            snapshot, self.corpus.id, self.corpus.name, name, directory, now(), counted[0], counted[1], embedder
        )

    def publish(self, snapshot: SnapshotRecord) -> None:
        """Make a snapshot the current one. Its index files are complete by now."""
        values = {
            "state": "published",
            "created_at": snapshot.created_at,
            "documents": snapshot.documents,
            "chunks": snapshot.chunks,
            "embedder": snapshot.embedder,
        }
        with self._database.writing() as connection:
            connection.execute(update(t.snapshots).where(t.snapshots.c.id == snapshot.id).values(values))
            connection.execute(
                update(t.corpora).where(t.corpora.c.id == self.corpus.id).values(snapshot_id=snapshot.id)
            )
        self._database.compact()

    def forget(self, snapshots: Sequence[int]) -> None:
        """Delete published snapshots that no reader needs, the rows only they saw, and vectors left without use."""
        mine = t.chunks.c.corpus_id == self.corpus.id
        with self._database.writing() as connection:
            connection.execute(delete(t.snapshots).where(t.snapshots.c.id.in_(snapshots)))
            oldest = connection.execute(
                select(func.min(t.snapshots.c.id)).where(
                    t.snapshots.c.corpus_id == self.corpus.id, t.snapshots.c.state == "published"
                )
            ).scalar()
            gone = select(t.chunks.c.text_hash).where(mine, t.chunks.c.retired <= oldest).distinct()
            hashes = list(connection.execute(gone).scalars())
            for table in (t.chunks, t.documents):
                connection.execute(
                    delete(table).where(table.c.corpus_id == self.corpus.id, table.c.retired <= oldest)
                )
            _drop_unused_vectors(connection, hashes)

    # ------------------------------------------------------------ inside

    def _create(self, name: str) -> CorpusRecord:
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise UsageError(
                f"corpus name {name!r} is not of 1 to 100 printable characters", "choose one with --corpus NAME"
            )
        stem = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.") or "corpus"
        if stem in OWN_FOLDERS or stem.startswith("ragkit.db"):
            stem = f"corpus-{stem}"
        with self._database.writing() as connection:
            taken = set(connection.execute(select(t.corpora.c.slug)).scalars())
            slugs = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
            slug = next(slug for slug in slugs if slug not in taken)
            row = {"name": name, "slug": slug, "roots": [], "about": {}, "created_at": now()}
            connection.execute(insert(t.corpora).values(row))
        return self.store.corpus(name)

    def _retire(self, connection: Connection, snapshot: int, ids: list[int]) -> list[str]:
        """Take documents out; hashes of the texts whose rows are gone altogether."""
        if not ids:
            return []
        # What was born in this same snapshot was never seen by anyone: it needs no trace.
        unseen = t.documents.c.id.in_(ids) & (t.documents.c.born == snapshot)
        texts = select(t.chunks.c.text_hash).join(t.documents, t.documents.c.id == t.chunks.c.document_id)
        hashes = list(connection.execute(texts.where(unseen).distinct()).scalars())
        connection.execute(delete(t.documents).where(unseen))
        connection.execute(update(t.documents).where(t.documents.c.id.in_(ids)).values(retired=snapshot))
        connection.execute(update(t.chunks).where(t.chunks.c.document_id.in_(ids)).values(retired=snapshot))
        return hashes

    def _insert(self, connection: Connection, snapshot: int, one: NewDocument) -> None:
        document = one.document
        row = {
            "corpus_id": self.corpus.id,
            "path": document.path,
            "file": one.file,
            "format": document.format,
            "title": document.title,
            "metadata": dict(document.metadata),
            "lines": {"unit": document.lines.unit, "numbers": document.lines.numbers},
            "sha256": one.sha256,
            "size": one.size,
            "mtime_ns": one.mtime_ns,
            "recipe": one.recipe,
            "born": snapshot,
        }
        key = connection.execute(insert(t.documents).values(row)).inserted_primary_key
        id = int(key[0]) if key else 0
        connection.execute(insert(t.texts).values(document_id=id, text=document.text))
        owner = {"corpus_id": self.corpus.id, "document_id": id, "born": snapshot}
        if one.chunks:
            rows = [{**owner, **_chunk_row(ordinal, chunk, one.reader)} for ordinal, chunk in enumerate(one.chunks)]
            connection.execute(insert(t.chunks), rows)


def _drop_unused_vectors(connection: Connection, hashes: Sequence[str]) -> None:
    """Delete the vectors of texts that no chunk has."""
    for table in (t.vectors, t.sentence_vectors):
        used = exists().where(t.chunks.c.text_hash == table.c.text_hash)
        for start in range(0, len(hashes), BATCH):
            part = hashes[start : start + BATCH]
            connection.execute(delete(table).where(table.c.text_hash.in_(part), ~used))


def remove_corpus(store: Store, name: str) -> None:
    """Delete every row of a corpus, and vectors that no other corpus uses. Index files are not touched.

    `ragkit.index.snapshot.remove_corpus` does both, under the writer lock.
    """
    record = store.corpus(name)
    mine = select(t.chunks.c.text_hash).where(t.chunks.c.corpus_id == record.id)
    others = select(t.chunks.c.text_hash).where(t.chunks.c.corpus_id != record.id)
    with store.database.writing() as connection:
        for table in (t.vectors, t.sentence_vectors):
            connection.execute(delete(table).where(table.c.text_hash.in_(mine), table.c.text_hash.not_in(others)))
        for table in (t.chunks, t.documents, t.snapshots, t.ingests):
            connection.execute(delete(table).where(table.c.corpus_id == record.id))
        connection.execute(delete(t.corpora).where(t.corpora.c.id == record.id))


def _chunk_row(ordinal: int, chunk: Chunk, reader: str = "") -> dict[str, Any]:
    return {
        "ordinal": ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "text": chunk.text,
        "heading": chunk.heading,
        "anchor": chunk.anchor,
        "context": chunk.context,
        "prefix": chunk.prefix,
        "start_line": chunk.start_line,
        "end_line": chunk.end_line,
        "unit": chunk.unit,
        "tokens": chunk.tokens,
        "text_hash": text_hash(f"{reader}\0{chunk.indexed}" if reader else chunk.indexed),
    }


def _plain(row: LedgerRow) -> dict[str, Any]:
    return {"path": row.path, "outcome": row.outcome, "reason": row.reason, "chunks": row.chunks}

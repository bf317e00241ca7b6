"""The reading side of the store, for every stage after ingest; it also keeps the log of answers.

Knows corpora, snapshots, documents and passages as rows; knows nothing of index files or models. Reads
never wait for an ingest, and each sees one consistent view.

Queries are plain SQL that every database system understands: a SQLite file answers them through the standard
library, the other systems through SQLAlchemy. Columns stand behind their table's name, where a reserved word
needs no quotes (end, lines).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ragkit.domain import JSON, Document, Passage
from ragkit.domain.corpora import LedgerRow
from ragkit.errors import CorpusEmpty, CorpusNotFound, StoreError
from ragkit.filters import Fields, Filter, checked, matches, parse, unmet
from ragkit.store import SCHEMA_VERSION
from ragkit.store.packing import unpack
from ragkit.store.records import (
    CorpusRecord,
    CorpusStatus,
    DocumentRecord,
    IngestRecord,
    SnapshotRecord,
    StoredAnswer,
)
from ragkit.store.rows import (
    Row,
    decoded,
    indexed_text,
    now,
    to_answer,
    to_corpus,
    to_document,
    to_document_record,
    to_ingest,
    to_ledger_row,
    to_passage,
    to_snapshot,
)
from ragkit.store.sqlite import SqliteFile

if TYPE_CHECKING:
    from ragkit.domain import ChunkIds, Vectors
    from ragkit.store.database import Database

DATABASE_FILE = "ragkit.db"
BATCH = 900
"""Ids in one IN list: below the smallest limit on variables of any SQLite."""


class PlainSql(Protocol):
    """A database as it is read; `:name` in a query stands for a value."""

    def rows(self, sql: str, values: Mapping[str, Any] | None = None) -> Sequence[Row]: ...

    def stream(self, sql: str, values: Mapping[str, Any] | None = None) -> Iterator[Row]: ...

    def add(self, table: str, row: Mapping[str, Any]) -> int: ...

    def close(self) -> None: ...


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
        self._url = url
        self._sql = self._open()
        # Per snapshot: what filters look at, read once. Snapshots never change, so this never goes stale.
        self._fields = lru_cache(maxsize=4)(self._read_fields)
        self._chunk_documents = lru_cache(maxsize=4)(self._read_chunk_documents)

    def close(self) -> None:
        """Close the database."""
        self._sql.close()
        if "database" in self.__dict__:
            self.database.close()

    @cached_property
    def database(self) -> Database:
        """The database with its transactions, as ingest needs it. SQLAlchemy is imported here."""
        from ragkit.store.database import Database

        return Database(self._url or self.directory / DATABASE_FILE)

    def _open(self) -> PlainSql:
        if self._url:
            return self.database
        file = SqliteFile(self.directory / DATABASE_FILE)
        if file.version() != SCHEMA_VERSION:
            _ = self.database  # which makes the tables, or migrates them
        return file

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ------------------------------------------------------------ corpora and snapshots

    def corpora(self) -> list[CorpusRecord]:
        """Every corpus, by name."""
        return [to_corpus(row) for row in self._sql.rows("SELECT corpora.* FROM corpora ORDER BY corpora.name")]

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
        query = f"{_SNAPSHOTS} ON corpora.snapshot_id = snapshots.id WHERE corpora.name = :name"
        for row in self._sql.rows(query, {"name": corpus}):
            return self._snapshot(row)
        raise CorpusEmpty(
            f"corpus {self.corpus(corpus).name} has no finished ingest", f"run `ragkit ingest --corpus {corpus}`"
        )

    def snapshots(self, corpus: str) -> list[SnapshotRecord]:
        """Every published snapshot of a corpus that is still kept, newest first."""
        query = f"""{_SNAPSHOTS} ON corpora.id = snapshots.corpus_id
            WHERE corpora.name = :name AND snapshots.state = 'published' ORDER BY snapshots.id DESC"""
        return [self._snapshot(row) for row in self._sql.rows(query, {"name": corpus})]

    def corpus_directory(self, corpus: CorpusRecord) -> Path:
        """The folder of a corpus's snapshots."""
        return self.directory / corpus.slug

    def status(self, corpus: str) -> CorpusStatus:
        """A corpus at a glance."""
        record = self.corpus(corpus)
        snapshot = self.current_snapshot(record.name) if record.snapshot_id is not None else None
        formats: dict[str, int] = {}
        if snapshot is not None:
            query = f"""SELECT documents.format AS format, COUNT(*) AS files FROM documents
                WHERE {_seen("documents")} GROUP BY documents.format ORDER BY COUNT(*) DESC, documents.format"""
            formats = {row["format"]: row["files"] for row in self._sql.rows(query, _view(snapshot))}
        building = (
            "SELECT snapshots.id FROM snapshots WHERE snapshots.corpus_id = :corpus AND snapshots.state = 'building'"
        )
        unfinished = bool(self._sql.rows(building, {"corpus": record.id}))
        return CorpusStatus(record, snapshot, formats, next(iter(self.ingests(record.name, 1)), None), unfinished)

    # ------------------------------------------------------------ passages and documents

    def passages(self, ids: Iterable[int]) -> list[Passage]:
        """The passages with these ids, in this order. Raises StoreError when one is not there."""
        wanted = [int(id) for id in ids]
        found: dict[int, Passage] = {}
        for marks, values in _batched(wanted):
            rows = self._sql.rows(f"{_PASSAGES} WHERE chunks.id IN ({marks})", values)
            found.update((row["id"], to_passage(row)) for row in rows)
        if missing := [str(id) for id in wanted if id not in found]:
            raise _gone(f"passages {', '.join(missing[:5])} are")
        return [found[id] for id in wanted]

    def neighbours(self, passage_id: int, before: int = 1, after: int = 1) -> list[Passage]:
        """The passages around one in its document, in order, itself included."""
        query = f"""{_PASSAGES} JOIN chunks AS this ON this.document_id = chunks.document_id
            WHERE this.id = :id AND chunks.ordinal BETWEEN this.ordinal - :before AND this.ordinal + :after
            ORDER BY chunks.ordinal"""
        values = {"id": int(passage_id), "before": before, "after": after}
        return [to_passage(row) for row in self._sql.rows(query, values)]

    def document_passages(self, document_id: int) -> list[Passage]:
        """Every passage of a document, in order."""
        query = f"{_PASSAGES} WHERE chunks.document_id = :id ORDER BY chunks.ordinal"
        return [to_passage(row) for row in self._sql.rows(query, {"id": int(document_id)})]

    def document(self, document_id: int) -> Document:
        """A stored document: text, title, metadata and line map, without its sections and blocks."""
        query = """SELECT documents.*, texts.text AS text FROM documents
            JOIN texts ON texts.document_id = documents.id WHERE documents.id = :id"""
        for row in self._sql.rows(query, {"id": int(document_id)}):
            return to_document(row)
        raise _gone(f"document {document_id} is")

    def document_text(self, document_id: int) -> str:
        """The whole text of a document; passages' offsets count its characters."""
        query = "SELECT texts.text AS text FROM texts WHERE texts.document_id = :id"
        for row in self._sql.rows(query, {"id": int(document_id)}):
            text: str = row["text"]
            return text
        raise _gone(f"document {document_id} is")

    def document_by_path(self, corpus: str, path: str) -> DocumentRecord | None:
        """The document at a path of the current snapshot, or None."""
        return next(self.documents(self.current_snapshot(corpus), path), None)

    def documents(self, snapshot: SnapshotRecord, path: str | None = None) -> Iterator[DocumentRecord]:
        """The documents that a snapshot sees (or the one at `path`), by path."""
        query = f"SELECT documents.* FROM documents WHERE {_seen('documents')}"
        values: dict[str, Any] = {**_view(snapshot)}
        if path is not None:
            query += " AND documents.path = :path"
            values["path"] = path
        yield from (to_document_record(row) for row in self._sql.rows(f"{query} ORDER BY documents.path", values))

    def chunk_texts(self, snapshot: SnapshotRecord, after: int = 0) -> Iterator[tuple[int, str]]:
        """(id, indexed text) of every chunk above id `after` that a snapshot sees, by id."""
        query = f"{_TEXTS} WHERE {_seen('chunks')} AND chunks.id > :after ORDER BY chunks.id"
        for row in self._sql.stream(query, {**_view(snapshot), "after": after}):
            yield row["id"], indexed_text(row)

    def indexed_texts(self, ids: Sequence[int]) -> dict[int, str]:
        """The text that is embedded and indexed for each of these chunks."""
        found: dict[int, str] = {}
        for marks, values in _batched(ids):
            rows = self._sql.rows(f"{_TEXTS} WHERE chunks.id IN ({marks})", values)
            found.update((row["id"], indexed_text(row)) for row in rows)
        return found

    def sentence_vectors(self, embedder: str, dimension: int, ids: Sequence[int]) -> dict[int, Vectors]:
        """For each chunk its sentences' unit vectors, shape (sentences, dimension), as `units.contents` cuts them.

        A chunk whose sentences were not embedded with it is left out.
        """
        # Two queries, because a join would start from the embedder, which every row has.
        texts: dict[int, str] = {}
        for marks, values in _batched(ids):
            query = f"SELECT chunks.id AS id, chunks.text_hash AS text_hash FROM chunks WHERE chunks.id IN ({marks})"
            texts.update((row["id"], row["text_hash"]) for row in self._sql.rows(query, values))
        vectors: dict[str, Vectors] = {}
        for marks, values in _batched(list(texts.values())):
            rows = self._sql.rows(f"{_SENTENCES} AND text_hash IN ({marks})", {**values, "embedder": embedder})
            vectors.update((row["text_hash"], unpack(row["vectors"], dimension)) for row in rows)
        return {id: vectors[key] for id, key in texts.items() if key in vectors}

    def chunk_ids(self, snapshot: SnapshotRecord) -> ChunkIds:
        """Ids of every chunk that a snapshot sees, ascending."""
        ids: ChunkIds = self._chunk_documents(snapshot)[0]
        return ids

    def matching(
        self, snapshot: SnapshotRecord, filters: Sequence[str | Filter], versions: Mapping[int, str] | None = None
    ) -> frozenset[int] | None:
        """Ids of the documents that meet every filter, given the versions of documents; None without filters.

        Raises FilterError for an expression that cannot be read, or whose key no document has.
        """
        if not filters:
            return None
        conditions, documents = self._conditions(snapshot, filters, versions or {})
        return frozenset(id for id, fields in documents if matches(conditions, fields))

    def unmet(
        self, snapshot: SnapshotRecord, filters: Sequence[str | Filter], versions: Mapping[int, str] | None = None
    ) -> tuple[str, ...]:
        """What to tell a user whose filters no document meets."""
        conditions, documents = self._conditions(snapshot, filters, versions or {})
        return unmet(conditions, [fields for _, fields in documents])

    def _conditions(
        self, snapshot: SnapshotRecord, filters: Sequence[str | Filter], versions: Mapping[int, str]
    ) -> tuple[tuple[Filter, ...], list[tuple[int, Fields]]]:
        """The filters as this corpus understands them, and every document by its id."""
        found = [one for one in filters if isinstance(one, Filter)]
        found += parse(one for one in filters if isinstance(one, str))
        documents = self._fields(snapshot)
        if versions:
            documents = [(id, fields._replace(doc_version=versions.get(id, ""))) for id, fields in documents]
        return checked(found, [fields.metadata for _, fields in documents], versions.values()), documents

    def chunks_of(self, snapshot: SnapshotRecord, documents: Iterable[int]) -> ChunkIds:
        """Ascending ids of the chunks of some documents."""
        import numpy as np  # here, where there are filters: a lexical search need not wait for it

        ids, owners = self._chunk_documents(snapshot)
        chosen: ChunkIds = ids[np.isin(owners, np.asarray(list(documents), dtype=np.int64))]
        return chosen

    def owners(self, snapshot: SnapshotRecord) -> tuple[ChunkIds, ChunkIds]:
        """Ids of every chunk that a snapshot sees, ascending, and the document of each."""
        pair: tuple[ChunkIds, ChunkIds] = self._chunk_documents(snapshot)
        return pair

    # ------------------------------------------------------------ ingests and answers

    def ingests(self, corpus: str, limit: int = 20) -> list[IngestRecord]:
        """The latest ingests of a corpus, newest first."""
        query = """SELECT ingests.* FROM ingests JOIN corpora ON corpora.id = ingests.corpus_id
            WHERE corpora.name = :name ORDER BY ingests.id DESC"""
        return [to_ingest(row) for row in self._sql.rows(query, {"name": corpus})[:limit]]

    def ledger(self, ingest: int, outcomes: Sequence[str] = ()) -> list[LedgerRow]:
        """What one ingest did with each file, by path; only these outcomes, when any are named."""
        query = "SELECT ledger.* FROM ledger WHERE ledger.ingest_id = :ingest ORDER BY ledger.path"
        return [
            to_ledger_row(row)
            for row in self._sql.rows(query, {"ingest": ingest})
            if not outcomes or row["outcome"] in outcomes
        ]

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
        return self._sql.add("answers", row)

    def answers(self, corpus: str = "", limit: int = 20) -> list[StoredAnswer]:
        """The latest logged answers, newest first."""
        where = "WHERE answers.corpus = :corpus" if corpus else ""
        query = f"SELECT answers.* FROM answers {where} ORDER BY answers.id DESC"
        return [
            to_answer(row) for row in islice(self._sql.stream(query, {"corpus": corpus} if corpus else {}), limit)
        ]

    # ------------------------------------------------------------ inside

    def _snapshot(self, row: Row) -> SnapshotRecord:
        return to_snapshot(row, self.directory / row["slug"])

    def _read_fields(self, snapshot: SnapshotRecord) -> list[tuple[int, Fields]]:
        query = f"SELECT documents.* FROM documents WHERE {_seen('documents')}"
        return [
            (row["id"], Fields(row["path"], row["title"], row["format"], decoded(row["metadata"])))
            for row in self._sql.rows(query, _view(snapshot))
        ]

    def _read_chunk_documents(self, snapshot: SnapshotRecord) -> tuple[ChunkIds, ChunkIds]:
        """Chunk ids, ascending, and the document of each."""
        import numpy as np

        query = f"""SELECT chunks.id AS id, chunks.document_id AS document_id FROM chunks
            WHERE {_seen("chunks")} ORDER BY chunks.id"""
        found = self._sql.rows(query, _view(snapshot))
        pairs = np.asarray([(row["id"], row["document_id"]) for row in found], dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0].copy(), pairs[:, 1].copy()


# ---------------------------------------------------------------- queries

_SNAPSHOTS = "SELECT snapshots.*, corpora.name AS name, corpora.slug AS slug FROM snapshots JOIN corpora"
_PASSAGES = """SELECT chunks.*, documents.path AS path, documents.title AS title, documents.metadata AS metadata,
    documents.format AS format
    FROM chunks JOIN documents ON documents.id = chunks.document_id"""
_TEXTS = """SELECT chunks.id AS id, chunks.context AS context, chunks.prefix AS prefix, chunks.text AS text
    FROM chunks"""

_SENTENCES = "SELECT text_hash, vectors FROM sentence_vectors WHERE embedder = :embedder"


def _seen(table: str) -> str:
    """The rows of `table` that a snapshot sees, given the values of `_view`."""
    return (
        f"{table}.corpus_id = :corpus AND {table}.born <= :snapshot "
        f"AND ({table}.retired IS NULL OR {table}.retired > :snapshot)"
    )


def _view(snapshot: SnapshotRecord) -> dict[str, int]:
    return {"corpus": snapshot.corpus_id, "snapshot": snapshot.id}


def _batched(ids: Sequence[int | str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The marks of an IN list and the values that they stand for, BATCH at a time."""
    for start in range(0, len(ids), BATCH):
        values = {f"id{at}": id for at, id in enumerate(ids[start : start + BATCH])}
        yield ", ".join(f":{name}" for name in values), values


def _gone(thing: str) -> StoreError:
    return StoreError(f"{thing} no longer stored", "open the corpus again: it was ingested anew")

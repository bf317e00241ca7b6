"""The tables. Knows columns and keys; knows nothing of who reads or writes them.

Rows of documents and chunks carry the snapshot that bore them and the one that retired them: snapshot `s`
sees a row when `born <= s` and not `retired <= s`. Ids are never given out twice (sqlite_autoincrement), not even
after the rows with the highest ones are gone: indexes hold them. Only plain columns and JSON; times are ISO 8601
in UTC.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    or_,
)

# SQLite only counts up by itself in a column declared INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

version = Table("alembic_version", metadata, Column("version_num", String(32), primary_key=True))

corpora = Table(
    "corpora",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("slug", String(100), nullable=False, unique=True),
    Column("roots", JSON, nullable=False),
    Column("about", JSON, nullable=False),
    Column("snapshot_id", Id),  # no foreign key: it would be a circle, and a snapshot is removed after this moves on
    Column("created_at", String(32), nullable=False),
    sqlite_autoincrement=True,
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", Id, primary_key=True),
    Column("corpus_id", Id, ForeignKey("corpora.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("state", String(16), nullable=False),  # building, published
    Column("created_at", String(32), nullable=False),
    Column("documents", Integer, nullable=False, default=0),
    Column("chunks", Integer, nullable=False, default=0),
    Column("embedder", String(200), nullable=False, default=""),
    sqlite_autoincrement=True,
)

documents = Table(
    "documents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("corpus_id", Id, ForeignKey("corpora.id", ondelete="CASCADE"), nullable=False),
    Column("path", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("format", String(40), nullable=False),
    Column("title", Text, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("lines", JSON, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("recipe", String(64), nullable=False),
    Column("born", Id, nullable=False),
    Column("retired", Id),
    Index(None, "corpus_id", "path"),
    sqlite_autoincrement=True,
)

texts = Table(
    "texts",
    metadata,
    Column("document_id", Id, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
)

chunks = Table(
    "chunks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("corpus_id", Id, ForeignKey("corpora.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("document_id", Id, ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("heading", JSON, nullable=False),
    Column("anchor", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("start_line", Integer, nullable=False),
    Column("end_line", Integer, nullable=False),
    Column("unit", String(16), nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("text_hash", String(64), nullable=False, index=True),
    Column("born", Id, nullable=False),
    Column("retired", Id),
    Index(None, "document_id", "ordinal"),
    sqlite_autoincrement=True,
)

vectors = Table(
    "vectors",
    metadata,
    Column("embedder", String(200), primary_key=True),
    Column("text_hash", String(64), primary_key=True),
    Column("vector", LargeBinary, nullable=False),  # float32, little-endian
)

sentence_vectors = Table(
    "sentence_vectors",
    metadata,
    Column("embedder", String(200), primary_key=True),
    Column("text_hash", String(64), primary_key=True),
    Column("vectors", LargeBinary, nullable=False),  # int8, a row for each sentence, of whatever length
)

ingests = Table(
    "ingests",
    metadata,
    Column("id", Id, primary_key=True),
    Column("corpus_id", Id, ForeignKey("corpora.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("started_at", String(32), nullable=False),
    Column("finished_at", String(32), nullable=False, default=""),
    Column("state", String(16), nullable=False),
    Column("snapshot_id", Id),
    Column("code", String(32), nullable=False),
    Column("counts", JSON, nullable=False),
    Column("error", Text, nullable=False, default=""),
    sqlite_autoincrement=True,
)

ledger = Table(
    "ledger",
    metadata,
    Column("ingest_id", Id, ForeignKey("ingests.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("path", Text, primary_key=True),
    Column("outcome", String(16), nullable=False),
    Column("reason", Text, nullable=False, default=""),
    Column("chunks", Integer, nullable=False, default=0),
    Column("size", BigInteger, nullable=False, default=-1),
    Column("mtime_ns", BigInteger, nullable=False, default=-1),
)

answers = Table(
    "answers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("asked_at", String(32), nullable=False, index=True),
    Column("corpus", String(200), nullable=False),
    Column("snapshot", String(32), nullable=False),
    Column("question", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt_hash", String(64), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("timings", JSON, nullable=False),
    Column("answer", JSON, nullable=False),
    sqlite_autoincrement=True,
)


evaluations = Table(
    "evaluations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("key", String(64), nullable=False, index=True),  # runs of the same content have the same key
    Column("name", String(200), nullable=False, index=True),
    Column("task", String(16), nullable=False),
    Column("dataset", String(200), nullable=False),
    Column("corpus", String(200), nullable=False),
    Column("started_at", String(32), nullable=False),
    Column("finished_at", String(32), nullable=False, default=""),
    Column("about", JSON, nullable=False),
    sqlite_autoincrement=True,
)

evaluation_questions = Table(
    "evaluation_questions",
    metadata,
    Column(
        "evaluation_id", Id, ForeignKey("evaluations.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("result_key", String(64), nullable=False),
    Column("trace_key", String(64), nullable=False),
)

evaluation_results = Table(
    "evaluation_results",
    metadata,
    Column("key", String(64), primary_key=True),  # hash of all that the result depends on
    Column("kept_at", String(32), nullable=False),
    Column("result", JSON, nullable=False),
)


def visible(table: Table, snapshot: int) -> ColumnElement[bool]:
    """The rows of `table` that snapshot sees."""
    return (table.c.born <= snapshot) & or_(table.c.retired.is_(None), table.c.retired > snapshot)

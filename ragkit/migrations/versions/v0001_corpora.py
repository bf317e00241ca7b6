"""Corpora, documents, chunks, vectors, snapshots and the ledger of ingests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _corpus(index: bool = False) -> sa.Column[int]:
    return sa.Column("corpus_id", Id, sa.ForeignKey("corpora.id", ondelete="CASCADE"), nullable=False, index=index)


def upgrade() -> None:
    """Make the tables."""
    _corpora_and_snapshots()
    _documents_and_chunks()
    op.create_table(
        "vectors",
        sa.Column("embedder", sa.String(200), primary_key=True),
        sa.Column("text_hash", sa.String(64), primary_key=True),
        sa.Column("vector", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ingests",
        sa.Column("id", Id, primary_key=True),
        _corpus(index=True),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("snapshot_id", Id),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ledger",
        sa.Column(
            "ingest_id", Id, sa.ForeignKey("ingests.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
        ),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("chunks", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    )


def _corpora_and_snapshots() -> None:
    op.create_table(
        "corpora",
        sa.Column("id", Id, primary_key=True),
        sa.Column("name", sa.String(200), nullable=False, unique=True),
        sa.Column("slug", sa.String(100), nullable=False, unique=True),
        sa.Column("roots", sa.JSON, nullable=False),
        sa.Column("about", sa.JSON, nullable=False),
        sa.Column("snapshot_id", Id),
        sa.Column("created_at", sa.String(32), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "snapshots",
        sa.Column("id", Id, primary_key=True),
        _corpus(index=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("documents", sa.Integer, nullable=False),
        sa.Column("chunks", sa.Integer, nullable=False),
        sa.Column("embedder", sa.String(200), nullable=False),
        sqlite_autoincrement=True,
    )


def _documents_and_chunks() -> None:
    op.create_table(
        "documents",
        sa.Column("id", Id, primary_key=True),
        _corpus(),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("format", sa.String(40), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("lines", sa.JSON, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("recipe", sa.String(64), nullable=False),
        sa.Column("born", Id, nullable=False),
        sa.Column("retired", Id),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_documents_corpus_id_path", "documents", ["corpus_id", "path"])
    document = sa.ForeignKey("documents.id", ondelete="CASCADE")
    op.create_table(
        "texts",
        sa.Column("document_id", Id, document, primary_key=True, autoincrement=False),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "chunks",
        sa.Column("id", Id, primary_key=True),
        _corpus(index=True),
        sa.Column("document_id", Id, sa.ForeignKey("documents.id", ondelete="CASCADE"), nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("end", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("heading", sa.JSON, nullable=False),
        sa.Column("anchor", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("start_line", sa.Integer, nullable=False),
        sa.Column("end_line", sa.Integer, nullable=False),
        sa.Column("unit", sa.String(16), nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("text_hash", sa.String(64), nullable=False, index=True),
        sa.Column("born", Id, nullable=False),
        sa.Column("retired", Id),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_chunks_document_id_ordinal", "chunks", ["document_id", "ordinal"])

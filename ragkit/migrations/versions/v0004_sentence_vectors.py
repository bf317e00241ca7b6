"""Vectors of the sentences of a text, beside that of the text."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table of sentence vectors."""
    op.create_table(
        "sentence_vectors",
        sa.Column("embedder", sa.String(200), primary_key=True),
        sa.Column("text_hash", sa.String(64), primary_key=True),
        sa.Column("vectors", sa.LargeBinary, nullable=False),
    )

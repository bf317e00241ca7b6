"""Runs of evaluations, their questions, and the results that runs share."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables of runs, questions and results."""
    op.create_table(
        "evaluations",
        sa.Column("id", ID, primary_key=True),
        sa.Column("key", sa.String(64), nullable=False, index=True),
        sa.Column("name", sa.String(200), nullable=False, index=True),
        sa.Column("task", sa.String(16), nullable=False),
        sa.Column("dataset", sa.String(200), nullable=False),
        sa.Column("corpus", sa.String(200), nullable=False),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32), nullable=False),
        sa.Column("about", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "evaluation_questions",
        sa.Column(
            "evaluation_id",
            ID,
            sa.ForeignKey("evaluations.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("result_key", sa.String(64), nullable=False),
        sa.Column("trace_key", sa.String(64), nullable=False),
    )
    op.create_table(
        "evaluation_results",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("kept_at", sa.String(32), nullable=False),
        sa.Column("result", sa.JSON, nullable=False),
    )

"""Revision 0002: second readings, judgements accepted together, and what the console's sessions need."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0002"
down_revision: Final = "0001"


def upgrade() -> None:
    """Add three tables, and a column whose constant default both databases keep apart from the rows that are there."""
    op.add_column("feedback", sa.Column("accepted_together", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "second_readings",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("first_reviewer", sa.String(length=200), nullable=False),
        sa.Column("reviewer", sa.String(length=200), nullable=True),
        sa.Column("leased_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.prediction_id"],
            name=op.f("fk_second_readings_prediction_id_predictions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_second_readings")),
    )
    op.create_index(
        "ix_second_readings_open",
        "second_readings",
        ["prediction_id"],
        unique=False,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_index(
        "ix_review_items_leased",
        "review_items",
        ["reviewer"],
        unique=False,
        sqlite_where=sa.text("is_open AND reviewer IS NOT NULL"),
        postgresql_where=sa.text("is_open AND reviewer IS NOT NULL"),
    )
    op.create_table(
        "service_secrets",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_service_secrets")),
    )
    op.create_table(
        "ended_sessions",
        sa.Column("session_id", sa.String(length=32), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_ended_sessions")),
    )
    op.create_index(op.f("ix_ended_sessions_expires_ms"), "ended_sessions", ["expires_ms"], unique=False)

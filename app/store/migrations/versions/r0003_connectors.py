"""Revision 0003: what connectors to helpdesks remember: deliveries, tickets and values there, and the outbox."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0003"
down_revision: Final = "0002"


def upgrade() -> None:
    """Add four tables."""
    op.create_table(
        "connector_states",
        sa.Column("connector", sa.String(length=64), nullable=False),
        sa.Column("began_ms", sa.BigInteger(), nullable=False),
        sa.Column("paused_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("n_failures", sa.Integer(), nullable=False),
        sa.Column("next_call_ms", sa.BigInteger(), nullable=False),
        sa.Column("looked_until_ms", sa.BigInteger(), nullable=True),
        sa.Column("look_leased_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("connector", name=op.f("pk_connector_states")),
    )
    op.create_table(
        "deliveries",
        sa.Column("connector", sa.String(length=64), nullable=False),
        sa.Column("content_key", sa.String(length=64), nullable=False),
        sa.Column("delivery_key", sa.String(length=64), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("ticket_ref", sa.String(length=128), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("connector", "content_key", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("connector", "delivery_key", name=op.f("uq_deliveries_connector_delivery_key")),
    )
    op.create_index(op.f("ix_deliveries_received_ms"), "deliveries", ["received_ms"], unique=False)
    op.create_table(
        "helpdesk_tickets",
        sa.Column("connector", sa.String(length=64), nullable=False),
        sa.Column("ticket_ref", sa.String(length=128), nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=True),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.Column("heads", sa.Text(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=True),
        sa.Column("looked_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("connector", "ticket_ref", name=op.f("pk_helpdesk_tickets")),
    )
    op.create_index(op.f("ix_helpdesk_tickets_looked_at_ms"), "helpdesk_tickets", ["looked_at_ms"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("connector", sa.String(length=64), nullable=False),
        sa.Column("ticket_ref", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("n_attempts", sa.Integer(), nullable=False),
        sa.Column("wanted_ms", sa.BigInteger(), nullable=False),
        sa.Column("due_ms", sa.BigInteger(), nullable=False),
        sa.Column("lease_id", sa.String(length=36), nullable=True),
        sa.Column("leased_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_ms", sa.BigInteger(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'done', 'dead')", name=op.f("ck_outbox_state")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_connector_state_job_id"), "outbox", ["connector", "state", "job_id"], unique=False)
    op.create_index(op.f("ix_outbox_finished_ms"), "outbox", ["finished_ms"], unique=False)
    op.create_index(
        "ix_outbox_waiting",
        "outbox",
        ["connector", "ticket_ref", "job_id"],
        unique=False,
        sqlite_where=sa.text("state = 'waiting'"),
        postgresql_where=sa.text("state = 'waiting'"),
    )

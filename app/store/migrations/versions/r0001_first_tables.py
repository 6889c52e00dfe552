"""Revision 0001: predictions with their answers, the review queue, feedback, judgements and promises."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision: Final = "0001"
down_revision: Final = None
_TEXTS: Final = ("title", "description")


def upgrade() -> None:
    """Make the tables of the first release."""
    op.create_table(
        "answer_counts",
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=False),
        sa.Column("model_digest", sa.String(length=12), nullable=False),
        sa.Column("head", sa.String(length=200), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("decision", sa.String(length=8), nullable=False),
        sa.Column("n_answers", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "model_digest", "day", "head", "label", "decision", "model_version", name=op.f("pk_answer_counts")
        ),
    )
    op.create_table(
        "erased_tickets",
        sa.Column("ticket_id", sa.String(length=128), nullable=False),
        sa.Column("erased_until_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_erased_tickets")),
    )
    op.create_table(
        "feedback",
        sa.Column("feedback_id", sa.String(length=36), nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=True),
        sa.Column("ticket_id", sa.String(length=128), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("reviewer", sa.String(length=200), nullable=True),
        sa.Column("taken_back_ms", sa.BigInteger(), nullable=True),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("idempotency_key", sa.String(length=64), nullable=True),
        sa.Column("body_sha256", sa.String(length=64), nullable=True),
        sa.Column("kept_since_ms", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("source IN ('review', 'helpdesk', 'api')", name=op.f("ck_feedback_source")),
        sa.PrimaryKeyConstraint("feedback_id", name=op.f("pk_feedback")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_feedback_idempotency_key")),
    )
    op.create_index(
        op.f("ix_feedback_kept_since_ms"),
        "feedback",
        ["kept_since_ms"],
        unique=False,
        sqlite_where=sa.text("kept_since_ms IS NOT NULL"),
        postgresql_where=sa.text("kept_since_ms IS NOT NULL"),
    )
    op.create_index(op.f("ix_feedback_prediction_id"), "feedback", ["prediction_id"], unique=False)
    op.create_index(op.f("ix_feedback_received_ms"), "feedback", ["received_ms"], unique=False)
    op.create_index(
        op.f("ix_feedback_taken_back_ms"),
        "feedback",
        ["taken_back_ms"],
        unique=False,
        sqlite_where=sa.text("taken_back_ms IS NOT NULL"),
        postgresql_where=sa.text("taken_back_ms IS NOT NULL"),
    )
    op.create_index(op.f("ix_feedback_ticket_id"), "feedback", ["ticket_id"], unique=False)
    op.create_table(
        "predictions",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("ticket_id", sa.String(length=128), nullable=True),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=False),
        sa.Column("model_digest", sa.String(length=12), nullable=False),
        sa.Column("is_audit", sa.Boolean(), nullable=False),
        sa.Column("asked_chance", sa.Float(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("customer_email", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_predictions")),
    )
    op.create_index(
        "ix_predictions_audits",
        "predictions",
        ["model_digest", "received_ms"],
        unique=False,
        sqlite_where=sa.text("is_audit"),
        postgresql_where=sa.text("is_audit"),
    )
    op.create_index(
        "ix_predictions_texts",
        "predictions",
        ["received_ms"],
        unique=False,
        sqlite_where=sa.text("title IS NOT NULL"),
        postgresql_where=sa.text("title IS NOT NULL"),
    )
    op.create_index(op.f("ix_predictions_received_ms"), "predictions", ["received_ms"], unique=False)
    op.create_index(
        op.f("ix_predictions_ticket_id_received_ms"), "predictions", ["ticket_id", "received_ms"], unique=False
    )
    op.create_table(
        "promise_events",
        sa.Column("event_id", sa.String(length=36), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("model_version", sa.String(length=200), nullable=False),
        sa.Column("model_digest", sa.String(length=12), nullable=False),
        sa.Column("head", sa.String(length=200), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("is_reset", sa.Boolean(), nullable=False),
        sa.Column("n_audited", sa.Integer(), nullable=False),
        sa.Column("n_right", sa.Integer(), nullable=False),
        sa.Column("e_value", sa.Float(), nullable=False),
        sa.CheckConstraint("state IN ('unproven', 'kept', 'broken')", name=op.f("ck_promise_events_state")),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_promise_events")),
    )
    op.create_index(
        op.f("ix_promise_events_model_digest_head_label_event_id"),
        "promise_events",
        ["model_digest", "head", "label", "event_id"],
        unique=False,
    )
    op.create_table(
        "answers",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("head", sa.String(length=200), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("decision", sa.String(length=8), nullable=False),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("alternatives", sa.Text(), nullable=False),
        sa.CheckConstraint("decision IN ('auto', 'suggest', 'review')", name=op.f("ck_answers_decision")),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.prediction_id"],
            name=op.f("fk_answers_prediction_id_predictions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("prediction_id", "head", name=op.f("pk_answers")),
    )
    op.create_table(
        "judgements",
        sa.Column("feedback_id", sa.String(length=36), nullable=False),
        sa.Column("head", sa.String(length=200), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("predicted_label", sa.String(length=200), nullable=True),
        sa.Column("predicted_decision", sa.String(length=8), nullable=True),
        sa.Column("model_version", sa.String(length=200), nullable=True),
        sa.Column("model_digest", sa.String(length=12), nullable=True),
        sa.Column("is_audit", sa.Boolean(), nullable=False),
        sa.Column("asked_chance", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["feedback_id"],
            ["feedback.feedback_id"],
            name=op.f("fk_judgements_feedback_id_feedback"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("feedback_id", "head", name=op.f("pk_judgements")),
    )
    op.create_index(
        "ix_judgements_audits",
        "judgements",
        ["model_digest", "head", "feedback_id", "is_audit"],
        unique=False,
        sqlite_where=sa.text("is_audit"),
        postgresql_where=sa.text("is_audit"),
    )
    op.create_table(
        "review_items",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("rank", sa.Float(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("reviewer", sa.String(length=200), nullable=True),
        sa.Column("leased_until_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.prediction_id"],
            name=op.f("fk_review_items_prediction_id_predictions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_review_items")),
    )
    op.create_index(
        "ix_review_items_open",
        "review_items",
        ["rank", "prediction_id"],
        unique=False,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_index(
        "ix_review_items_open_by_time",
        "review_items",
        ["prediction_id"],
        unique=False,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_index(
        "ix_review_items_closed_by_time",
        "review_items",
        ["prediction_id"],
        unique=False,
        sqlite_where=sa.text("NOT is_open"),
        postgresql_where=sa.text("NOT is_open"),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Postgres would keep samples of these columns for its planner, and so what was erased.
        for table, columns in (("predictions", (*_TEXTS, "customer_email")), ("feedback", _TEXTS)):
            for column in columns:
                op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STATISTICS 0")

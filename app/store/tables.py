"""The tables, the same on SQLite and Postgres; ``migrations`` makes them, and a test compares the two.

Times are milliseconds since 1970. Ids of predictions, feedback and events are UUIDs version 7 as text, so that their
order is that of time. Feedback and promise events are only ever added to. What may change afterwards is the mark
``taken_back_ms``, texts, which are erased, and the review queue, second readings and what helpdesks have to do with,
which are work in progress and not a record.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

# Names for everything, because SQLite can only change a constraint that has one.
metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_UUID: Final = String(36)
# What only Postgres bounds; callers' fields have these bounds already.
_NAME: Final = String(200)
_CONNECTOR: Final = String(64)
_TICKET_REF: Final = String(128)

# One row for each answer. ``model_digest`` tells apart two models of the same version.
predictions: Final = Table(
    "predictions",
    metadata,
    Column("prediction_id", _UUID, primary_key=True),
    Column("ticket_id", String(128)),
    Column("received_ms", BigInteger, nullable=False),
    Column("model_version", _NAME, nullable=False),
    Column("model_digest", String(12), nullable=False),
    Column("is_audit", Boolean, nullable=False),
    # The chance with which a person is asked about an answer like this: 1, or AUDIT_SHARE where all heads say ``auto``.
    Column("asked_chance", Float, nullable=False),
    # Kept as STORE_TEXT says, and erased as STORE_RETENTION_DAYS says.
    Column("title", Text),
    Column("description", Text),
    Column("customer_email", Text),
    Index(None, "ticket_id", "received_ms"),
    Index(None, "received_ms"),
    Index(
        "ix_predictions_audits",
        "model_digest",
        "received_ms",
        sqlite_where=text("is_audit"),
        postgresql_where=text("is_audit"),
    ),
    # What is left to erase, so that what was erased is not looked at again.
    Index(
        "ix_predictions_texts",
        "received_ms",
        sqlite_where=text("title IS NOT NULL"),
        postgresql_where=text("title IS NOT NULL"),
    ),
)

# What each head said of a prediction, after a withdrawn promise has had its say.
answers: Final = Table(
    "answers",
    metadata,
    Column("prediction_id", _UUID, ForeignKey("predictions.prediction_id", ondelete="CASCADE"), nullable=False),
    Column("head", _NAME, nullable=False),
    Column("label", _NAME, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("decision", String(8), nullable=False),
    # As in the answer: JSON arrays.
    Column("reasons", Text, nullable=False),
    Column("alternatives", Text, nullable=False),
    PrimaryKeyConstraint("prediction_id", "head"),
    CheckConstraint("decision IN ('auto', 'suggest', 'review')", name="decision"),
)

# How many answers there were; kept when the answers themselves are gone, and quick to sum.
answer_counts: Final = Table(
    "answer_counts",
    metadata,
    # Days since 1970, in UTC.
    Column("day", Integer, nullable=False),
    Column("model_version", _NAME, nullable=False),
    Column("model_digest", String(12), nullable=False),
    Column("head", _NAME, nullable=False),
    Column("label", _NAME, nullable=False),
    Column("decision", String(8), nullable=False),
    Column("n_answers", BigInteger, nullable=False),
    PrimaryKeyConstraint("model_digest", "day", "head", "label", "decision", "model_version"),
)

# Tickets that a person should look at. A row is there until the ticket is judged; then it is closed.
review_items: Final = Table(
    "review_items",
    metadata,
    Column("prediction_id", _UUID, ForeignKey("predictions.prediction_id", ondelete="CASCADE"), primary_key=True),
    # The queue's order, lowest first: minus what a judgement of the ticket is expected to be worth, from 0 to 1, which
    # docs/feedback.md explains; once skipped, one more than the last in the queue.
    Column("rank", Float, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("reviewer", _NAME),
    Column("leased_until_ms", BigInteger, nullable=False),
    Index(
        "ix_review_items_open",
        "rank",
        "prediction_id",
        sqlite_where=text("is_open"),
        postgresql_where=text("is_open"),
    ),
    # By time, which is the order of ids.
    Index(
        "ix_review_items_open_by_time",
        "prediction_id",
        sqlite_where=text("is_open"),
        postgresql_where=text("is_open"),
    ),
    Index(
        "ix_review_items_closed_by_time",
        "prediction_id",
        sqlite_where=text("NOT is_open"),
        postgresql_where=text("NOT is_open"),
    ),
    # What a reviewer has; most items are nobody's.
    Index(
        "ix_review_items_leased",
        "reviewer",
        sqlite_where=text("is_open AND reviewer IS NOT NULL"),
        postgresql_where=text("is_open AND reviewer IS NOT NULL"),
    ),
)

# Tickets that a second person judges too, without knowing what the first one said. A row is open until that is done.
second_readings: Final = Table(
    "second_readings",
    metadata,
    Column("prediction_id", _UUID, ForeignKey("predictions.prediction_id", ondelete="CASCADE"), primary_key=True),
    Column("first_reviewer", _NAME, nullable=False),
    # Who has it, and later who judged it.
    Column("reviewer", _NAME),
    Column("leased_until_ms", BigInteger, nullable=False),
    Column("is_open", Boolean, nullable=False),
    Index(
        "ix_second_readings_open",
        "prediction_id",
        sqlite_where=text("is_open"),
        postgresql_where=text("is_open"),
    ),
)

# What people said; a row is never changed but for its mark, its text and its e-mail address.
feedback: Final = Table(
    "feedback",
    metadata,
    Column("feedback_id", _UUID, primary_key=True),
    # Not a foreign key: judgements outlive predictions.
    Column("prediction_id", _UUID),
    Column("ticket_id", String(128)),
    Column("received_ms", BigInteger, nullable=False),
    Column("source", String(16), nullable=False),
    Column("reviewer", _NAME),
    Column("taken_back_ms", BigInteger),
    # The text that came along, or that of the prediction.
    Column("title", Text),
    Column("description", Text),
    # A hash of the caller and the caller's key. A repetition under the same key gets the answer of the first.
    Column("idempotency_key", String(64), unique=True),
    Column("body_sha256", String(64)),
    # When the text was sent for the first time, else the key; null when neither is kept.
    Column("kept_since_ms", BigInteger),
    # Whether it was given for all answers of a filter at once, which nobody read one by one.
    Column("accepted_together", Boolean, nullable=False, server_default=false()),
    CheckConstraint("source IN ('review', 'helpdesk', 'api')", name="source"),
    Index(None, "prediction_id"),
    Index(None, "ticket_id"),
    Index(None, "received_ms"),
    Index(
        None,
        "kept_since_ms",
        sqlite_where=text("kept_since_ms IS NOT NULL"),
        postgresql_where=text("kept_since_ms IS NOT NULL"),
    ),
    # How many there are tells that one was taken back; they are few.
    Index(
        None,
        "taken_back_ms",
        sqlite_where=text("taken_back_ms IS NOT NULL"),
        postgresql_where=text("taken_back_ms IS NOT NULL"),
    ),
)

# Tickets whose text was erased: what a writer still had waiting then must not bring it back.
erased_tickets: Final = Table(
    "erased_tickets",
    metadata,
    Column("ticket_id", String(128), primary_key=True),
    # Predictions of until then are kept without text, and not reviewed.
    Column("erased_until_ms", BigInteger, nullable=False),
)

# One row for each head that a feedback judges, with what the service had answered then, which outlives the prediction.
judgements: Final = Table(
    "judgements",
    metadata,
    Column("feedback_id", _UUID, ForeignKey("feedback.feedback_id", ondelete="CASCADE"), nullable=False),
    Column("head", _NAME, nullable=False),
    Column("label", _NAME, nullable=False),
    # Null without a prediction.
    Column("predicted_label", _NAME),
    Column("predicted_decision", String(8)),
    Column("model_version", _NAME),
    Column("model_digest", String(12)),
    Column("is_audit", Boolean, nullable=False),
    # That of the prediction; null when it was not in the queue.
    Column("asked_chance", Float),
    PrimaryKeyConstraint("feedback_id", "head"),
    Index(
        "ix_judgements_audits",
        "model_digest",
        "head",
        "feedback_id",
        # Always true in here; SQLite would look at the row for it.
        "is_audit",
        sqlite_where=text("is_audit"),
        postgresql_where=text("is_audit"),
    ),
)

# Every change of a promise's state; the latest of a head and label is what holds.
promise_events: Final = Table(
    "promise_events",
    metadata,
    Column("event_id", _UUID, primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("model_version", _NAME, nullable=False),
    Column("model_digest", String(12), nullable=False),
    Column("head", _NAME, nullable=False),
    # Empty: the head as a whole.
    Column("label", _NAME, nullable=False),
    Column("state", String(8), nullable=False),
    # Judgements of before a reset count no more.
    Column("is_reset", Boolean, nullable=False),
    Column("n_audited", Integer, nullable=False),
    Column("n_right", Integer, nullable=False),
    Column("e_value", Float, nullable=False),
    CheckConstraint("state IN ('unproven', 'kept', 'broken')", name="state"),
    Index(None, "model_digest", "head", "label", "event_id"),
)

# What all workers and replicas sign with; made by the first that needs it.
service_secrets: Final = Table(
    "service_secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(64), nullable=False),
)

# Sessions of the console that were ended before their time.
ended_sessions: Final = Table(
    "ended_sessions",
    metadata,
    Column("session_id", String(32), primary_key=True),
    # When the session would have ended by itself, and the row is needed no more.
    Column("expires_ms", BigInteger, nullable=False),
    Index(None, "expires_ms"),
)

# What helpdesks have sent, so that nothing is done twice; for a day. What was in a delivery is not here.
deliveries: Final = Table(
    "deliveries",
    metadata,
    Column("connector", _CONNECTOR, nullable=False),
    # A hash of the body and of what signs it.
    Column("content_key", String(64), nullable=False),
    # A hash of the helpdesk's own id of the delivery, where it has one.
    Column("delivery_key", String(64)),
    Column("received_ms", BigInteger, nullable=False),
    Column("ticket_ref", _TICKET_REF),
    Column("outcome", String(16), nullable=False),
    # Why nothing could be done with it; null otherwise.
    Column("problem", Text),
    PrimaryKeyConstraint("connector", "content_key"),
    UniqueConstraint("connector", "delivery_key"),
    Index(None, "received_ms"),
)

# Tickets of helpdesks: what is known of their values, which are labels in the helpdesk's own words.
helpdesk_tickets: Final = Table(
    "helpdesk_tickets",
    metadata,
    Column("connector", _CONNECTOR, nullable=False),
    # The helpdesk's own id.
    Column("ticket_ref", _TICKET_REF, nullable=False),
    # Null until the ticket was classified.
    Column("prediction_id", _UUID),
    Column("is_closed", Boolean, nullable=False),
    # By head, in JSON: see ``app.store.helpdesk_tickets``.
    Column("heads", Text, nullable=False),
    # When it last changed there, as far as is known; what is older than that is late.
    Column("changed_ms", BigInteger),
    Column("looked_at_ms", BigInteger, nullable=False),
    PrimaryKeyConstraint("connector", "ticket_ref"),
    Index(None, "looked_at_ms"),
)

# What is to be done at helpdesks, in the order of ids; a row is ``waiting`` until it is done or given up.
outbox: Final = Table(
    "outbox",
    metadata,
    Column("job_id", _UUID, primary_key=True),
    Column("connector", _CONNECTOR, nullable=False),
    Column("ticket_ref", _TICKET_REF, nullable=False),
    Column("kind", String(16), nullable=False),
    # What is to be said of which head, in JSON; labels, never text of the ticket.
    Column("content", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("n_attempts", Integer, nullable=False),
    # When it was wanted; after a day of failures from then on it is given up.
    Column("wanted_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False),
    # Who is at it: a lease that ends by itself, because processes do.
    Column("lease_id", _UUID),
    Column("leased_until_ms", BigInteger, nullable=False),
    Column("finished_ms", BigInteger),
    # What was done, or why it failed.
    Column("result", Text),
    CheckConstraint("state IN ('waiting', 'done', 'dead')", name="state"),
    Index(
        "ix_outbox_waiting",
        "connector",
        "ticket_ref",
        "job_id",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
    Index(None, "connector", "state", "job_id"),
    Index(None, "finished_ms"),
)

# One row for each connector: what all workers and replicas must agree on when they speak to its helpdesk.
connector_states: Final = Table(
    "connector_states",
    metadata,
    Column("connector", _CONNECTOR, primary_key=True),
    # When it was first there: tickets of before are of no interest.
    Column("began_ms", BigInteger, nullable=False),
    # Nothing is sent before: the helpdesk asked for it, or failed too often.
    Column("paused_until_ms", BigInteger, nullable=False),
    Column("n_failures", Integer, nullable=False),
    # Which keeps the rate.
    Column("next_call_ms", BigInteger, nullable=False),
    # Changes there are known up to here; null before the first look.
    Column("looked_until_ms", BigInteger),
    # Nobody else looks before.
    Column("look_leased_until_ms", BigInteger, nullable=False),
    # Why the last call failed; null after one that did not.
    Column("problem", Text),
)

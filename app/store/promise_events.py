"""What promises are judged by, and what became of them: audited judgements, counts of answers, changes of state.

What a promise is, and when it is kept or broken, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, insert, select, text

from app.store.ids import milliseconds_of, new_id_after
from app.store.promise import Audit, Change, HeadLabel, PromiseEvent
from app.store.tables import answer_counts, feedback, judgements, promise_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection, Subquery

    from app.store.database import Database

# Any number that no other program, and no other lock of ours, uses in the same database.
_LOCK_KEY: Final = 7_206_314_558_072
# Spelt like the condition of the index, which SQLite would not use otherwise.
_IS_AUDIT: Final = text("judgements.is_audit")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Is another whenever audits or events of a model are; quick to read, from indexes alone."""

    n_audits: int
    n_taken_back: int
    n_events: int


def fingerprint_of(connection: Connection, model_digest: str) -> Fingerprint:
    """Return the fingerprint of what a model's promises are judged by."""
    row = connection.execute(
        select(
            select(func.count())
            .select_from(judgements)
            .where(judgements.c.model_digest == model_digest, _IS_AUDIT)
            .scalar_subquery(),
            select(func.count()).select_from(feedback).where(feedback.c.taken_back_ms.is_not(None)).scalar_subquery(),
            select(func.count())
            .select_from(promise_events)
            .where(promise_events.c.model_digest == model_digest)
            .scalar_subquery(),
        )
    ).one()
    return Fingerprint(*row)


def read_audits(connection: Connection, model_digest: str) -> list[Audit]:
    """Return the audits of a model in the order in which they were judged; of each answer, the latest that counts."""
    counting = counting_audits(model_digest=model_digest)
    rows = connection.execute(
        select(counting.c.head, counting.c.predicted_label, counting.c.is_right, counting.c.prediction_id)
        .where(counting.c.age == 1)
        .order_by(counting.c.feedback_id)
    )
    return [Audit(head, label, bool(is_right), prediction_id) for head, label, is_right, prediction_id in rows]


def counting_audits(*, model_digest: str | None = None, since_id: str = "") -> Subquery:
    """Return the audits that stand, of a model or of all, judged since an id; the latest of each has ``age`` 1."""
    of_model = [] if model_digest is None else [judgements.c.model_digest == model_digest]
    # By themselves: joined at once, a Postgres without statistics looks through all of them for each feedback.
    audits = (
        select(
            judgements.c.feedback_id,
            judgements.c.model_version,
            judgements.c.head,
            judgements.c.predicted_label,
            (judgements.c.label == judgements.c.predicted_label).label("is_right"),
        )
        .where(*of_model, judgements.c.feedback_id >= since_id, _IS_AUDIT)
        .cte("audits")
        .prefix_with("MATERIALIZED")
    )
    of_answer = [feedback.c.prediction_id, audits.c.head]
    age = func.row_number().over(partition_by=of_answer, order_by=audits.c.feedback_id.desc()).label("age")
    return (
        select(*audits.c, feedback.c.prediction_id, age)
        .join(feedback, feedback.c.feedback_id == audits.c.feedback_id)
        .where(feedback.c.taken_back_ms.is_(None))
        .subquery()
    )


def read_events(connection: Connection, model_digest: str) -> list[PromiseEvent]:
    """Return all events of a model, oldest first."""
    columns = promise_events.c
    rows = connection.execute(
        select(columns.event_id, columns.head, columns.label, columns.state, columns.is_reset)
        .where(columns.model_digest == model_digest)
        .order_by(columns.event_id)
    )
    return [PromiseEvent(*row) for row in rows]


def count_auto(connection: Connection, model_digest: str) -> dict[HeadLabel, int]:
    """Return how many answers of each label were ``auto``."""
    columns = answer_counts.c
    rows = connection.execute(
        select(columns.head, columns.label, func.sum(columns.n_answers))
        .where(columns.model_digest == model_digest, columns.decision == "auto")
        .group_by(columns.head, columns.label)
    )
    return {HeadLabel(head, label): int(n_answers) for head, label, n_answers in rows}


def record_changes(
    database: Database, changes: Iterable[Change], *, model_version: str, model_digest: str
) -> list[Change]:
    """Record ``changes``, except those of promises that have another event meanwhile; return those that were recorded.

    Of several processes that judge the same audits, one records a change, and the others find it there. A reset is
    recorded in any case.
    """
    recorded = []
    with database.writing() as connection:
        if database.kind == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        latest = _latest_ids(connection, model_digest)
        for change in changes:
            before = latest.get(change.of)
            if change.is_reset or before == change.after:
                # Later than what is there, also by a clock that is behind the one it was written by.
                event_id = new_id_after(before or "")
                connection.execute(
                    insert(promise_events).values(
                        event_id=event_id,
                        at_ms=milliseconds_of(event_id),
                        model_version=model_version,
                        model_digest=model_digest,
                        head=change.of.head,
                        label=change.of.label,
                        state=change.state,
                        is_reset=change.is_reset,
                        n_audited=change.n_audited,
                        n_right=change.n_right,
                        e_value=change.e_value,
                    )
                )
                recorded.append(change)
    return recorded


def _latest_ids(connection: Connection, model_digest: str) -> Mapping[HeadLabel, str]:
    return {event.of: event.event_id for event in read_events(connection, model_digest)}

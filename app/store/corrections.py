"""What was taken for what: labels that people gave beside those that were answered; what follows is left to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from app.store.tables import feedback, judgements

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection, Select

    from app.store.database import Database


@dataclass(frozen=True, slots=True)
class TakenFor:
    """How many tickets of ``label`` were answered as ``predicted_label``."""

    model_version: str
    head: str
    predicted_label: str
    label: str
    n_tickets: int

    @property
    def is_right(self) -> bool:
        return self.label == self.predicted_label


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person made of an answer that was wrong; ``title`` is None where no text is kept any more."""

    feedback_id: str
    prediction_id: str
    ticket_id: str | None
    received_ms: int
    reviewer: str | None
    source: str
    title: str | None
    model_version: str
    head: str
    predicted_label: str
    label: str


def count_taken_for(database: Database, *, since_ms: int, most: int) -> list[TakenFor]:
    """Count the judged tickets by what was answered and what people gave, right ones too, the most frequent first.

    Of each ticket and head the latest judgement since ``since_ms`` counts, and of all feedback the last ``most``, which
    bounds how long it takes. What was accepted together with others was read by nobody, and says nothing here. Raise
    ``StoreUnavailableError``.
    """
    before_those = select(feedback.c.feedback_id).order_by(feedback.c.feedback_id.desc()).offset(most).limit(1)
    with database.reading() as connection:
        after_id = connection.execute(before_those).scalar_one_or_none() or ""
        return [TakenFor(*row) for row in connection.execute(_taken_for(since_ms, after_id))]


def latest_corrections(database: Database, *, since_ms: int, limit: int) -> list[Correction]:
    """Return the latest corrections that stand, the newest first; raise ``StoreUnavailableError``.

    At most ``limit`` are looked at, and those left out that somebody judged again since.
    """
    columns = judgements.c
    query = (
        select(
            feedback.c.feedback_id,
            feedback.c.prediction_id,
            feedback.c.ticket_id,
            feedback.c.received_ms,
            feedback.c.reviewer,
            feedback.c.source,
            feedback.c.title,
            columns.model_version,
            columns.head,
            columns.predicted_label,
            columns.label,
        )
        .join(judgements, columns.feedback_id == feedback.c.feedback_id)
        .where(*_was_read(since_ms), columns.label != columns.predicted_label)
        .order_by(feedback.c.feedback_id.desc(), columns.head)
        .limit(limit)
    )
    with database.reading() as connection:
        found = [Correction(*row) for row in connection.execute(query)]
        # Asked for by themselves: Postgres may plan it as one with all judgements there are.
        latest = _latest_judgements(connection, {correction.prediction_id for correction in found}, since_ms)
    return [one for one in found if latest[one.prediction_id, one.head] == one.feedback_id]


def _latest_judgements(
    connection: Connection, prediction_ids: Iterable[str], since_ms: int
) -> dict[tuple[str, str], str]:
    """Return the id of the latest feedback on each head of some predictions."""
    of_answer = (feedback.c.prediction_id, judgements.c.head)
    query = (
        select(*of_answer, func.max(feedback.c.feedback_id))
        .join(judgements, judgements.c.feedback_id == feedback.c.feedback_id)
        .where(feedback.c.prediction_id.in_(prediction_ids), *_was_read(since_ms))
        .group_by(*of_answer)
    )
    return {(prediction_id, head): feedback_id for prediction_id, head, feedback_id in connection.execute(query)}


def _taken_for(since_ms: int, after_id: str) -> Select[Any]:
    of_answer = [feedback.c.prediction_id, judgements.c.head]
    judged = (
        select(
            judgements.c.model_version,
            judgements.c.head,
            judgements.c.predicted_label,
            judgements.c.label,
            func.row_number().over(partition_by=of_answer, order_by=feedback.c.feedback_id.desc()).label("age"),
        )
        .join(feedback, feedback.c.feedback_id == judgements.c.feedback_id)
        .where(*_was_read(since_ms), feedback.c.feedback_id > after_id, judgements.c.predicted_label.is_not(None))
        .subquery()
    )
    kinds = (judged.c.model_version, judged.c.head, judged.c.predicted_label, judged.c.label)
    n_tickets = func.count()
    return select(*kinds, n_tickets).where(judged.c.age == 1).group_by(*kinds).order_by(n_tickets.desc(), *kinds)


def _was_read(since_ms: int) -> list[ColumnElement[bool]]:
    """Return what holds for feedback that stands, and that a person gave who looked at the ticket."""
    return [
        feedback.c.received_ms >= since_ms,
        feedback.c.taken_back_ms.is_(None),
        feedback.c.prediction_id.is_not(None),
        ~feedback.c.accepted_together,
    ]

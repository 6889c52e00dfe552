"""What people said of tickets whose text is kept, to learn from and to hand on: of each head the latest judgement."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, or_, select

from app.store.tables import answers, feedback, judgements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Row, Select

    from app.store.database import Database


@dataclass(frozen=True, slots=True)
class HeadJudgement:
    """The label that a person gave, and what the service had answered; None where that is not known.

    ``feedback_id`` rises with the time of the judgement. ``confidence`` goes with the prediction, which is kept for a
    while only. ``asked_chance`` is the chance with which a person was asked about an answer like that.
    """

    feedback_id: str
    label: str
    source: str
    reviewer: str | None
    predicted_label: str | None
    predicted_decision: str | None
    confidence: float | None
    model_version: str | None
    is_audit: bool
    asked_chance: float | None


@dataclass(frozen=True, slots=True)
class JudgedTicket:
    """A ticket with its text, and the latest judgement of each head that is not taken back."""

    prediction_id: str | None
    ticket_id: str | None
    title: str
    description: str
    judgements: Mapping[str, HeadJudgement]


def read_judged_tickets(database: Database) -> Iterator[JudgedTicket]:
    """Yield the tickets whose text is kept in the order of their first judgement; raise ``StoreUnavailableError``."""
    by_ticket: dict[str, JudgedTicket] = {}
    with database.reading() as connection:
        for row in connection.execution_options(yield_per=1_000).execute(_judgements()):
            # What is said of a prediction several times is of one ticket, and so is what a team says of its own.
            key = (
                f"prediction {row.prediction_id}" if row.prediction_id else f"ticket {row.ticket_id or row.feedback_id}"
            )
            before = by_ticket.get(key)
            # The latest text, too: a judgement without one, of when none was kept, still counts.
            title, description = row.title, row.description
            if title is None and before is not None:
                title, description = before.title, before.description
            earlier = {} if before is None else before.judgements
            by_ticket[key] = JudgedTicket(
                row.prediction_id, row.ticket_id, title, description, {**earlier, row.head: _judgement(row)}
            )
    for ticket in by_ticket.values():
        if ticket.title is not None:
            yield replace(ticket, description=ticket.description or "")


def _judgements() -> Select[Any]:
    """Return the query for every judgement that stands, of tickets with a text, the earliest first."""
    answered = and_(answers.c.prediction_id == feedback.c.prediction_id, answers.c.head == judgements.c.head)
    has_text = feedback.c.title.is_not(None)
    with_text = select(feedback.c.prediction_id).where(has_text, feedback.c.prediction_id.is_not(None))
    return (
        select(
            feedback.c.feedback_id,
            feedback.c.prediction_id,
            feedback.c.ticket_id,
            feedback.c.title,
            feedback.c.description,
            feedback.c.source,
            feedback.c.reviewer,
            *(column for column in judgements.c if column.name != "feedback_id"),
            answers.c.confidence,
        )
        .join(judgements, judgements.c.feedback_id == feedback.c.feedback_id)
        .outerjoin(answers, answered)
        # What nobody read is the model's own answer, which would teach it its own errors.
        .where(feedback.c.taken_back_ms.is_(None), ~feedback.c.accepted_together)
        .where(or_(has_text, feedback.c.prediction_id.in_(with_text)))
        .order_by(feedback.c.feedback_id, judgements.c.head)
    )


def _judgement(row: Row[Any]) -> HeadJudgement:
    return HeadJudgement(
        feedback_id=row.feedback_id,
        label=row.label,
        source=row.source,
        reviewer=row.reviewer,
        predicted_label=row.predicted_label,
        predicted_decision=row.predicted_decision,
        confidence=row.confidence,
        model_version=row.model_version,
        is_audit=row.is_audit,
        asked_chance=row.asked_chance,
    )

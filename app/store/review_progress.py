"""How far reviewing has come today, what waits, and what a reviewer said last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select, text

from app.store.ids import milliseconds_of
from app.store.tables import feedback, judgements, predictions, review_items

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from app.store.database import Database

_IS_OPEN: Final = text("is_open")
_MAX_LAST: Final = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """Tickets that were read since a time, by one reviewer and by all, and the queue: how many, since when."""

    n_mine: int
    n_all: int
    n_together: int
    n_open: int
    # When the oldest that waits arrived; None for an empty queue.
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class LastJudgement:
    """What a reviewer said of a ticket, by head; ``title`` is None when it is not kept."""

    feedback_id: str
    prediction_id: str | None
    ticket_id: str | None
    title: str | None
    labels: Mapping[str, str]


def read_progress(database: Database, reviewer: str | None, *, since_ms: int) -> Progress:
    """Return what was judged in review since then, and what is open now."""
    columns = feedback.c
    is_counted = [columns.received_ms >= since_ms, columns.source == "review", columns.taken_back_ms.is_(None)]
    by_kind = (
        select(columns.accepted_together, _is_by(reviewer).label("is_mine"), func.count())
        .where(*is_counted)
        .group_by(columns.accepted_together, "is_mine")
    )
    of_queue = select(func.count(), func.min(review_items.c.prediction_id)).where(_IS_OPEN)
    with database.reading() as connection:
        counts = {(bool(together), bool(mine)): n for together, mine, n in connection.execute(by_kind)}
        n_open, oldest = connection.execute(of_queue).one()
    return Progress(
        n_mine=counts.get((False, True), 0),
        n_all=counts.get((False, True), 0) + counts.get((False, False), 0),
        n_together=counts.get((True, True), 0) + counts.get((True, False), 0),
        n_open=n_open,
        oldest_ms=None if oldest is None else milliseconds_of(oldest),
    )


def last_judgements(database: Database, reviewer: str | None, *, since_ms: int) -> list[LastJudgement]:
    """Return the last ten judgements of a reviewer since then that may be taken back, the latest first."""
    columns = feedback.c
    last = (
        select(columns.feedback_id, columns.prediction_id, columns.ticket_id, predictions.c.title)
        .outerjoin(predictions, predictions.c.prediction_id == columns.prediction_id)
        .where(columns.received_ms >= since_ms, columns.source == "review", columns.taken_back_ms.is_(None))
        .where(~columns.accepted_together, _is_by(reviewer))
        .order_by(columns.received_ms.desc(), columns.feedback_id.desc())
        .limit(_MAX_LAST)
    )
    with database.reading() as connection:
        rows = connection.execute(last).all()
        labels: dict[str, dict[str, str]] = {row.feedback_id: {} for row in rows}
        of_rows = select(judgements).where(judgements.c.feedback_id.in_(labels)).order_by(judgements.c.head)
        for row in connection.execute(of_rows):
            labels[row.feedback_id][row.head] = row.label
    return [LastJudgement(*row, labels=labels[row.feedback_id]) for row in rows]


def _is_by(reviewer: str | None) -> ColumnElement[bool]:
    column = feedback.c.reviewer
    return column.is_(None) if reviewer is None else func.coalesce(column, "") == reviewer

"""Judgements that are taken back, and what becomes of their tickets: who is asked about them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from app.store.review_queue import lock_items
from app.store.second_readings import after_taking_back
from app.store.tables import feedback, predictions, review_items

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.store.database import Database


@dataclass(frozen=True, slots=True)
class Lease:
    """Who gets a ticket that is open again, and until when nobody else does."""

    holder: str | None
    until_ms: int


NOBODYS = Lease(None, 0)


def take_back(database: Database, feedback_id: str, *, now_ms: int, keeps_text: bool) -> bool:
    """Mark a judgement as taken back, and let the ticket be judged again if no other judgement of it is left.

    Where texts are kept, nobody is asked again about a ticket whose text is gone. Return whether there is such a
    judgement. Once it is marked, nothing changes any more.
    """
    with database.writing() as connection:
        if (
            connection.execute(
                select(feedback.c.feedback_id).where(feedback.c.feedback_id == feedback_id)
            ).one_or_none()
            is None
        ):
            return False
        take_back_within(connection, [feedback_id], now_ms=now_ms, keeps_text=keeps_text)
        return True


def take_back_within(
    connection: Connection, feedback_ids: Sequence[str], *, now_ms: int, keeps_text: bool, lease: Lease = NOBODYS
) -> None:
    """Do so with several judgements, as a part of a transaction; what is open again is leased as ``lease`` says."""
    columns = feedback.c
    are_they = columns.feedback_id.in_(feedback_ids)
    rows = connection.execute(select(columns.prediction_id).where(are_they)).scalars().all()
    lock_items(connection, rows)
    # Only now, because another may have marked them until the lock was there.
    marked = connection.execute(
        select(columns.feedback_id, columns.prediction_id, columns.reviewer)
        .where(are_they, columns.taken_back_ms.is_(None))
        .with_for_update()
    ).all()
    ids = [row.feedback_id for row in marked]
    connection.execute(update(feedback).where(columns.feedback_id.in_(ids)).values(taken_back_ms=now_ms))
    of_predictions = [row for row in marked if row.prediction_id is not None]
    _reopen(connection, [row.prediction_id for row in of_predictions], needs_text=keeps_text, lease=lease)
    for row in of_predictions:
        after_taking_back(
            connection, row.prediction_id, reviewer=row.reviewer, now_ms=now_ms, leased_until_ms=lease.until_ms
        )


def _reopen(connection: Connection, prediction_ids: Sequence[str], *, needs_text: bool, lease: Lease) -> None:
    """Open what has no judgement any more."""
    columns = review_items.c
    is_judged = (
        select(feedback.c.feedback_id)
        .where(feedback.c.prediction_id == columns.prediction_id, feedback.c.taken_back_ms.is_(None))
        .exists()
    )
    reopening = (
        update(review_items)
        .where(columns.prediction_id.in_(prediction_ids), ~is_judged)
        .values(is_open=True, reviewer=lease.holder, leased_until_ms=lease.until_ms)
    )
    if needs_text:
        has_text = (predictions.c.prediction_id == columns.prediction_id) & predictions.c.title.is_not(None)
        reopening = reopening.where(select(predictions.c.prediction_id).where(has_text).exists())
    connection.execute(reopening)

"""Tickets that a second person judges too: opened, given out, closed, and the pairs of judgements that come of them.

A second reading goes with a judgement of a named reviewer. Who draws them, and what pairs tell, is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, or_, select, text, update

from app.store.insertion import insert_new
from app.store.tables import feedback, judgements, review_items, second_readings

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

    from app.store.database import Database, Kind

# Tickets that agreement is said of, the latest ones, which bounds how long the pages that say it take.
MOST_READINGS: Final = 2_000
# As the partial index says it: SQLite compares the words.
_IS_OPEN: Final = text("second_readings.is_open")


@dataclass(frozen=True, slots=True)
class Pair:
    """What two people said of one head of a ticket, neither knowing the other's judgement."""

    head: str
    first: str
    second: str


def open_reading(connection: Connection, kind: Kind, prediction_id: str, *, first_reviewer: str) -> None:
    """Let somebody else than ``first_reviewer`` judge a ticket, too; once in its life."""
    row = {"prediction_id": prediction_id, "first_reviewer": first_reviewer, "leased_until_ms": 0, "is_open": True}
    connection.execute(insert_new(kind, second_readings).values(row))


def close_reading(connection: Connection, prediction_id: str, *, reviewer: str) -> bool:
    """Close the reading that ``reviewer`` has; return whether there is one."""
    statement = update(second_readings).where(_is_of(prediction_id, reviewer)).values(is_open=False, leased_until_ms=0)
    return connection.execute(statement).rowcount > 0


def held_readings(
    connection: Connection, *, reviewer: str, now_ms: int, without: Sequence[str], limit: int
) -> list[str]:
    """Return the predictions of which ``reviewer`` has the second reading already."""
    columns = second_readings.c
    statement = (
        select(columns.prediction_id)
        .where(_IS_OPEN, columns.reviewer == reviewer, columns.leased_until_ms > now_ms)
        .where(columns.prediction_id.not_in(without))
        .order_by(columns.prediction_id)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


def claim_readings(
    connection: Connection, *, reviewer: str, now_ms: int, leased_until_ms: int, limit: int
) -> list[str]:
    """Lease the oldest readings that nobody has, and of whose tickets ``reviewer`` has said nothing yet."""
    columns = second_readings.c
    has_spoken = select(feedback.c.feedback_id).where(
        feedback.c.prediction_id == columns.prediction_id, feedback.c.reviewer == reviewer
    )
    free = (
        select(columns.prediction_id)
        .where(_IS_OPEN, columns.leased_until_ms <= now_ms, columns.first_reviewer != reviewer, ~has_spoken.exists())
        .order_by(columns.prediction_id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=second_readings)
    )
    prediction_ids = list(connection.execute(free).scalars())
    _lease(connection, columns.prediction_id.in_(prediction_ids), reviewer, leased_until_ms)
    return prediction_ids


def renew_readings(
    connection: Connection, prediction_ids: Sequence[str], *, reviewer: str, leased_until_ms: int
) -> list[str]:
    """Let ``reviewer`` keep the readings that nobody else got meanwhile; return which those are."""
    columns = second_readings.c
    are_theirs = and_(columns.prediction_id.in_(prediction_ids), columns.is_open, columns.reviewer == reviewer)
    kept = select(columns.prediction_id).where(are_theirs).order_by(columns.prediction_id).with_for_update()
    found = list(connection.execute(kept).scalars())
    _lease(connection, are_theirs, reviewer, leased_until_ms)
    return found


def rest_reading(connection: Connection, prediction_id: str, *, reviewer: str, until_ms: int) -> bool:
    """Give nobody the reading that ``reviewer`` does not want until then; return whether there is one."""
    statement = (
        update(second_readings).where(_is_of(prediction_id, reviewer)).values(reviewer=None, leased_until_ms=until_ms)
    )
    return connection.execute(statement).rowcount > 0


def is_held(connection: Connection, prediction_id: str, *, reviewer: str) -> bool:
    """Return whether ``reviewer`` has the second reading, and nobody got it meanwhile."""
    return (
        connection.execute(select(second_readings.c.is_open).where(_is_of(prediction_id, reviewer))).first() is not None
    )


def close_readings(connection: Connection, prediction_ids: Iterable[str]) -> None:
    """Ask nobody about these tickets any more."""
    are_they = second_readings.c.prediction_id.in_(list(prediction_ids))
    connection.execute(update(second_readings).where(are_they, second_readings.c.is_open).values(is_open=False))


def after_taking_back(
    connection: Connection, prediction_id: str, *, reviewer: str | None, now_ms: int, leased_until_ms: int
) -> None:
    """Let the second reading follow a judgement of ``reviewer`` that was taken back; the ticket's item is locked.

    Of a ticket that is open again there is nothing to read a second time. If somebody is reading it right now, it is
    theirs to judge first. A second judgement that was taken back is asked for again.
    """
    columns = second_readings.c
    row = connection.execute(
        select(second_readings).where(columns.prediction_id == prediction_id).with_for_update()
    ).one_or_none()
    if row is None:
        return
    of_item = review_items.c.prediction_id == prediction_id
    if connection.execute(select(review_items.c.is_open).where(of_item)).scalar_one_or_none():
        if row.is_open and row.reviewer is not None and row.leased_until_ms > now_ms:
            theirs = {"reviewer": row.reviewer, "leased_until_ms": row.leased_until_ms}
            connection.execute(update(review_items).where(of_item).values(theirs))
        connection.execute(delete(second_readings).where(columns.prediction_id == prediction_id))
    elif not row.is_open and row.reviewer is not None and row.reviewer == reviewer:
        values = {
            "is_open": True,
            "reviewer": reviewer if leased_until_ms else None,
            "leased_until_ms": leased_until_ms,
        }
        connection.execute(update(second_readings).where(columns.prediction_id == prediction_id).values(values))


def read_pairs(database: Database, *, most: int = MOST_READINGS) -> list[Pair]:
    """Return what two people said of the same heads of the latest tickets, at most so many, in their order.

    Of each of them the first judgement that was not taken back counts: what they said later, they may have agreed on.
    """
    columns = second_readings.c
    latest = (
        select(columns.prediction_id, columns.first_reviewer, columns.reviewer)
        .where(~columns.is_open, columns.reviewer != columns.first_reviewer)
        .order_by(columns.prediction_id.desc())
        .limit(most)
        .subquery()
    )
    readings = latest.c
    theirs = or_(feedback.c.reviewer == readings.first_reviewer, feedback.c.reviewer == readings.reviewer)
    statement = (
        select(
            feedback.c.prediction_id,
            judgements.c.head,
            judgements.c.label,
            (feedback.c.reviewer == readings.first_reviewer).label("is_first"),
        )
        .select_from(latest)
        .join(feedback, and_(feedback.c.prediction_id == readings.prediction_id, theirs))
        .join(judgements, judgements.c.feedback_id == feedback.c.feedback_id)
        .where(feedback.c.source == "review", feedback.c.taken_back_ms.is_(None), ~feedback.c.accepted_together)
        # By the ids of the few: by the same ones of feedback, SQLite goes through all of it.
        .order_by(readings.prediction_id, judgements.c.head, feedback.c.feedback_id)
    )
    said: dict[tuple[str, str], dict[bool, str]] = {}
    with database.reading() as connection:
        for prediction_id, head, label, is_first in connection.execute(statement):
            said.setdefault((prediction_id, head), {}).setdefault(bool(is_first), label)
    return [Pair(head, by[True], by[False]) for (_, head), by in said.items() if len(by) == len((True, False))]


def _is_of(prediction_id: str, reviewer: str) -> ColumnElement[bool]:
    columns = second_readings.c
    return and_(columns.prediction_id == prediction_id, columns.is_open, columns.reviewer == reviewer)


def _lease(connection: Connection, which: ColumnElement[bool], reviewer: str, leased_until_ms: int) -> None:
    statement = update(second_readings).where(which)
    connection.execute(statement.values(reviewer=reviewer, leased_until_ms=leased_until_ms))

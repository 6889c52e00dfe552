"""Erases texts that are too old and deletes old rows, a few at a time, so that no writer waits for long."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select, text, tuple_, update

from app.store.database import StoreUnavailableError
from app.store.erasure import truncate_log
from app.store.second_readings import close_readings
from app.store.tables import (
    deliveries,
    erased_tickets,
    feedback,
    helpdesk_tickets,
    outbox,
    predictions,
    review_items,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, Connection, Table

    from app.store.database import Database
    from app.store.store import Store

logger = logging.getLogger(__name__)

MAX_ROWS: Final = 500
_DAY_MS: Final = 86_400_000
# No writer has anything waiting for longer than that.
_REMEMBER_ERASED_MS: Final = 7 * _DAY_MS
# For whoever wants to know what was done, in the console.
_REMEMBER_DONE_MS: Final = 7 * _DAY_MS
_ROUND_SECONDS: Final = 3_600
_AGAIN_SECONDS: Final = 60
# Between two transactions, in which others write.
_PAUSE_SECONDS: Final = 0.1
_STEP_SECONDS: Final = 30.0
_LOG_SECONDS: Final = 1.0
# Any number that no other program, and no other lock of ours, uses in the same database.
_LOCK_KEY: Final = 7_206_314_558_073


def expire_some(database: Database, *, retention_days: int, now_ms: int, max_rows: int = MAX_ROWS) -> int:
    """Do a part of what is due, at most ``max_rows`` rows of each table; return how many were touched.

    Texts, e-mail addresses and idempotency keys go after ``retention_days``, and nobody is asked about a ticket whose
    text went; predictions and what is known of helpdesks' tickets go after twice that; judgements stay. With 0 days all
    that stays. Deliveries go after a day, what was done at helpdesks after a week, and what was given up there with the
    texts. On Postgres, another process that is at it does it alone.
    """
    cutoff_ms = now_ms - retention_days * _DAY_MS
    older_ms = cutoff_ms - retention_days * _DAY_MS
    is_over = erased_tickets.c.erased_until_ms < now_ms - _REMEMBER_ERASED_MS
    with database.writing() as connection:
        if database.kind == "postgresql" and not _is_alone(connection):
            return 0
        # In the order of deliveries, so that the two never wait for each other.
        n_rows = _delete(connection, deliveries, deliveries.c.received_ms < now_ms - _DAY_MS, max_rows)
        if retention_days:
            n_rows += _delete(connection, helpdesk_tickets, _is_forgotten(older_ms), max_rows)
            n_rows += _delete(connection, outbox, _is_finished("dead", cutoff_ms), max_rows)
        n_rows += _delete(connection, outbox, _is_finished("done", now_ms - _REMEMBER_DONE_MS), max_rows)
        if retention_days:
            n_rows += _erase_texts(connection, cutoff_ms, max_rows)
            n_rows += _delete(connection, predictions, predictions.c.received_ms < older_ms, max_rows)
        # Last, as in an erasure, so that the two never wait for each other.
        return n_rows + _delete(connection, erased_tickets, is_over, max_rows)


async def expire(store: Store, *, retention_days: int, now_ms: int) -> int:
    """Do all that is due, in small transactions; return how many rows were touched. Raise ``StoreUnavailableError``."""
    n_all = 0
    while n_rows := await store.run(
        lambda database: expire_some(database, retention_days=retention_days, now_ms=now_ms), seconds=_STEP_SECONDS
    ):
        n_all += n_rows
        await asyncio.sleep(_PAUSE_SECONDS)
    if n_all and store.kind == "sqlite":
        await store.run(lambda database: truncate_log(database, seconds=_LOG_SECONDS), seconds=_STEP_SECONDS)
    return n_all


async def expire_from_time_to_time(store: Store, *, retention_days: int) -> None:
    """Do what is due, now and every hour, until it is cancelled."""
    while True:
        pause_seconds = _ROUND_SECONDS
        try:
            n_rows = await expire(store, retention_days=retention_days, now_ms=time.time_ns() // 1_000_000)
        except StoreUnavailableError:
            pause_seconds = _AGAIN_SECONDS
        except Exception:
            # The next round may find it gone, and nothing else depends on it.
            logger.exception("what is too old could not be erased")
        else:
            if n_rows:
                logger.info("what was kept long enough was erased or deleted: %d rows", n_rows)
        # Not all workers at the same moment.
        await asyncio.sleep(pause_seconds * random.uniform(0.9, 1.1))  # noqa: S311  # nosec B311 - no secret


def _is_alone(connection: Connection) -> bool:
    return bool(connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _LOCK_KEY}).scalar_one())


def _erase_texts(connection: Connection, cutoff_ms: int, max_rows: int) -> int:
    of_predictions = predictions.c.title.is_not(None) & (predictions.c.received_ms < cutoff_ms)
    of_feedback = feedback.c.kept_since_ms.is_not(None) & (feedback.c.kept_since_ms < cutoff_ms)
    columns = predictions.c
    due = connection.execute(select(columns.prediction_id).where(of_predictions).limit(max_rows)).scalars().all()
    connection.execute(
        update(predictions)
        .where(columns.prediction_id.in_(due))
        .values(title=None, description=None, customer_email=None)
    )
    _close_items(connection, due)
    n_feedback = connection.execute(
        update(feedback)
        .where(_first(feedback, of_feedback, max_rows))
        .values(title=None, description=None, idempotency_key=None, body_sha256=None, kept_since_ms=None)
    ).rowcount
    return len(due) + n_feedback


def _close_items(connection: Connection, prediction_ids: Collection[str]) -> None:
    key = review_items.c.prediction_id
    # Locked in the order of judgements, so that the two never wait for each other.
    theirs = select(key).where(key.in_(prediction_ids)).order_by(key).with_for_update()
    connection.execute(update(review_items).where(key.in_(theirs), review_items.c.is_open).values(is_open=False))
    close_readings(connection, prediction_ids)


def _is_finished(state: str, before_ms: int) -> ColumnElement[bool]:
    return (outbox.c.state == state) & (outbox.c.finished_ms < before_ms)


def _is_forgotten(before_ms: int) -> ColumnElement[bool]:
    """Return which tickets nobody has heard of since then, and nothing is to be done for."""
    its_jobs = (outbox.c.connector == helpdesk_tickets.c.connector) & (
        outbox.c.ticket_ref == helpdesk_tickets.c.ticket_ref
    )
    has_job = select(outbox.c.job_id).where(its_jobs, outbox.c.state != "done").exists()
    return (helpdesk_tickets.c.looked_at_ms < before_ms) & ~has_job


def _delete(connection: Connection, table: Table, is_due: ColumnElement[bool], max_rows: int) -> int:
    return connection.execute(delete(table).where(_first(table, is_due, max_rows))).rowcount


def _first(table: Table, is_due: ColumnElement[bool], max_rows: int) -> ColumnElement[bool]:
    """Return the condition of being among the first ``max_rows`` rows that are due."""
    key = tuple_(*table.primary_key.columns)
    return key.in_(select(*table.primary_key.columns).where(is_due).limit(max_rows))

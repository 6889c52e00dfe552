"""Erases what was written in the tickets of one id, from the tables and from the files under them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from app.store.tables import erased_tickets, feedback, predictions, review_items, second_readings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.store.database import Database, Kind

# Clocks of replicas differ a little.
_CLOCK_SKEW_MS: Final = 1_000
_CHECKPOINT_SECONDS: Final = 20.0
_CHECKPOINT_PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows a ticket has, whether or not they still had a text, and whether that is in no file any more."""

    n_predictions: int
    n_feedback: int
    is_gone: bool


def erase_ticket(database: Database, ticket_id: str, *, now_ms: int) -> Erased:
    """Erase title, description and e-mail address of every prediction and feedback of a ticket.

    When it returns, the text is in no file of SQLite, and in no table of Postgres; docs/security.md says what else that
    keeps. If readers held SQLite's write-ahead log all the time, it is to be asked for again.
    """
    with database.writing() as connection:
        erased = _erase_rows(connection, database.kind, ticket_id, now_ms)
    if database.kind == "postgresql":
        _vacuum_postgres(database)
        return erased
    with database.autocommit() as connection:
        # What moved between pages has left copies in unused parts of them, which nothing else overwrites.
        connection.execute(text("VACUUM"))
    return replace(erased, is_gone=truncate_log(database, seconds=_CHECKPOINT_SECONDS))


def truncate_log(database: Database, *, seconds: float) -> bool:
    """Empty the write-ahead log of SQLite; return whether its readers have let it come to that in time."""
    deadline = time.monotonic() + seconds
    with database.autocommit() as connection:
        while connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)")).one()[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(_CHECKPOINT_PAUSE_SECONDS)
    return True


def _erase_rows(connection: Connection, kind: Kind, ticket_id: str, now_ms: int) -> Erased:
    if kind == "postgresql":
        # Whoever is writing now is waited for; whoever writes later finds the ticket among the erased ones.
        # The order is that of writers and of judgements.
        connection.execute(text("LOCK TABLE predictions, review_items, feedback, second_readings IN EXCLUSIVE MODE"))
    _remember(connection, kind, ticket_id, now_ms + _CLOCK_SKEW_MS)
    of_ticket = predictions.c.ticket_id == ticket_id
    its_predictions = select(predictions.c.prediction_id).where(of_ticket)
    for table in (review_items, second_readings):
        connection.execute(delete(table).where(table.c.prediction_id.in_(its_predictions)))
    n_predictions = connection.execute(
        update(predictions).where(of_ticket).values(title=None, description=None, customer_email=None)
    ).rowcount
    n_feedback = connection.execute(
        # A hash of what was said would tell whoever guesses the text that it was this one.
        update(feedback).where(feedback.c.ticket_id == ticket_id).values(title=None, description=None, body_sha256=None)
    ).rowcount
    return Erased(n_predictions, n_feedback, is_gone=True)


def _remember(connection: Connection, kind: Kind, ticket_id: str, until_ms: int) -> None:
    dialect_insert = sqlite.insert if kind == "sqlite" else postgresql.insert
    row = dialect_insert(erased_tickets).values(ticket_id=ticket_id, erased_until_ms=until_ms)
    connection.execute(
        row.on_conflict_do_update(index_elements=["ticket_id"], set_={"erased_until_ms": row.excluded.erased_until_ms})
    )


def _vacuum_postgres(database: Database) -> None:
    with database.autocommit() as connection:
        # However large the tables are.
        connection.execute(text("SET statement_timeout = 0"))
        try:
            # Without FULL, rows that nobody sees any more leave their bytes in the pages.
            connection.execute(text("VACUUM (FULL) predictions, feedback"))
        finally:
            connection.execute(text("RESET statement_timeout"))

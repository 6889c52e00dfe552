"""Which sessions of the console were ended before their time, for all workers and replicas."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from app.store.insertion import insert_new
from app.store.tables import ended_sessions

if TYPE_CHECKING:
    from app.store.database import Database


def end_session(database: Database, session_id: str, *, expires_ms: int, now_ms: int) -> None:
    """Let a session be over for good, and forget those that have expired; raise ``StoreUnavailableError``."""
    with database.writing() as connection:
        connection.execute(delete(ended_sessions).where(ended_sessions.c.expires_ms <= now_ms))
        ended = {"session_id": session_id, "expires_ms": expires_ms}
        connection.execute(insert_new(database.kind, ended_sessions).values(ended))


def has_ended(database: Database, session_id: str) -> bool:
    """Return whether the session was ended; raise ``StoreUnavailableError``."""
    ask = select(ended_sessions.c.session_id).where(ended_sessions.c.session_id == session_id)
    with database.reading() as connection:
        return connection.execute(ask).one_or_none() is not None

"""What the console's sessions need of the store: a secret that all workers and replicas share, and which have ended."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from app.store.tables import ended_sessions, service_secrets

if TYPE_CHECKING:
    from sqlalchemy import Table
    from sqlalchemy.sql.dml import Insert

    from app.store.database import Database

_NAME: Final = "console_sessions"
_SECRET_BYTES: Final = 32


def session_secret(database: Database) -> bytes:
    """Return the secret that sessions are signed with, made by whoever asks first; raise ``StoreUnavailableError``."""
    ask = select(service_secrets.c.value).where(service_secrets.c.name == _NAME)
    with database.reading() as connection:
        value = connection.execute(ask).scalar_one_or_none()
    if value is None:
        with database.writing() as connection:
            made = {"name": _NAME, "value": secrets.token_hex(_SECRET_BYTES)}
            connection.execute(_insert(database, service_secrets).values(made))
            value = connection.execute(ask).scalar_one()
    return bytes.fromhex(value)


def end_session(database: Database, session_id: str, *, expires_ms: int, now_ms: int) -> None:
    """Let a session be over for good, and forget those that have expired; raise ``StoreUnavailableError``."""
    with database.writing() as connection:
        connection.execute(delete(ended_sessions).where(ended_sessions.c.expires_ms <= now_ms))
        ended = {"session_id": session_id, "expires_ms": expires_ms}
        connection.execute(_insert(database, ended_sessions).values(ended))


def has_ended(database: Database, session_id: str) -> bool:
    """Return whether the session was ended; raise ``StoreUnavailableError``."""
    ask = select(ended_sessions.c.session_id).where(ended_sessions.c.session_id == session_id)
    with database.reading() as connection:
        return connection.execute(ask).one_or_none() is not None


def _insert(database: Database, table: Table) -> Insert:
    """Return an insertion that leaves alone what is there."""
    if database.kind == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()

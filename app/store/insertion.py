"""Insertions that leave alone what is there, which the two databases spell alike and SQLAlchemy does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import literal_column
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Executable, Table

    from app.store.database import Kind


def insert_new(kind: Kind, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insertion into ``table`` that does nothing for rows whose keys are there already."""
    if kind == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


def is_inserted(connection: Connection, kind: Kind, table: Table, row: Mapping[str, object]) -> bool:
    """Insert ``row``, unless its key is there already; return whether it was not."""
    # How many rows an insertion made, the driver of Postgres does not say.
    statement: Executable = insert_new(kind, table).values(row).returning(literal_column("1"))
    return connection.execute(statement).one_or_none() is not None

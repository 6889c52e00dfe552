"""Insertions that leave alone what is there, which the two databases spell alike and SQLAlchemy does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from sqlalchemy import Table

    from app.store.database import Kind


def insert_new(kind: Kind, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insertion into ``table`` that does nothing for rows whose keys are there already."""
    if kind == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()

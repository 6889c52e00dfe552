"""Which versions have answered, and when last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from app.store.tables import answer_counts

if TYPE_CHECKING:
    from app.store.database import Database


def last_days_of_versions(database: Database) -> dict[str, int]:
    """Return the last day on which each version answered, in days since 1970."""
    columns = answer_counts.c
    query = select(columns.model_version, func.max(columns.day).label("last_day")).group_by(columns.model_version)
    with database.reading() as connection:
        return {row.model_version: row.last_day for row in connection.execute(query)}

"""Brings the tables of a database up to date: forward only, one process at a time."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import inspect, text

from app.store.database import StoreUnavailableError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.store.database import Database

# The last migration; a test compares. Knowing it here spares every start the import of Alembic.
HEAD: Final = "0003"
_MIGRATIONS: Final = Path(__file__).parent / "migrations"
# Any number that no other program uses for its own lock in the same database.
_LOCK_KEY: Final = 7_206_314_558_071


def upgrade(database: Database) -> bool:
    """Run the migrations that ``database`` lacks, all or none of them; return whether there were any.

    Raise ``StoreUnavailableError``, also for a database that a newer version of the service has migrated.
    """
    with database.reading() as connection:
        if _revision(connection) == HEAD:
            return False
    with database.writing() as connection:
        if database.kind == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
        # Another process may have done it meanwhile.
        revision = _revision(connection)
        if revision == HEAD:
            return False
        if revision is not None and revision > HEAD:
            raise StoreUnavailableError(
                f'its tables are of revision "{revision}", newer than "{HEAD}": serve a newer version'
            )
        _run(connection)
        return True


def is_current(database: Database) -> bool:
    """Return whether the tables are those of this release, changing nothing; raise ``StoreUnavailableError``."""
    with database.reading() as connection:
        return _revision(connection) == HEAD


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _run(connection: Connection) -> None:
    # What it tells of each step, and when it is imported, is for those who write migrations.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    from alembic import command  # noqa: PLC0415 - 0.2 s and 10 MB, which only a migration needs
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # "%" begins a placeholder in Alembic's configuration.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

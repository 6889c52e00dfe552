"""The migrations make the tables that the code describes, once, and never go back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from app.store import migration
from app.store.database import Database, StoreUnavailableError
from app.store.migration import HEAD, upgrade
from app.store.tables import metadata
from tests.processes import ROOT


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    yield database
    database.close()


def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    assert upgrade(database)

    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_code_knows_the_last_migration() -> None:
    assert ScriptDirectory(str(Path(migration.__file__).parent / "migrations")).get_heads() == [HEAD]


def test_a_second_upgrade_changes_nothing_and_does_not_import_alembic(database: Database, store_url: str) -> None:
    upgrade(database)
    program = (
        "import sys; from app.store.database import Database; from app.store.migration import upgrade;"
        f"print(upgrade(Database('{store_url}')), 'alembic' in sys.modules)"
    )

    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["False", "False"]


def test_of_six_processes_that_upgrade_at_once_one_does_it(store_url: str) -> None:
    program = (
        "from app.store.database import Database; from app.store.migration import upgrade;"
        f"print(upgrade(Database('{store_url}')))"
    )

    processes = [
        subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(6)
    ]
    outputs = [process.communicate()[0].strip() for process in processes]

    assert sorted(outputs) == ["False"] * 5 + ["True"]


def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    upgrade(database)
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreUnavailableError, match=f'revision "9999", newer than "{HEAD}"'):
        upgrade(database)

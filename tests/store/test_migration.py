"""The migrations make the tables that the code describes, once, and never go back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, text

from app.store import migration
from app.store.database import Database, StoreUnavailableError
from app.store.ids import new_id
from app.store.migration import HEAD, is_current, upgrade
from app.store.tables import feedback, judgements, metadata
from tests.processes import ROOT
from tests.stored import add_prediction, rows_of

MIGRATIONS = Path(migration.__file__).parent / "migrations"


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
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


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


def upgrade_to(database: Database, revision: str) -> None:
    """Make the tables as an earlier release has left them."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def place_of_feedback(database: Database) -> object:
    """Return where the rows are kept: another place after they were written anew."""
    query = (
        "SELECT rootpage FROM sqlite_master WHERE name = 'feedback'"
        if database.kind == "sqlite"
        else "SELECT pg_relation_filenode('feedback')"
    )
    with database.reading() as connection:
        return connection.execute(text(query)).scalar_one()


def test_a_store_of_the_first_release_keeps_its_rows_where_they_are_and_is_current_then(database: Database) -> None:
    upgrade_to(database, "0001")
    prediction_id, feedback_id = add_prediction(database), new_id()
    said = {"feedback_id": feedback_id, "prediction_id": prediction_id, "received_ms": 7, "source": "review"}
    with database.writing() as connection:
        connection.execute(insert(feedback), said)
        connection.execute(
            insert(judgements), {"feedback_id": feedback_id, "head": "h", "label": "x", "is_audit": False}
        )
    tables = [table for table in metadata.sorted_tables if table.name not in {"feedback", *new_tables(database)}]
    before = {table.name: rows_of(database, table) for table in tables}
    place = place_of_feedback(database)
    assert not is_current(database)

    assert upgrade(database)

    assert is_current(database)
    assert place_of_feedback(database) == place
    assert {table.name: rows_of(database, table) for table in tables} == before
    assert before["judgements"]
    (row,) = rows_of(database, feedback)
    assert row["feedback_id"] == feedback_id
    assert row["accepted_together"] is False


def new_tables(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(metadata.tables) - set(inspect(connection).get_table_names())


def test_a_worker_of_the_first_release_goes_on_writing_into_the_tables_of_this_one(database: Database) -> None:
    upgrade(database)
    columns = "feedback_id, received_ms, source"
    with database.writing() as connection:
        connection.execute(text(f"INSERT INTO feedback ({columns}) VALUES ('{new_id()}', 7, 'api')"))  # noqa: S608

    (row,) = rows_of(database, feedback)
    assert row["accepted_together"] is False

"""Transactions that wait for each other, keep what they promise, and say when the database cannot be used."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.store.database import Database, StoreUnavailableError, check_sqlite_version
from app.store.migration import upgrade


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(url)) as database:
        yield database


def test_eight_threads_that_read_before_they_write_never_find_the_database_locked(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE sums (total INTEGER)"))
        connection.execute(text("INSERT INTO sums VALUES (0)"))
    failures: list[Exception] = []

    def add() -> None:
        try:
            for number in range(25):
                with database.writing(durable=number % 2 == 0) as connection:
                    total = connection.execute(text("SELECT total FROM sums")).scalar_one()
                    connection.execute(text("UPDATE sums SET total = :total"), {"total": total + 1})
        except StoreUnavailableError as error:
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with database.reading() as connection:
        assert connection.execute(text("SELECT total FROM sums")).scalar_one() == 200


def test_nothing_of_a_transaction_that_failed_is_kept(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("CREATE TABLE names (name TEXT PRIMARY KEY)"))

    def insert_twice() -> None:
        with database.writing() as connection:
            connection.execute(text("INSERT INTO names VALUES ('mia')"))
            connection.execute(text("INSERT INTO names VALUES ('mia')"))

    with pytest.raises(IntegrityError):
        insert_twice()

    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM names")).scalar_one() == 0


def test_what_is_durable_is_synchronized_and_what_is_deleted_is_overwritten(database: Database) -> None:
    with database.writing() as connection:
        durable = connection.execute(text("PRAGMA synchronous")).scalar_one()
    with database.writing(durable=False) as connection:
        pragmas = ("synchronous", "secure_delete", "journal_mode", "foreign_keys")
        found = [connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in pragmas]

    assert durable == 2
    assert found == [1, 1, "wal", 1]


def test_a_file_that_is_no_database_is_unavailable_and_its_content_is_not_quoted(
    tmp_path: Path, database: Database
) -> None:
    (tmp_path / "store.db").write_text("a canary, not a database " * 100)

    with pytest.raises(StoreUnavailableError) as caught:
        upgrade(database)

    assert "not a database" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_sqlite_that_is_too_old_is_named(database: Database) -> None:
    with pytest.raises(StoreUnavailableError, match=r"SQLite 3\.34\.1, the store needs 3\.38\.0"):
        check_sqlite_version((3, 34, 1))

    check_sqlite_version((3, 38, 0))
    assert upgrade(database)


def test_a_directory_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="FileNotFoundError"):
        upgrade(Database(f"sqlite:///{tmp_path}/missing/store.db"))


def test_only_the_owner_may_read_the_file_and_the_log_beside_it(tmp_path: Path, database: Database) -> None:
    upgrade(database)

    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.glob("store.db*")}
    assert modes["store.db"] == "0o600"
    assert set(modes.values()) == {"0o600"}


def test_a_process_that_reads_nothing_but_ids_imports_no_package_of_the_store() -> None:
    program = "import sys, app.store.ids; print('sqlalchemy' in sys.modules, 'alembic' in sys.modules)"

    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["False", "False"]


def test_a_new_file_is_opened_while_another_process_begins_to_use_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as other,
        closing(Database(f"sqlite:///{path}")) as database,
    ):
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as threads:
            opening = threads.submit(_version, database)
            # What does not wait fails within this time.
            with pytest.raises(TimeoutError):
                opening.result(0.3)
            other.execute("ROLLBACK")
            assert opening.result(60)


def _version(database: Database) -> str:
    with database.reading() as connection:
        return str(connection.execute(text("SELECT sqlite_version()")).scalar_one())


def test_what_is_written_after_another_program_has_looked_is_there_for_all(database: Database, url: str) -> None:
    look = (
        "import sys; from sqlalchemy import text; from app.store.database import Database\n"
        "database = Database(sys.argv[1])\n"
        "with database.reading() as connection:\n"
        "    print(connection.execute(text('SELECT count(*) FROM notes')).scalar_one())\n"
        "database.close()\n"
    )

    def seen_by_another_program() -> int:
        return int(subprocess.run([sys.executable, "-c", look, url], check=True, capture_output=True, text=True).stdout)

    with database.writing() as connection:
        connection.execute(text("CREATE TABLE notes (number INTEGER)"))
    # A second connection, beside one that stays open.
    with database.reading(), database.reading() as connection:
        connection.execute(text("SELECT count(*) FROM notes")).scalar_one()
    assert seen_by_another_program() == 0

    for number in range(3):
        with database.writing() as connection:
            connection.execute(text("INSERT INTO notes VALUES (:number)"), {"number": number})

    assert seen_by_another_program() == 3

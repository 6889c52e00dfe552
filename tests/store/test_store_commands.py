"""``python -m app.store`` on real stores: tables brought up to date, and copies made while others write."""

from __future__ import annotations

import contextlib
import multiprocessing
import resource
import sqlite3
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, inspect

from app.store.database import Database
from app.store.ids import new_id
from app.store.migration import upgrade
from app.store.tables import feedback, judgements, metadata
from tests.processes import ROOT, clean_environment, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Event

_SECONDS = 60
_MAX_FILE_BYTES = 100_000


def run(*arguments: str, store_url: str, max_file_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
    limit = max_file_bytes and partial(resource.setrlimit, resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))
    # What measures coverage writes a file, too, of which there is to be no word here.
    unmeasured = {"COVERAGE_PROCESS_CONFIG": ""} if limit else {}
    return subprocess.run(
        [sys.executable, "-m", "app.store", *arguments],
        cwd=ROOT,
        env=clean_environment(STORE_URL=store_url, **unmeasured),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
        preexec_fn=limit or None,
    )


def write_one(database: Database, text: str = "") -> None:
    """Add a feedback with its judgement, in one transaction."""
    feedback_id = new_id()
    with database.writing() as connection:
        connection.execute(
            insert(feedback).values(feedback_id=feedback_id, received_ms=0, source="api", description=text)
        )
        connection.execute(
            insert(judgements).values(feedback_id=feedback_id, head="priority", label="Low", is_audit=False)
        )


def write_until(stop: Event, url: str) -> None:
    with contextlib.closing(Database(url)) as database:
        while not stop.is_set():
            write_one(database)


@contextlib.contextmanager
def writers(url: str, *, n: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    processes = [context.Process(target=write_until, args=(stop, url), daemon=True) for _ in range(n)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        stop.set()
        for process in processes:
            process.join(_SECONDS)
    assert [process.exitcode for process in processes] == [0] * n


def counts(path: Path) -> tuple[int, int]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (n_feedback,) = connection.execute("SELECT count(*) FROM feedback").fetchone()
        (n_whole,) = connection.execute("SELECT count(*) FROM feedback JOIN judgements USING (feedback_id)").fetchone()
        return n_feedback, n_whole


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    database = Database(url)
    upgrade(database)
    write_one(database, "x" * 500_000)
    database.close()
    return url


def test_upgrade_makes_the_tables_once(store_url: str) -> None:
    first, second = run("upgrade", store_url=store_url), run("upgrade", store_url=store_url)

    assert (first.returncode, first.stdout) == (0, "the tables were brought up to date\n")
    assert (second.returncode, second.stdout) == (0, "the tables are up to date\n")
    assert first.stderr == second.stderr == ""
    with contextlib.closing(Database(store_url)) as database, database.reading() as connection:
        assert set(inspect(connection).get_table_names()) == {*metadata.tables, "alembic_version"}


def test_upgrade_says_in_one_line_that_the_database_is_not_there() -> None:
    done = run("upgrade", store_url=f"postgresql://somebody:hunter2@127.0.0.1:{free_port()}/store")

    assert done.returncode == 1
    assert done.stderr.startswith("the store cannot be used: ")
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("arguments", [("upgrade",), ("backup", "copy.db")])
def test_without_a_store_there_is_nothing_to_look_after(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, store_url="off")

    assert (done.returncode, done.stderr) == (2, "STORE_URL is off, so there is no store\n")


def test_a_backup_is_the_store_at_one_moment_while_others_write(sqlite_url: str, tmp_path: Path) -> None:
    source, target = tmp_path / "store.db", tmp_path / "copies" / "copy.db"
    target.parent.mkdir()
    with writers(sqlite_url, n=2):
        deadline = time.monotonic() + _SECONDS
        while counts(source)[0] < 20:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        before = counts(source)[0]
        done = run("backup", str(target), store_url=sqlite_url)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f'"{target}" has {target.stat().st_size:,} bytes\n'
    assert list(target.parent.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o600
    n_feedback, n_whole = counts(target)
    assert before <= n_feedback == n_whole <= counts(source)[0]


def test_a_backup_can_be_served(sqlite_url: str, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    run("backup", str(copy), store_url=sqlite_url)
    with contextlib.closing(Database(f"sqlite:///{copy}")) as database:
        assert not upgrade(database)
        write_one(database)

    assert counts(copy) == (2, 2)


def test_a_backup_replaces_a_file_only_when_it_is_told_to(sqlite_url: str, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    target.write_bytes(b"precious")

    refused = run("backup", str(target), store_url=sqlite_url)
    assert (refused.returncode, refused.stderr) == (2, f'"{target}" exists; --force replaces it\n')
    assert target.read_bytes() == b"precious"

    assert run("backup", str(target), "--force", store_url=sqlite_url).returncode == 0
    assert counts(target) == (1, 1)


def test_a_backup_that_finds_no_room_leaves_nothing(sqlite_url: str, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "copy.db"
    target.parent.mkdir()

    done = run("backup", str(target), store_url=sqlite_url, max_file_bytes=_MAX_FILE_BYTES)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert list(target.parent.iterdir()) == []


def test_a_backup_is_whole_or_absent_whenever_it_is_killed(sqlite_url: str, tmp_path: Path) -> None:
    whole = (tmp_path / "store.db").stat().st_size
    for number in range(5):
        target = tmp_path / f"copy-{number}.db"
        process = subprocess.Popen(
            [sys.executable, "-m", "app.store", "backup", str(target)],
            cwd=ROOT,
            env=clean_environment(STORE_URL=sqlite_url),
            stdout=subprocess.DEVNULL,
        )
        # It is killed at once when its file begins to be there, under whichever name.
        deadline = time.monotonic() + _SECONDS
        while not any(tmp_path.glob(f"*copy-{number}.db*")):
            assert time.monotonic() < deadline
        process.kill()
        process.wait()
        if target.exists():
            assert target.stat().st_size >= whole
            assert counts(target) == (1, 1)


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [(None, 2, "there is no store at"), (b"not a database, but long enough to be one" * 100, 1, "cannot be copied")],
)
def test_what_is_no_store_is_not_copied(content: bytes | None, code: int, said: str, tmp_path: Path) -> None:
    source, target = tmp_path / "store.db", tmp_path / "copy.db"
    if content is not None:
        source.write_bytes(content)

    done = run("backup", str(target), store_url=f"sqlite:///{source}")

    assert done.returncode == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not target.exists()


def test_a_damaged_store_is_not_taken_for_a_copy(sqlite_url: str, tmp_path: Path) -> None:
    source, target = tmp_path / "store.db", tmp_path / "copy.db"
    with source.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)

    done = run("backup", str(target), store_url=sqlite_url)

    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not target.exists()


def test_postgres_is_backed_up_by_its_own_program(tmp_path: Path) -> None:
    target = tmp_path / "copy.db"

    done = run("backup", str(target), store_url="postgresql://somebody@127.0.0.1:1/store")

    assert done.returncode == 2
    assert "pg_dump" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not target.exists()

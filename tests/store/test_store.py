"""The store of a process: there soon after the start, lost and found again, and never waited for without end."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import inspect

from app.store.database import Database, StoreUnavailableError
from app.store.store import Store
from app.store.tables import metadata

# With that of the migrations.
N_TABLES = len(metadata.tables) + 1


def count_tables(database: Database) -> int:
    with database.reading() as connection:
        return len(inspect(connection).get_table_names())


def test_a_store_makes_its_tables_and_answers(store_url: str) -> None:
    async def scenario() -> tuple[str, int]:
        store = Store(Database(store_url))
        await store.start(seconds=30)
        try:
            return store.status, await store.run(count_tables)
        finally:
            await store.close()

    status, n_tables = asyncio.run(scenario())
    assert status == store_url.partition(":")[0]
    assert n_tables == N_TABLES


def test_a_store_whose_directory_comes_later_is_found(tmp_path: Path) -> None:
    async def scenario() -> tuple[str, int]:
        store = Store(Database(f"sqlite:///{tmp_path}/later/store.db"))
        await store.start(seconds=0.1)
        status = store.status
        with pytest.raises(StoreUnavailableError):
            await store.run(count_tables)
        (tmp_path / "later").mkdir()
        async with asyncio.timeout(30):
            while not store.is_reachable:  # noqa: ASYNC110 - other threads find it
                await asyncio.sleep(0.05)
        try:
            return status, await store.run(count_tables)
        finally:
            await store.close()

    assert asyncio.run(scenario()) == ("unreachable", N_TABLES)


def test_a_store_that_can_never_be_opened_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    n_looks = 0

    class Broken(Database):
        def reading(self) -> NoReturn:
            nonlocal n_looks
            n_looks += 1
            raise ValueError("no table may be made here")

    async def scenario() -> str:
        store = Store(Broken(f"sqlite:///{tmp_path}/store.db"))
        await store.start(seconds=0.1)
        async with asyncio.timeout(30):
            while n_looks < 3:  # noqa: ASYNC110 - another thread looks
                await asyncio.sleep(0.05)
        await store.close()
        return store.status

    assert asyncio.run(scenario()) == "unreachable"
    assert sum("could not be opened" in message for message in caplog.messages) == 1


def test_a_database_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    going_on = threading.Event()

    async def scenario() -> None:
        store = Store(Database(f"sqlite:///{tmp_path}/store.db"))
        await store.start(seconds=30)
        try:
            with pytest.raises(StoreUnavailableError, match=r"did not answer within 0\.1 s"):
                await store.run(lambda _: going_on.wait(60), seconds=0.1)
            assert store.status == "unreachable"
        finally:
            going_on.set()
            await store.close()

    asyncio.run(scenario())


def test_who_is_cancelled_just_when_the_answer_is_there_is_cancelled(tmp_path: Path) -> None:
    async def cancelled_after(store: Store, n_turns: int) -> bool:
        """Return whether a task that was cancelled so many turns after its answer came has ended as cancelled."""
        answered = threading.Event()
        asking = asyncio.create_task(store.run(lambda _: answered.set()))
        # While the loop stands still, the answer comes.
        while not answered.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(0)
        time.sleep(0.05)  # noqa: ASYNC251 - it must not take notice of it yet
        for _ in range(n_turns):
            await asyncio.sleep(0)
        if asking.done():
            return True
        asking.cancel()
        await asyncio.wait([asking])
        return asking.cancelled()

    async def scenario() -> list[bool]:
        store = Store(Database(f"sqlite:///{tmp_path}/store.db"))
        await store.start(seconds=30)
        found = [await cancelled_after(store, n_turns) for n_turns in range(6)]
        await store.close()
        return found

    assert asyncio.run(scenario()) == [True] * 6


def test_an_error_of_the_work_itself_does_not_lose_the_store(tmp_path: Path) -> None:
    def fail(_: Database) -> None:
        raise ValueError("of the work")

    async def scenario() -> str:
        store = Store(Database(f"sqlite:///{tmp_path}/store.db"))
        await store.start(seconds=30)
        with pytest.raises(ValueError, match="of the work"):
            await store.run(fail)
        await store.close()
        return store.status

    assert asyncio.run(scenario()) == "sqlite"

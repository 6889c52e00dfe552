"""A store whose Postgres stops, dies or freezes: refused at once, found again, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Final

import pytest
from sqlalchemy import insert, select

from app.store.database import Database, StoreUnavailableError
from app.store.ids import new_id
from app.store.migration import upgrade
from app.store.store import Store
from app.store.tables import feedback
from tests.postgres import Postgres, missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

_BACK_SECONDS: Final = 60
# What is taken away, and what gives it back.
_FAULTS: Final = {
    "frozen": (Postgres.freeze, Postgres.resume),
    "killed": (Postgres.kill, Postgres.start),
    "stopped": (Postgres.stop, Postgres.start),
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    """Not the one that other tests share: these leave it no peace."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def url(cluster: Postgres) -> Iterator[str]:
    with cluster.database() as url:
        yield url


def add_feedback(database: Database) -> str:
    feedback_id = new_id()
    with database.writing() as connection:
        connection.execute(insert(feedback).values(feedback_id=feedback_id, received_ms=0, source="api"))
    return feedback_id


def all_feedback(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(connection.execute(select(feedback.c.feedback_id)).scalars())


@contextlib.asynccontextmanager
async def open_store(url: str) -> AsyncIterator[Store]:
    store = Store(Database(url))
    await store.start(seconds=_BACK_SECONDS)
    try:
        yield store
    finally:
        await store.close()


async def until_reachable(store: Store) -> None:
    async with asyncio.timeout(_BACK_SECONDS):
        while not store.is_reachable:  # noqa: ASYNC110 - another thread finds it
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", _FAULTS)
def test_a_database_that_goes_away_is_refused_and_found_again(name: str, cluster: Postgres, url: str) -> None:
    break_it, mend_it = _FAULTS[name]

    async def scenario() -> None:
        async with open_store(url) as store:
            before = await store.run(add_feedback)
            break_it(cluster)
            try:
                with pytest.raises(StoreUnavailableError):
                    await store.run(add_feedback, seconds=1)
                assert store.status == "unreachable"
                with pytest.raises(StoreUnavailableError, match="does not answer"):
                    await store.run(add_feedback)
            finally:
                mend_it(cluster)
            await until_reachable(store)
            after = await store.run(add_feedback)
            assert {before, after} <= await store.run(all_feedback)

    asyncio.run(scenario())


def test_however_many_ask_a_frozen_database_each_is_refused_in_its_time(cluster: Postgres, url: str) -> None:
    async def scenario() -> None:
        async with open_store(url) as store:
            await store.run(add_feedback)
            cluster.freeze()
            try:
                # More than there are threads, and more than may wait.
                answers = await asyncio.gather(
                    *[store.run(add_feedback, seconds=1) for _ in range(400)], return_exceptions=True
                )
            finally:
                cluster.resume()
            assert {type(answer) for answer in answers} == {StoreUnavailableError}
            await until_reachable(store)
            await store.run(add_feedback)

    asyncio.run(scenario())


def test_a_database_that_is_restarted_between_two_questions_is_not_noticed(cluster: Postgres, url: str) -> None:
    async def scenario() -> None:
        async with open_store(url) as store:
            before = await store.run(add_feedback)
            cluster.restart()
            assert before in await store.run(all_feedback)

    asyncio.run(scenario())


def write_until(stop: threading.Event, database: Database, acknowledged: list[str]) -> None:
    while not stop.is_set():
        with contextlib.suppress(StoreUnavailableError):
            acknowledged.append(add_feedback(database))


@pytest.mark.slow
@pytest.mark.parametrize("break_it", [Postgres.kill, Postgres.stop])
def test_what_was_acknowledged_outlives_postgres(
    break_it: Callable[[Postgres], None], cluster: Postgres, url: str
) -> None:
    with contextlib.closing(Database(url)) as database:
        upgrade(database)
        acknowledged: list[str] = []
        for _ in range(5):
            stop = threading.Event()
            threads = [threading.Thread(target=write_until, args=(stop, database, acknowledged)) for _ in range(4)]
            n_before = len(acknowledged)
            for thread in threads:
                thread.start()
            while len(acknowledged) < n_before + 20 and any(thread.is_alive() for thread in threads):
                stop.wait(0.01)
            break_it(cluster)
            stop.set()
            for thread in threads:
                thread.join()
            cluster.start()

        assert len(acknowledged) >= 100
        assert set(acknowledged) <= all_feedback(database)

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from app.errors import ServiceError
from app.store.database import Database
from app.store.store import Store
from app.web.console.session_memory import OwnSessions, SessionMemory, SharedSessions, StoredSessions, session_memory

OpenTwo = Callable[[], AbstractAsyncContextManager[tuple[SessionMemory, SessionMemory]]]

SOON = int(time.time()) + 3600
SESSION = "0123456789abcdef" * 2


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = Store(Database(url), on_change=lambda _: None)
    await store.start()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture(params=["store", "directory"])
def two_workers(request: pytest.FixtureRequest, tmp_path: Path) -> OpenTwo:
    @asynccontextmanager
    async def workers() -> AsyncIterator[tuple[SessionMemory, SessionMemory]]:
        if request.param == "directory":
            yield SharedSessions(tmp_path), SharedSessions(tmp_path)
            return
        url = f"sqlite:///{tmp_path / 'store.db'}"
        async with opened(url) as first, opened(url) as second:
            yield StoredSessions(first), StoredSessions(second)

    return workers


def test_all_workers_have_the_same_secret_whoever_makes_it(two_workers: OpenTwo) -> None:
    async def secrets() -> set[bytes]:
        async with two_workers() as memories:
            return set(await asyncio.gather(*(memory.secret() for memory in memories * 4)))

    (secret,) = asyncio.run(secrets())
    assert len(secret) == 32


def test_a_session_that_one_worker_ends_is_over_for_the_others(two_workers: OpenTwo) -> None:
    async def ended() -> tuple[bool, bool, bool]:
        async with two_workers() as (first, second):
            before = await second.has_ended(SESSION)
            await first.end(SESSION, expires_at=SOON)
            await first.end(SESSION, expires_at=SOON)
            return before, await second.has_ended(SESSION), await second.has_ended("f" * 32)

    assert asyncio.run(ended()) == (False, True, False)


def test_sessions_that_have_expired_are_forgotten(two_workers: OpenTwo) -> None:
    async def ended() -> tuple[bool, bool]:
        async with two_workers() as (first, second):
            await first.end("e" * 32, expires_at=int(time.time()) - 1)
            await first.end(SESSION, expires_at=SOON)
            return await second.has_ended("e" * 32), await second.has_ended(SESSION)

    assert asyncio.run(ended()) == (False, True)


def test_workers_that_end_and_forget_sessions_at_once_lose_none(tmp_path: Path) -> None:
    def end_some(first: int) -> None:
        async def end() -> None:
            memory = SharedSessions(tmp_path)
            for number in range(first, first + 200):
                # The next one, of whichever worker, is to forget it.
                await memory.end(f"{number + 1000:032}", expires_at=int(time.time()) - 1)
                await memory.end(f"{number:032}", expires_at=SOON)

        asyncio.run(end())

    with ThreadPoolExecutor(4) as workers:
        for finished in [workers.submit(end_some, first) for first in range(0, 800, 200)]:
            finished.result()

    memory = SharedSessions(tmp_path)
    assert all(asyncio.run(memory.has_ended(f"{number:032}")) for number in range(800))


def test_while_the_store_is_away_what_this_process_has_ended_is_over_and_the_rest_goes_on(tmp_path: Path) -> None:
    async def look() -> tuple[bool, bool, bool]:
        async with opened(f"sqlite:///{tmp_path / 'store.db'}") as store:
            memory = StoredSessions(store)
            secret = await memory.secret()
        # The store is closed, so nothing can be asked any more.
        with pytest.raises(ServiceError):
            await memory.end(SESSION, expires_at=SOON)
        return await memory.secret() == secret, await memory.has_ended(SESSION), await memory.has_ended("f" * 32)

    assert asyncio.run(look()) == (True, True, False)


def test_the_directory_of_workers_shows_its_secret_to_nobody_else(tmp_path: Path) -> None:
    asyncio.run(SharedSessions(tmp_path).secret())

    assert [path.stat().st_mode & 0o077 for path in tmp_path.iterdir()] == [0]


def test_sessions_are_remembered_in_the_store_else_with_the_workers_else_here(tmp_path: Path) -> None:
    assert isinstance(session_memory(None, tmp_path), SharedSessions)
    assert isinstance(session_memory(None, None), OwnSessions)

"""The writer of records: never waited for, bounded, and losing nothing but what it counts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from app.store.database import Database
from app.store.store import Store
from app.store.writer import BATCH_RECORDS, MAX_BYTES, MAX_RECORDS, RecordWriter
from tests.postgres import Postgres, missing
from tests.store.commit_cutter import CommitCutter
from tests.store.records import count, record, rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

SECONDS = 60


class Counted:
    """What a writer says of itself."""

    def __init__(self) -> None:
        self.written = 0
        self.dropped: Counter[str] = Counter()
        self.waiting: list[int] = []

    def on_written(self, n_records: int) -> None:
        self.written += n_records

    def on_dropped(self, reason: str, n_records: int) -> None:
        self.dropped[reason] += n_records


@contextlib.asynccontextmanager
async def open_writer(url: str, counted: Counted) -> AsyncIterator[RecordWriter]:
    store = Store(Database(url))
    await store.start(seconds=SECONDS)
    writer = RecordWriter(
        store, on_written=counted.on_written, on_dropped=counted.on_dropped, on_waiting=counted.waiting.append
    )
    writer.start()
    try:
        yield writer
    finally:
        await writer.close(seconds=SECONDS)
        await store.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - another thread brings it about
            await asyncio.sleep(0.02)


def test_what_is_added_is_stored_soon_and_in_order(store_url: str) -> None:
    counted = Counted()
    records = [record() for _ in range(BATCH_RECORDS + 300)]

    async def scenario() -> None:
        async with open_writer(store_url, counted) as writer:
            for one in records:
                writer.add(one)
            await until(lambda: counted.written == len(records))
            await until(lambda: counted.waiting[-1:] == [0])

    asyncio.run(scenario())
    with closing(Database(store_url)) as database:
        assert [row["prediction_id"] for row in rows(database, "predictions")] == [one.prediction_id for one in records]
    assert counted.dropped == {"queue_full": 0, "refused": 0, "shutdown": 0}


def test_what_waits_at_the_end_is_stored_before_it(store_url: str) -> None:
    counted = Counted()

    async def scenario() -> None:
        async with open_writer(store_url, counted) as writer:
            for _ in range(3 * BATCH_RECORDS + 1):
                writer.add(record())

    asyncio.run(scenario())
    with closing(Database(store_url)) as database:
        assert counted.written == count(database, "predictions") == 3 * BATCH_RECORDS + 1
    assert sum(counted.dropped.values()) == 0


@pytest.mark.parametrize("bad", ["a decision that there is not", "NUL in a label"])
def test_a_record_that_the_database_refuses_loses_no_other_and_is_not_quoted(
    store_url: str, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    is_nul = bad == "NUL in a label"
    if is_nul and store_url.startswith("sqlite"):
        pytest.skip("SQLite takes it")
    counted = Counted()
    head = {"label": "canary\0label"} if is_nul else {"decision": "guess"}
    records = [record() for _ in range(BATCH_RECORDS)]
    records[500] = record(heads={"priority": head}, title="canary", description="canary", customer_email="canary")

    async def scenario() -> None:
        async with open_writer(store_url, counted) as writer:
            for one in [*records, record()]:
                writer.add(one)

    with caplog.at_level(logging.INFO):
        asyncio.run(scenario())
    with closing(Database(store_url)) as database:
        assert counted.written == count(database, "predictions") == BATCH_RECORDS
    assert counted.dropped["refused"] == 1
    (line,) = [line for line in caplog.messages if "refuses a record" in line]
    assert "canary" not in caplog.text + line


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    """One that may be stopped, and so not the one that other tests share."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def url(cluster: Postgres) -> Iterator[str]:
    with cluster.database() as url:
        yield url


def test_while_the_database_is_away_records_wait_up_to_a_number_and_later_ones_are_dropped(
    cluster: Postgres, url: str
) -> None:
    counted = Counted()

    async def scenario() -> None:
        async with open_writer(url, counted) as writer:
            cluster.stop()
            try:
                for _ in range(MAX_RECORDS + 500):
                    writer.add(record())
                assert counted.dropped["queue_full"] == 500
                assert counted.waiting[-1] == MAX_RECORDS
            finally:
                cluster.start()
            await until(lambda: counted.written == MAX_RECORDS)

    asyncio.run(scenario())
    with closing(Database(url)) as database:
        assert count(database, "predictions") == count(database, "answers") == MAX_RECORDS
        assert [row["n_answers"] for row in rows(database, "answer_counts")] == [MAX_RECORDS]


def test_records_that_wait_are_bounded_in_bytes(cluster: Postgres, url: str) -> None:
    counted = Counted()
    # Four bytes a character, as they are in memory.
    text = "\U0001f600" * (1 << 18)

    async def scenario() -> None:
        async with open_writer(url, counted) as writer:
            cluster.stop()
            try:
                for _ in range(100):
                    writer.add(record(description=text))
                assert counted.dropped["queue_full"] == 100 - (MAX_BYTES // (4 << 18) - 1)
            finally:
                cluster.start()

    asyncio.run(scenario())


def test_a_database_that_is_frozen_is_not_waited_for_at_the_end(cluster: Postgres, url: str) -> None:
    counted = Counted()

    async def scenario() -> float:
        store = Store(Database(url))
        await store.start(seconds=SECONDS)
        writer = RecordWriter(
            store, on_written=counted.on_written, on_dropped=counted.on_dropped, on_waiting=counted.waiting.append
        )
        writer.start()
        cluster.freeze()
        try:
            for _ in range(10):
                writer.add(record())
            started = time.monotonic()
            await writer.close(seconds=0.5)
            return time.monotonic() - started
        finally:
            cluster.resume()
            await until(lambda: counted.written == 10)
            await store.close()

    assert asyncio.run(scenario()) < SECONDS / 2
    assert counted.dropped["shutdown"] == 10


def test_a_batch_whose_commit_was_not_confirmed_is_there_once(cluster: Postgres, url: str) -> None:
    counted = Counted()
    with CommitCutter(cluster.port) as cutter:

        async def scenario() -> None:
            async with open_writer(url.replace(f":{cluster.port}", f":{cutter.port}"), counted) as writer:
                cutter.cut_next_commit()
                for _ in range(20):
                    writer.add(record(worth=0.5))
                await until(lambda: counted.written == 20)

        asyncio.run(scenario())

    assert cutter.n_cut == 1
    with closing(Database(url)) as database:
        assert [count(database, name) for name in ("predictions", "answers", "review_items")] == [20, 20, 20]
        assert [row["n_answers"] for row in rows(database, "answer_counts")] == [20]

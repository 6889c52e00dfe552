from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from app.errors import OVERLOADED, ServiceError
from app.serving.work_queue import WorkQueue


@pytest.fixture
def queue() -> Iterator[WorkQueue]:
    work_queue = WorkQueue(max_pending_bytes=100_000)
    yield work_queue
    work_queue.close()


def test_work_beyond_the_bound_is_refused_at_once(queue: WorkQueue) -> None:
    may_end = threading.Event()

    async def fill() -> tuple[list[object], ServiceError]:
        accepted = [asyncio.create_task(queue.run(may_end.wait, n_bytes=50_000)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceError) as refusal:
            await queue.run(may_end.wait, n_bytes=1)
        may_end.set()
        return list(await asyncio.gather(*accepted)), refusal.value

    results, error = asyncio.run(fill())

    assert results == [True, True]
    assert error.kind is OVERLOADED


def test_work_larger_than_the_bound_is_done_alone(queue: WorkQueue) -> None:
    assert asyncio.run(queue.run(lambda: "done", n_bytes=1_000_000)) == "done"


def test_what_work_raises_reaches_the_caller_and_gives_its_place_back(queue: WorkQueue) -> None:
    def fail() -> None:
        raise ValueError("no")

    async def try_twice() -> str:
        with pytest.raises(ValueError, match="no"):
            await queue.run(fail, n_bytes=100_000)
        return await queue.run(lambda: "done", n_bytes=100_000)

    assert asyncio.run(try_twice()) == "done"


def test_one_piece_of_work_is_done_at_a_time(queue: WorkQueue) -> None:
    running: set[int] = set()
    are_together = threading.Event()

    def work(number: int) -> None:
        running.add(number)
        if len(running) > 1:
            are_together.set()
        # Time for another one to begin, where that is possible.
        are_together.wait(0.1)
        running.remove(number)

    async def do_some() -> None:
        await asyncio.gather(*[queue.run(lambda number=number: work(number), n_bytes=1) for number in range(3)])

    asyncio.run(do_some())

    assert not are_together.is_set()

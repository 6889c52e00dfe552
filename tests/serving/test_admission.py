from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import OVERLOADED, ErrorKind, ServiceError
from app.serving.admission import Admission

SHORT = 100
LONG = 20_000


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


class Requests:
    """Requests that have entered, wait, were refused or have left, by their position in the order of arrival."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission
        self.tasks: list[asyncio.Task[int]] = []
        self.running: dict[int, int] = {}
        self.in_order: list[int] = []
        self.refused: list[int] = []
        self.kinds: set[ErrorKind] = set()

    async def arrive(self, *sizes: int) -> None:
        for size in sizes:
            self.tasks.append(asyncio.create_task(self._enter(len(self.tasks), size)))
        await asyncio.sleep(0)

    async def _enter(self, number: int, size: int) -> int:
        try:
            units = await self.admission.enter(size)
        except ServiceError as error:
            self.refused.append(number)
            self.kinds.add(error.kind)
            return 0
        self.running[number] = units
        self.in_order.append(number)
        return units

    async def leave(self, number: int) -> None:
        """Leave in one turn, in which nobody may enter, and take the next two, in which those who wait do."""
        n_entered = len(self.in_order)
        self.admission.leave(self.running.pop(number))
        assert len(self.in_order) == n_entered
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def test_what_fits_runs_what_does_not_waits_and_the_rest_is_refused(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=5, max_waiting_units=3))
        await requests.arrive(*[SHORT] * 10)

        assert requests.in_order == [0, 1, 2, 3, 4]
        assert requests.refused == [8, 9]
        assert requests.kinds == {OVERLOADED}

    runner.run(arrive())


def test_a_body_counts_by_its_length_however_it_arrived(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=128, max_waiting_units=1000))
        await requests.arrive(*[LONG] * 4)

        assert requests.running == {0: 40, 1: 40, 2: 40}

    runner.run(arrive())


def test_what_waits_enters_in_the_order_of_arrival_as_room_is_made(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=3, max_waiting_units=10))
        await requests.arrive(*[SHORT] * 6)
        await requests.leave(2)
        await requests.leave(0)

        assert requests.in_order == [0, 1, 2, 3, 4]

    runner.run(arrive())


def test_who_has_left_makes_no_room_in_the_same_turn(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        admission = Admission(max_running_units=1, max_waiting_units=10)
        admission.leave(await admission.enter(SHORT))
        requests = Requests(admission)
        requests.tasks.append(asyncio.create_task(requests._enter(0, SHORT)))
        entering = requests._enter(1, SHORT)
        entering.send(None)  # before the loop has had its next turn

        assert requests.in_order == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert requests.in_order == []
        entering.close()

    runner.run(arrive())


def test_nobody_overtakes_a_long_one_that_waits(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=40, max_waiting_units=1000))
        await requests.arrive(SHORT, LONG, SHORT)

        assert requests.in_order == [0]

    runner.run(arrive())


def test_what_is_longer_than_all_that_may_run_runs_alone(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=1, max_waiting_units=1000))
        await requests.arrive(LONG, SHORT)
        assert requests.in_order == [0]

        await requests.leave(0)
        assert requests.in_order == [0, 1]

    runner.run(arrive())


def test_what_is_longer_than_all_that_may_wait_waits_alone(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=1, max_waiting_units=1))
        await requests.arrive(LONG, LONG, LONG)
        assert requests.refused == [2]

        await requests.leave(0)
        assert requests.in_order == [0, 1]

    runner.run(arrive())


def test_who_is_cancelled_while_it_waits_takes_no_place(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=1, max_waiting_units=2))
        await requests.arrive(SHORT, SHORT, SHORT)
        requests.tasks[1].cancel()
        await requests.arrive(SHORT)
        await requests.leave(0)
        await requests.leave(2)

        assert requests.in_order == [0, 2, 3]

    runner.run(arrive())


def test_who_is_cancelled_just_as_it_is_let_in_gives_its_room_back(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=1, max_waiting_units=2))
        await requests.arrive(SHORT, SHORT, SHORT)
        requests.admission.leave(requests.running.pop(0))
        await asyncio.sleep(0)
        requests.tasks[1].cancel()
        for _ in range(4):
            await asyncio.sleep(0)

        assert requests.in_order == [0, 2]

    runner.run(arrive())


def test_who_is_cancelled_in_the_turn_that_would_let_it_in_takes_no_room(runner: asyncio.Runner) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=1, max_waiting_units=2))
        await requests.arrive(SHORT, SHORT, SHORT)
        requests.admission.leave(requests.running.pop(0))
        requests.tasks[1].cancel()
        for _ in range(4):
            await asyncio.sleep(0)
        await requests.leave(2)
        await requests.arrive(SHORT, SHORT, SHORT)

        assert requests.in_order == [0, 2, 3]
        assert requests.refused == []

    runner.run(arrive())


@given(sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=40), bound=st.integers(1, 300), data=st.data())
def test_everyone_enters_once_or_is_refused_and_the_bounds_hold(
    runner: asyncio.Runner, sizes: list[int], bound: int, data: st.DataObject
) -> None:
    async def arrive() -> None:
        requests = Requests(Admission(max_running_units=128, max_waiting_units=bound))
        for size in sizes:
            await requests.arrive(size)
            assert sum(requests.running.values()) <= 128 or len(requests.running) == 1
            waiting = [
                1 + sizes[number] // 512
                for number in range(len(requests.tasks))
                if number not in requests.in_order and number not in requests.refused
            ]
            assert sum(waiting) <= bound or len(waiting) == 1
            if requests.running and data.draw(st.booleans()):
                await requests.leave(data.draw(st.sampled_from(sorted(requests.running))))
        while requests.running:
            await requests.leave(next(iter(requests.running)))

        assert sorted(requests.in_order + requests.refused) == list(range(len(sizes)))
        assert requests.in_order == sorted(requests.in_order)

    runner.run(arrive())

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import OVERLOADED, ErrorKind
from app.server.admission import MAX_RUNNING_UNITS, Admission

SHORT = 100
LONG = 20_000


@dataclass(eq=False)
class Request:
    """The part of a request that admission looks at."""

    n_bytes: int = SHORT
    units: int = 0
    disconnected: bool = False
    refusal: ErrorKind | None = None
    body: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.body = bytes(self.n_bytes)

    def refuse(self, kind: ErrorKind) -> None:
        self.refusal = kind


class Turns:
    """An event loop whose turns are taken one by one."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner

    def release(self, admission: Admission, request: Request, started: list[Request]) -> None:
        """Release in one turn, in which nothing more may start, and take the next one."""

        async def release() -> None:
            n_started = len(started)
            admission.release(request)
            assert len(started) == n_started
            await asyncio.sleep(0)

        self._runner.run(release())


@pytest.fixture(scope="module")
def turns() -> Iterator[Turns]:
    with asyncio.Runner() as runner:
        yield Turns(runner)


def admit_all(admission: Admission, requests: list[Request]) -> list[Request]:
    started: list[Request] = []
    for request in requests:
        admission.admit(request, started.append)
    return started


def test_what_fits_runs_what_does_not_waits_and_the_rest_is_refused() -> None:
    requests = [Request() for _ in range(MAX_RUNNING_UNITS + 10 + 5)]

    started = admit_all(Admission(max_waiting_units=10), requests)

    assert started == requests[:MAX_RUNNING_UNITS] + requests[-5:]
    assert [request.refusal for request in started[-6:]] == [None] + [OVERLOADED] * 5


def test_what_waits_starts_in_the_next_turn_in_the_order_of_arrival(turns: Turns) -> None:
    admission = Admission(max_waiting_units=10)
    requests = [Request() for _ in range(MAX_RUNNING_UNITS + 3)]
    started = admit_all(admission, requests)

    turns.release(admission, requests[5], started)
    turns.release(admission, requests[1], started)

    assert started[MAX_RUNNING_UNITS:] == requests[MAX_RUNNING_UNITS : MAX_RUNNING_UNITS + 2]


def test_nobody_overtakes_a_long_ticket_that_waits() -> None:
    admission = Admission(max_waiting_units=1000)
    first, long, short = Request(MAX_RUNNING_UNITS * 512 - 600), Request(LONG), Request()

    started = admit_all(admission, [first, long, short])

    assert started == [first]


def test_a_ticket_longer_than_everything_that_may_run_runs_alone(turns: Turns) -> None:
    admission = Admission(max_waiting_units=1000)
    giant, short = Request(10_000_000), Request()
    started = admit_all(admission, [giant, short])

    assert started == [giant]
    turns.release(admission, giant, started)
    assert started == [giant, short]


def test_a_client_that_left_while_it_waited_takes_no_place(turns: Turns) -> None:
    admission = Admission(max_waiting_units=10)
    requests = [Request() for _ in range(MAX_RUNNING_UNITS + 2)]
    started = admit_all(admission, requests)
    requests[-2].disconnected = True

    turns.release(admission, requests[0], started)

    assert started[-1] is requests[-1]


@given(sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=60), bound=st.integers(1, 300), data=st.data())
def test_every_request_is_started_exactly_once_and_the_bounds_hold(
    turns: Turns, sizes: list[int], bound: int, data: st.DataObject
) -> None:
    admission = Admission(max_waiting_units=bound)
    started: list[Request] = []
    requests = [Request(size) for size in sizes]

    for request in requests:
        admission.admit(request, started.append)
        running = [r for r in started if r.units]
        assert sum(r.units for r in running) <= MAX_RUNNING_UNITS or len(running) == 1
        assert sum(r.units for r in requests if r.units and r not in started) <= bound
        if running and data.draw(st.booleans()):
            turns.release(admission, data.draw(st.sampled_from(running)), started)
    while running := [r for r in started if r.units]:
        turns.release(admission, running[0], started)

    assert sorted(map(id, started)) == sorted(map(id, requests))
    assert all(request.units == 0 for request in requests)

from __future__ import annotations

from dataclasses import dataclass, field

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


def test_what_waits_starts_in_the_order_of_arrival() -> None:
    admission = Admission(max_waiting_units=10)
    requests = [Request() for _ in range(MAX_RUNNING_UNITS + 3)]
    started = admit_all(admission, requests)

    admission.release(requests[5])
    admission.release(requests[1])

    assert started[MAX_RUNNING_UNITS:] == requests[MAX_RUNNING_UNITS : MAX_RUNNING_UNITS + 2]


def test_nobody_overtakes_a_long_ticket_that_waits() -> None:
    admission = Admission(max_waiting_units=1000)
    first, long, short = Request(MAX_RUNNING_UNITS * 512 - 600), Request(LONG), Request()

    started = admit_all(admission, [first, long, short])

    assert started == [first]


def test_a_ticket_longer_than_everything_that_may_run_runs_alone() -> None:
    admission = Admission(max_waiting_units=1000)
    giant = Request(10_000_000)

    assert admit_all(admission, [giant, Request()]) == [giant]
    admission.release(giant)


def test_a_client_that_left_while_it_waited_takes_no_place() -> None:
    admission = Admission(max_waiting_units=10)
    requests = [Request() for _ in range(MAX_RUNNING_UNITS + 2)]
    started = admit_all(admission, requests)
    requests[-2].disconnected = True

    admission.release(requests[0])

    assert started[-1] is requests[-1]


@given(sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=60), bound=st.integers(1, 300), data=st.data())
def test_every_request_is_started_exactly_once_and_the_bounds_hold(
    sizes: list[int], bound: int, data: st.DataObject
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
            admission.release(data.draw(st.sampled_from(running)))
    while running := [r for r in started if r.units]:
        admission.release(running[0])

    assert sorted(map(id, started)) == sorted(map(id, requests))
    assert all(request.units == 0 for request in requests)

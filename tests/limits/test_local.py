from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits.local import LocalRateLimiter, Quota

ROOT = Path(__file__).parents[2]


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


def hit(limiter: LocalRateLimiter, client: str = "client") -> Quota:
    return asyncio.run(limiter.hit(client))


def hit_each(limiter: LocalRateLimiter, *, clients: int) -> None:
    async def hit_all() -> None:
        for client in range(clients):
            await limiter.hit(f"client {client}")

    asyncio.run(hit_all())


@given(
    limit=st.integers(1, 5),
    window_seconds=st.integers(1, 10),
    steps=st.lists(st.tuples(st.floats(0, 12), st.sampled_from("abc")), max_size=60),
)
def test_no_window_admits_more_than_its_limit(limit: int, window_seconds: int, steps: list[tuple[float, str]]) -> None:
    clock = Clock()
    limiter = LocalRateLimiter(limit=limit, window_seconds=window_seconds, clock=clock)
    admitted: list[tuple[float, str]] = []

    for pause, client in steps:
        clock.now += pause
        if hit(limiter, client).allowed:
            admitted.append((clock.now, client))

    for end, client in admitted:
        within = [at for at, other in admitted if other == client and end - window_seconds < at <= end]
        assert len(within) <= limit


@given(limit=st.integers(1, 5), pauses=st.lists(st.floats(0, 12), min_size=1, max_size=40))
def test_a_request_is_refused_only_when_the_window_is_full(limit: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter = LocalRateLimiter(limit=limit, window_seconds=10, clock=clock)
    admitted: list[float] = []

    for pause in pauses:
        clock.now += pause
        before = [at for at in admitted if at > clock.now - 10]
        quota = hit(limiter)
        assert quota.allowed is (len(before) < limit)
        assert quota.remaining == max(0, limit - len(before) - 1)
        assert 1 <= quota.reset_seconds <= 10
        if quota.allowed:
            admitted.append(clock.now)


def test_a_client_is_admitted_again_after_the_time_it_was_told() -> None:
    clock = Clock()
    limiter = LocalRateLimiter(limit=1, window_seconds=60, clock=clock)
    assert hit(limiter).allowed
    clock.now += 12.5
    refused = hit(limiter)

    assert (refused.allowed, refused.reset_seconds) == (False, 48)
    clock.now += refused.reset_seconds
    assert hit(limiter).allowed


@pytest.mark.parametrize("bound", ["max_clients", "max_requests"])
def test_memory_is_bounded_however_many_clients_appear(bound: str) -> None:
    limiter = LocalRateLimiter(limit=10, window_seconds=3_600, **{bound: 1_000})

    hit_each(limiter, clients=20_000)

    assert limiter.n_clients == 1_000


MANY_CLIENTS = """
import asyncio, resource
from app.limits.local import LocalRateLimiter

async def hit_all(limiter):
    for client in range(300_000):
        await limiter.hit(f"address:2001:db8:{client >> 16:x}:{client & 0xFFFF:x}::")

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
asyncio.run(hit_all(LocalRateLimiter(limit=100, window_seconds=3_600)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count ru_maxrss in other units")
def test_clients_without_end_take_less_than_a_hundred_mebibytes() -> None:
    output = subprocess.run([sys.executable, "-c", MANY_CLIENTS], cwd=ROOT, capture_output=True, check=True).stdout

    assert int(output) < 100 * 1024


def test_requests_that_left_the_window_are_let_go_of() -> None:
    clock = Clock()
    limiter = LocalRateLimiter(limit=100, window_seconds=5, clock=clock)

    async def hit_steadily() -> None:
        for _ in range(10_000):
            clock.now += 0.1
            assert (await limiter.hit("busy")).allowed

    asyncio.run(hit_steadily())

    assert limiter.n_requests <= 100


def test_clients_that_are_silent_for_a_window_are_forgotten() -> None:
    clock = Clock()
    limiter = LocalRateLimiter(limit=10, window_seconds=60, clock=clock)
    hit_each(limiter, clients=1_000)

    clock.now += 61
    hit(limiter, "another")

    assert limiter.n_clients == 1


def test_a_busy_client_keeps_its_window_while_others_are_forgotten() -> None:
    limiter = LocalRateLimiter(limit=50, window_seconds=3_600, max_requests=100)

    async def compete() -> None:
        for _ in range(50):
            assert (await limiter.hit("busy")).allowed
        for client in range(1_000):
            await limiter.hit(f"client {client}")
            assert not (await limiter.hit("busy")).allowed

    asyncio.run(compete())

"""More work than the service can do: it does what it can, refuses the rest quickly, and stays visible."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import ExitStack
from statistics import median, quantiles
from typing import TYPE_CHECKING, Self

import httpx
import psutil
import pytest

from tests.server.conftest import BODY, connect, exchange, post
from tests.server.load import after, hammer

if TYPE_CHECKING:
    from tests.conftest import StartProcess
    from tests.processes import ServiceProcess

pytestmark = pytest.mark.alone

LONG = post(json.dumps({"title": "Server is down", "description": "the main server is offline " * 700}).encode())
BATCH = json.dumps({"tickets": [{"title": "Server is down", "description": "users offline " * 700}] * 100}).encode()


class HealthProbe:
    """Asks for health again and again, each time on a new connection, while it is entered."""

    def __init__(self, process: ServiceProcess) -> None:
        self._process = process
        self._thread = threading.Thread(target=self._run)
        self._stop = threading.Event()
        self.seconds: list[float] = []
        self.statuses: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.05):
            started = time.monotonic()
            self.statuses.add(httpx.get(f"{self._process.base_url}/health", timeout=10).status_code)
            self.seconds.append(time.monotonic() - started)


def test_tickets_beyond_the_bound_are_refused_and_the_others_answered(start_process: StartProcess) -> None:
    # Coverage would trace every line of a process whose speed counts here.
    process = start_process(MAX_PENDING_REQUESTS="100", COVERAGE_PROCESS_CONFIG="")
    capacity = asyncio.run(hammer(process, LONG, n_clients=4, until=after(2)))

    with HealthProbe(process) as health:
        overload = asyncio.run(hammer(process, LONG, n_clients=60, until=after(3)))
    afterwards = asyncio.run(hammer(process, LONG, n_clients=4, until=after(2)))

    assert set(capacity.counts) == {"200"}
    assert set(overload.counts) == {"200", "503"}
    assert overload.retry_after == {"1"}
    # The clients, which are busier with refusals than with answers, share the machine with the service.
    assert overload.counts["200"] / 3 > 0.4 * capacity.counts["200"] / 2
    assert median(overload.latencies) < 1
    assert health.statuses == {200}
    # A refused client is read again after a tenth of a second, however soon it asks.
    assert overload.counts["503"] < 60 * (3 / 0.1 + 2)
    assert quantiles(health.seconds, n=10)[-1] < 0.25
    assert set(afterwards.counts) == {"200"}
    metrics = httpx.get(f"{process.base_url}/metrics").text
    assert f'http_errors_total{{error="overloaded"}} {float(overload.counts["503"])}' in metrics


@pytest.mark.slow
def test_another_server_has_a_bound_too(start_process: StartProcess) -> None:
    process = start_process(command=("-m", "uvicorn", "app.main:app"))

    with HealthProbe(process) as health:
        overload = asyncio.run(hammer(process, LONG, n_clients=200, until=after(3)))

    assert set(overload.counts) == {"200", "503"}
    assert health.statuses == {200}
    assert median(health.seconds) < 0.5


def test_a_request_takes_no_place_until_it_has_arrived(start_process: StartProcess) -> None:
    process = start_process(MAX_PENDING_REQUESTS="1")

    with ExitStack() as stack:
        halves = [stack.enter_context(connect(process)) for _ in range(200)]
        for half in halves:
            half.sendall(post()[:-1])
        answers = {tuple(exchange(process, post(headers=b"Connection: close\r\n")).statuses) for _ in range(10)}
        for half in halves:
            half.sendall(BODY[-1:])
        late = [half.recv(10_000)[9:12] for half in halves]

    assert answers == {(200,)}
    assert set(late) <= {b"200", b"503"}
    assert late.count(b"200") > 0


@pytest.mark.slow
def test_a_flood_of_batches_takes_little_memory_and_hinders_nobody(start_process: StartProcess) -> None:
    process = start_process()
    before = psutil.Process(process.process.pid).memory_info().rss

    with HealthProbe(process) as health:
        flood = asyncio.run(hammer(process, post(BATCH, path="/classify/batch"), n_clients=60, until=after(4)))
        growth = psutil.Process(process.process.pid).memory_info().rss - before

    assert set(flood.counts) == {"200", "503"}
    assert flood.retry_after == {"1"}
    assert growth < 200 << 20
    assert health.statuses == {200}
    assert median(health.seconds) < 0.5
    assert exchange(process, post()).statuses == [200]

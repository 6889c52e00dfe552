"""SIGTERM: not ready at once, everything answered, nothing dropped, and gone in time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.in_process import TICKET
from tests.server.conftest import BODY, connect, exchange, get, post
from tests.server.load import Outcome, hammer

if TYPE_CHECKING:
    from tests.conftest import StartProcess
    from tests.processes import ServiceProcess

DRAIN_SECONDS = 2
WORKERS = pytest.mark.parametrize("workers", ["1", "2"])


def wait_for_exit(process: ServiceProcess, seconds: float) -> tuple[int, float]:
    """Return the exit code, and how long it took."""
    started = time.monotonic()
    return process.process.wait(seconds), time.monotonic() - started


async def load_through_the_end(process: ServiceProcess) -> tuple[Outcome, list[tuple[float, int]]]:
    """Ask steadily while the service is told to stop, until it is gone; return also when readiness said what."""
    readiness: list[tuple[float, int]] = []

    async def watch() -> None:
        async with httpx.AsyncClient(base_url=process.base_url) as client:
            while process.process.poll() is None:
                try:
                    answer = await client.get("/readyz", headers={"Connection": "close"})
                except httpx.TransportError:
                    return
                readiness.append((time.monotonic(), answer.status_code))
                await asyncio.sleep(0.05)

    loading = asyncio.create_task(
        hammer(process, post(), n_clients=16, until=lambda: process.process.poll() is not None, pause_seconds=0.02)
    )
    watching = asyncio.create_task(watch())
    await asyncio.sleep(1)
    told_at = time.monotonic()
    process.process.terminate()
    await asyncio.wait_for(watching, 20)
    outcome = await asyncio.wait_for(loading, 20)
    return outcome, [(when - told_at, status) for when, status in readiness]


@pytest.mark.alone
@WORKERS
def test_no_request_is_dropped_and_readiness_says_no_at_once(start_process: StartProcess, workers: str) -> None:
    process = start_process("--workers", workers, DRAIN_SECONDS=str(DRAIN_SECONDS))

    outcome, readiness = asyncio.run(load_through_the_end(process))

    assert process.process.returncode == 0
    assert set(outcome.counts) <= {"200", "refused"}
    assert {status for when, status in readiness if when < 0} == {200}
    assert {status for when, status in readiness if when > 1} == {503}
    # New connections are served for as long as was said.
    assert DRAIN_SECONDS - 0.5 < max(when for when, _ in readiness) < DRAIN_SECONDS + 3
    answered = [r for r in process.log_records() if r.get("path") == "/classify" and r.get("status_code") == 200]
    assert len(answered) == outcome.counts["200"]


@dataclass(frozen=True)
class Stalled:
    exit_code: int
    seconds: float
    to_the_batch: bytes
    to_the_late_body: bytes
    to_the_others: bytes


def stop_among_stalled_clients(process: ServiceProcess) -> Stalled:
    batch = json.dumps({"tickets": [dict(TICKET)] * 100}).encode()
    with ExitStack() as stack:
        silent, in_its_head, in_its_body, idle, accepted = (stack.enter_context(connect(process)) for _ in range(5))
        in_its_head.sendall(post()[:20])
        in_its_body.sendall(post()[:-1])
        idle.sendall(get("/livez"))
        assert idle.recv(1000).startswith(b"HTTP/1.1 200 ")
        accepted.sendall(post(batch, path="/classify/batch"))
        process.process.terminate()
        to_the_batch = accepted.recv(1 << 20)
        exit_code, seconds = wait_for_exit(process, 25)
        others = silent.recv(1000) + in_its_head.recv(1000) + idle.recv(1000)
        return Stalled(exit_code, seconds, to_the_batch, in_its_body.recv(10_000), others)


@pytest.mark.alone
@pytest.mark.slow
def test_it_ends_in_time_although_clients_stall(start_process: StartProcess) -> None:
    processes = [start_process("--workers", workers, DRAIN_SECONDS="1") for workers in ("1", "2")]

    with ThreadPoolExecutor() as executor:
        results = list(executor.map(stop_among_stalled_clients, processes))

    for result in results:
        assert result.to_the_batch.startswith(b"HTTP/1.1 200 ")
        assert result.to_the_late_body.startswith(b"HTTP/1.1 408 ")
        assert result.to_the_others == b""
        assert result.exit_code == 0
        # The grace period that operators are told to give: DRAIN_SECONDS + 15.
        assert result.seconds < 1 + 15


def test_answers_close_their_connections_while_draining(start_process: StartProcess) -> None:
    process = start_process(DRAIN_SECONDS="10")

    with connect(process) as kept:
        kept.sendall(get("/livez"))
        before = kept.recv(1000)
        process.process.terminate()
        process.wait_for(lambda: exchange(process, get("/readyz")).statuses == [503])
        kept.sendall(get("/livez") + get("/version"))
        during = b"".join(iter(lambda: kept.recv(65_536), b""))
    readiness = {path: exchange(process, get(path)) for path in ("/health/ready", "/readyz", "/health", "/livez")}
    started = time.monotonic()
    process.process.send_signal(signal.SIGINT)
    exit_code, _ = wait_for_exit(process, 10)

    assert b"connection: close" not in before
    # Both had been accepted; the connection ends after the last one.
    assert during.count(b"HTTP/1.1 200 ") == 2
    assert during.count(b"connection: close") == 1
    assert {path: answer.statuses for path, answer in readiness.items()} == {
        "/health/ready": [503],
        "/readyz": [503],
        "/health": [503],
        "/livez": [200],
    }
    assert json.loads(readiness["/readyz"].body)["error"] == "draining"
    assert "retry-after: 1" in readiness["/readyz"].head
    # A second signal ends the draining.
    assert time.monotonic() - started < 8
    assert exit_code == 0


@WORKERS
def test_sigint_stops_without_draining(start_process: StartProcess, workers: str) -> None:
    process = start_process("--workers", workers, DRAIN_SECONDS="10")
    exchange(process, post())

    process.process.send_signal(signal.SIGINT)
    exit_code, seconds = wait_for_exit(process, 20)

    assert exit_code == 0
    assert seconds < 9


def test_a_signal_that_reaches_the_whole_group_still_drains(start_process: StartProcess) -> None:
    process = start_process("--workers", "2", DRAIN_SECONDS=str(DRAIN_SECONDS))

    for member in workers_of(process):
        os.kill(member, signal.SIGTERM)
    process.process.terminate()
    _, seconds = wait_for_exit(process, 20)

    assert seconds > DRAIN_SECONDS - 0.5


def workers_of(process: ServiceProcess) -> list[int]:
    return [child.pid for child in psutil.Process(process.process.pid).children()]


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(start_process: StartProcess) -> None:
    process = start_process("--workers", "2")
    process.wait_for(lambda: process.log().count("Application startup complete") == 2)
    victim, survivor = workers_of(process)

    os.kill(victim, signal.SIGKILL)
    process.wait_for(lambda: process.log().count("Application startup complete") == 3)
    codes = {httpx.post(f"{process.base_url}/classify", content=BODY, headers=JSON).status_code for _ in range(20)}

    assert survivor in workers_of(process)
    assert len(workers_of(process)) == 2
    assert codes == {200}
    assert process.stop() == 0


@pytest.mark.slow
def test_a_worker_whose_event_loop_is_stuck_is_replaced_while_the_others_serve(start_process: StartProcess) -> None:
    process = start_process("--workers", "2", command=("-m", "tests.server.stuck_service"))
    process.wait_for(lambda: process.log().count("Application startup complete") == 2)
    before = workers_of(process)

    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{process.base_url}/block", timeout=httpx.Timeout(10, read=0.5))
    meanwhile = {served_by(process) for _ in range(5)}
    process.wait_for(lambda: process.log().count("Application startup complete") == 3)

    now = workers_of(process)
    assert len(now) == 2
    assert set(before) & set(now) == meanwhile
    assert process.log().count("a worker hangs and is killed") == 1
    assert served_by(process) in now
    assert process.stop() == 0


def served_by(process: ServiceProcess) -> int:
    return int(httpx.get(f"{process.base_url}/health/live").text)


@pytest.mark.slow
def test_workers_that_are_idle_or_drain_are_not_taken_for_stuck(start_process: StartProcess) -> None:
    process = start_process("--workers", "2", DRAIN_SECONDS="8")
    process.wait_for(lambda: process.log().count("Application startup complete") == 2)
    before = workers_of(process)

    time.sleep(8)
    idle = workers_of(process)
    process.process.terminate()
    time.sleep(7)
    draining = workers_of(process)

    assert idle == draining == before
    assert process.stop() == 0
    assert "hangs" not in process.log()


def test_workers_stop_when_their_parent_is_gone(start_process: StartProcess) -> None:
    process = start_process("--workers", "2")
    workers = workers_of(process)

    process.process.kill()
    process.process.wait()

    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)], timeout=10)
    assert not alive


JSON = {"Content-Type": "application/json"}

"""Clients that send or read too slowly lose their connection; nobody else notices them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

from tests.in_process import TICKET
from tests.server.conftest import BODY, get, port_of, post

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from tests.conftest import StartProcess
    from tests.processes import ServiceProcess

pytestmark = pytest.mark.alone

DEADLINE_SECONDS = 10
MOST_SECONDS = 14
N_OF_EACH_KIND = 100
CHUNKED = b"Transfer-Encoding: chunked\r\n"
DECLARED = post(b" " * 60_000)


@dataclass(frozen=True)
class Ending:
    seconds: float
    received: bytes


def pieces_of(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def drips() -> dict[str, list[bytes]]:
    """Return what slow clients send, piece by piece, at two pieces a second."""
    return {
        "nothing": [],
        "blank lines": [b"\r\n"] * 100,
        "a head": list(pieces_of(post(), 3)),
        "a declared body": [DECLARED[:1000], *pieces_of(DECLARED[1000:], 100)],
        "a chunked body": [post(b"", headers=CHUNKED, declare=False), *[b"1\r\n \r\n"] * 200],
    }


async def open_connection(process: ServiceProcess) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port_of(process), limit=1 << 16)


async def drip(process: ServiceProcess, pieces: list[bytes], *, pause_seconds: float = 0.5) -> Ending:
    """Send piece by piece until the server closes."""
    reader, writer = await open_connection(process)
    started = time.monotonic()
    received = asyncio.create_task(reader.read(-1))
    remaining = iter(pieces)
    while not received.done() and time.monotonic() - started < 2 * DEADLINE_SECONDS:
        with contextlib.suppress(ConnectionError):
            writer.write(b"".join(islice(remaining, 1)))
        await asyncio.wait([received], timeout=pause_seconds)
    seconds = time.monotonic() - started
    writer.close()
    if not received.done():
        received.cancel()
        return Ending(seconds, b"still open")
    return Ending(seconds, b"" if received.exception() else received.result())


async def read_nothing(process: ServiceProcess) -> None:
    """Ask for far more than the system buffers, read none of it, and return when the connection is reset."""
    reader, writer = await open_connection(process)
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    with contextlib.suppress(ConnectionError):
        for _ in range(400):
            writer.write(get("/openapi.json") * 10)
            await writer.drain()
    writer.close()


async def keep_idle(process: ServiceProcess) -> bytes:
    """Let a connection rest between two requests for longer than a slow client may live."""
    reader, writer = await open_connection(process)
    answers = b""
    for pause_seconds in (MOST_SECONDS, 0):
        writer.write(get("/livez"))
        answers += await reader.readuntil(b"}")
        await asyncio.sleep(pause_seconds)
    writer.close()
    return answers


async def probe(process: ServiceProcess) -> AsyncIterator[float]:
    """Yield how long a classification takes, again and again."""
    async with httpx.AsyncClient(base_url=process.base_url) as client:
        while True:
            started = time.monotonic()
            answer = await client.post("/classify", json=dict(TICKET))
            assert answer.status_code == 200
            yield time.monotonic() - started
            await asyncio.sleep(0.2)


async def attack(process: ServiceProcess) -> tuple[dict[str, list[Ending]], Ending, bytes, list[float]]:
    latencies: list[float] = []

    async def measure() -> None:
        # Not a comprehension: what was measured must be there when this is cancelled.
        async for seconds in probe(process):
            latencies.append(seconds)  # noqa: PERF401

    measuring = asyncio.create_task(measure())
    reading_nothing = asyncio.create_task(read_nothing(process))
    # A request that is slow, but not too slow, takes eight seconds.
    patient = asyncio.create_task(drip(process, list(pieces_of(post(headers=b"Connection: close\r\n"), 13))))
    idle = asyncio.create_task(keep_idle(process))
    clients = {
        name: [asyncio.create_task(drip(process, pieces)) for _ in range(N_OF_EACH_KIND)]
        for name, pieces in drips().items()
    }
    endings = {name: await asyncio.gather(*tasks) for name, tasks in clients.items()}
    answers = await idle
    await asyncio.wait_for(reading_nothing, timeout=DEADLINE_SECONDS)
    measuring.cancel()
    return endings, await patient, answers, latencies


@pytest.mark.slow
def test_500_slow_clients_are_closed_after_10_seconds_and_hinder_nobody(start_process: StartProcess) -> None:
    process = start_process()

    endings, patient, idle_answers, latencies = asyncio.run(attack(process))

    for name, of_kind in endings.items():
        seconds = [ending.seconds for ending in of_kind]
        assert min(seconds) > DEADLINE_SECONDS - 1, name
        assert max(seconds) < MOST_SECONDS, name
        for ending in of_kind:
            if name.endswith("body"):
                assert ending.received.startswith(b"HTTP/1.1 408 "), name
                assert b"connection: close" in ending.received.lower()
                assert json.loads(ending.received.partition(b"\r\n\r\n")[2])["error"] == "request_timeout"
            else:
                assert ending.received == b"", name
    assert patient.received.startswith(b"HTTP/1.1 200 ")
    assert idle_answers.count(b"HTTP/1.1 200 ") == 2
    assert len(latencies) > 20
    assert sorted(latencies)[len(latencies) // 2] < 0.25
    assert max(latencies) < 5
    # Only the probe may still be connected.
    process.wait_for(lambda: len(psutil.Process(process.process.pid).net_connections()) <= 2, seconds=20)
    timeouts = [r for r in process.log_records() if r.get("status_code") == 408]
    assert len(timeouts) == 2 * N_OF_EACH_KIND
    assert {(r["path"], r["error"]) for r in timeouts} == {("/classify", "request_timeout")}
    assert BODY.decode() not in process.log()

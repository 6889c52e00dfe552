"""Clients that keep a steady rate or hammer, each with its own connection, and count what became of every request."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.processes import ServiceProcess
from tests.server.conftest import port_of


@dataclass
class Outcome:
    """Answers by status, and failures by their kind; latencies of answers with status 200, in seconds."""

    counts: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    retry_after: set[str] = field(default_factory=set)


class Client:
    """One connection that is opened again when the server closes it."""

    def __init__(self, process: ServiceProcess) -> None:
        self._port = port_of(process)
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes) -> tuple[int, str]:
        """Return the status and the head of the answer; raise when there is no whole answer."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        self._writer.write(request)
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            await self._reader.readexactly(int(head.partition("content-length: ")[2].partition("\r\n")[0]))
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            raise
        if "connection: close" in head:
            self.close()
        return int(head[9:12]), head

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


async def hammer(
    process: ServiceProcess, request: bytes, *, n_clients: int, until: Callable[[], bool], pause_seconds: float = 0
) -> Outcome:
    """Have every client ask again and again until ``until()``."""
    outcome = Outcome()

    async def repeat() -> None:
        client = Client(process)
        while not until():
            started = time.monotonic()
            try:
                status, head = await client.ask(request)
            except ConnectionRefusedError:
                outcome.counts["refused"] += 1
                await asyncio.sleep(0.05)
                continue
            except (OSError, asyncio.IncompleteReadError):
                outcome.counts["dropped"] += 1
                continue
            outcome.counts[str(status)] += 1
            if status == 200:
                outcome.latencies.append(time.monotonic() - started)
            elif status == 503:
                outcome.retry_after.add(head.partition("retry-after: ")[2].partition("\r\n")[0])
            await asyncio.sleep(pause_seconds)
        client.close()

    await asyncio.gather(*[repeat() for _ in range(n_clients)])
    return outcome


def after(seconds: float) -> Callable[[], bool]:
    """Return a condition that holds from then on."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline

"""``python -m benchmarks.overload``: more tickets than one worker can do; what is answered, and what health says.

Capacity is what a few clients get who ask again as soon as they are answered. Then so many clients that none waits for
another ask at fixed times, at twice and at five times that rate, whatever the answers are; at last the few ask again.
Health is asked for by a process of its own, each time on a new connection.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles

from benchmarks.measuring import ROOT
from benchmarks.results import Origin, add_keep_option
from benchmarks.service import Service, running_service

_N_FEW = 16
# An answer may take about half a second, in which its client cannot ask for another one.
_ANSWER_SECONDS = 0.6
_MOST_CLIENTS = 4_000
_PROBE_PAUSE_SECONDS = 0.02
_WORDS = "the main server of our office in Leeds is offline and nobody can log in to the billing portal since nine "
_CHARACTERS = (280, 2_000, 5_000, 20_000)
_PROGRAMS = {"python -m app": ("-m", "app"), "uvicorn": ("-m", "uvicorn", "app.main:app")}


@dataclass
class Outcome:
    """Answers by status, and the seconds until each 200 since it was asked for."""

    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)


class Load:
    """Sends one request over and over, to the service at ``port``."""

    def __init__(self, port: int, request: bytes) -> None:
        self._port = port
        self._request = request

    async def as_fast_as_answered(self, *, n_clients: int, seconds: float) -> Outcome:
        """Let ``n_clients`` ask again as soon as they are answered."""
        outcome = Outcome()
        until = time.monotonic() + seconds

        async def repeat() -> None:
            client = await self._connect()
            while time.monotonic() < until:
                await self._ask(client, outcome)
            client[1].close()

        await asyncio.gather(*[repeat() for _ in range(n_clients)])
        return outcome

    async def at_rate(self, rate: float, *, seconds: float) -> Outcome:
        """Ask at fixed times, whatever is answered, from a second after the call on."""
        outcome = Outcome()
        n_clients = min(_MOST_CLIENTS, int(rate * _ANSWER_SECONDS) + 1)
        started = time.monotonic() + 1.0

        async def repeat(number: int) -> None:
            client = await self._connect()
            for turn in range(int(rate * seconds / n_clients)):
                await asyncio.sleep(max(0.0, started + (number + turn * n_clients) / rate - time.monotonic()))
                await self._ask(client, outcome)
            client[1].close()

        await asyncio.gather(*[repeat(number) for number in range(n_clients)])
        return outcome

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)

    async def _ask(self, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], outcome: Outcome) -> None:
        reader, writer = client
        asked_at = time.monotonic()
        writer.write(self._request)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        status = head[9:12].decode()
        outcome.statuses[status] += 1
        if status == "200":
            outcome.latencies.append(time.monotonic() - asked_at)


def _probe(port: int, pipe: Connection) -> None:
    """Ask for health until told to stop, then send the seconds that each answer took."""
    seconds = []
    while not pipe.poll(_PROBE_PAUSE_SECONDS):
        asked_at = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/health")
        status = connection.getresponse().status
        connection.close()
        if status != http.client.OK:
            raise RuntimeError(f"/health answered {status}")
        seconds.append(time.monotonic() - asked_at)
    pipe.send(seconds)


def _measure(service: Service, *, n_characters: int, seconds: float) -> dict[str, object]:
    description = (_WORDS * (n_characters // len(_WORDS) + 1))[:n_characters]
    body = json.dumps({"title": "Server is down", "description": description}).encode()
    head = "POST /classify HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\n"
    load = Load(service.port, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    asyncio.run(load.as_fast_as_answered(n_clients=_N_FEW, seconds=1))
    before = asyncio.run(load.as_fast_as_answered(n_clients=_N_FEW, seconds=seconds))
    capacity = before.statuses["200"] / seconds
    figures: dict[str, object] = {"capacity_per_second": round(capacity)}
    for factor in (2, 5):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=_probe, args=(service.port, theirs), daemon=True)
        process.start()
        started = time.monotonic()
        outcome = asyncio.run(load.at_rate(factor * capacity, seconds=seconds))
        took = time.monotonic() - started - 1.0
        ours.send(None)
        health = ours.recv()
        process.join()
        figures[f"at_{factor}_times"] = {
            "asked_per_second": round(outcome.statuses.total() / took),
            "goodput_share": round(outcome.statuses["200"] / took / capacity, 3),
            "statuses": dict(sorted(outcome.statuses.items())),
            "answer_ms_p50": round(median(outcome.latencies) * 1000, 1),
            "health_ms": {
                "p50": round(median(health) * 1000, 1),
                "p99": round(quantiles(health, n=100)[98] * 1000, 1),
                "most": round(max(health) * 1000, 1),
            },
        }
    after = asyncio.run(load.as_fast_as_answered(n_clients=_N_FEW, seconds=seconds))
    figures["capacity_share_afterwards"] = round(after.statuses["200"] / seconds / capacity, 3)
    return figures


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures as JSON; return 0."""
    arguments = _parser().parse_args(argv)
    origin = Origin.now()
    measured: dict[str, object] = {}
    for name, program in _PROGRAMS.items():
        for n_characters in _CHARACTERS:
            with running_service(arguments.models, program=program) as service:
                figures = _measure(service, n_characters=n_characters, seconds=arguments.seconds)
            measured[f"{n_characters:,} characters, {name}"] = figures
    print(json.dumps(measured, indent=2))
    if arguments.keep:
        origin.keep(arguments.keep, "overload", measured)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overload", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=4, help="of each part (%(default)s)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="models directory (%(default)s)")
    add_keep_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""``python -m benchmarks.soak``: thousands of clients, good and bad, for a long time; nothing may grow.

Every client has an address of its own, opens a connection, does what clients of its kind do, and leaves. The memory and
the open files of the service are taken all the while; those of the last quarter are compared with those of the
second one, because a process that has just started still grows into its work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import psutil

from benchmarks.measuring import ROOT
from benchmarks.results import Origin, add_keep_option
from benchmarks.service import Service, running_service

_SAMPLE_SECONDS = 2.0
_AT_A_TIME = 48
_ANSWER_SECONDS = 30.0
_MAX_MEMORY_GROWTH = 0.05
_MAX_MEMORY_GROWTH_BYTES = 4 << 20
_MAX_FILE_GROWTH = 4
# Weights of the kinds of clients; see `_Soak`.
_KINDS = {
    "short": 55,
    "several": 15,
    "long": 8,
    "batch": 4,
    "status": 6,
    "bad": 6,
    "malformed": 2,
    "leaves": 3,
    "slow": 1,
}
_WORDS = (
    "server",
    "invoice",
    "users",
    "offline",
    "billing",
    "login",
    "refund",
    "price",
    "quote",
    "yesterday",
    "please",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process used at a moment; bytes of private memory, and open descriptors, connections left out."""

    seconds: float
    memory_bytes: int
    n_files: int
    n_threads: int


class _Soak:
    def __init__(self, service: Service, *, n_clients: int, seconds: float) -> None:
        self._port = service.port
        self._process = psutil.Process(service.process_id)
        self._n_clients = n_clients
        self._seconds = seconds
        self._random = random.Random(1)
        self.outcomes: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.samples: list[Sample] = []

    async def run(self) -> None:
        started = time.monotonic()
        sampling = asyncio.create_task(self._sample(started))
        numbers = iter(range(self._n_clients))
        await asyncio.gather(*[self._clients(numbers, started) for _ in range(_AT_A_TIME)])
        sampling.cancel()

    async def _clients(self, numbers: Iterator[int], started: float) -> None:
        for number in numbers:
            due = started + self._seconds * number / self._n_clients
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            kind = self._random.choices(list(_KINDS), list(_KINDS.values()))[0]
            try:
                await asyncio.wait_for(self._visit(kind, number), _ANSWER_SECONDS)
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.outcomes[f"{kind}: {type(error).__name__}"] += 1

    async def _visit(self, kind: str, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        try:
            for request in self._requests(kind, _address(number)):
                if kind == "slow":
                    await _dawdle(writer)
                writer.write(request)
                if kind == "leaves":
                    await writer.drain()
                    self.outcomes["leaves: left"] += 1
                    return
                sent_at = time.monotonic()
                status = await _status(reader)
                if kind == "short":
                    self.latencies.append(time.monotonic() - sent_at)
                self.outcomes[f"{kind}: {status}"] += 1
        finally:
            writer.close()

    def _requests(self, kind: str, address: str) -> list[bytes]:
        text = " ".join(self._random.choices(_WORDS, k=2500 if kind == "long" else 40))
        ticket = {"title": "Server is down", "description": text, "customer_email": f"user@{address}.example"}
        post = _post("/classify", ticket, address)
        of_kind = {
            "several": [post] * 5,
            "batch": [_post("/classify/batch", {"tickets": [ticket] * 50}, address)],
            "status": [_get(path, address) for path in ("/health", "/version", "/metrics", "/model/status")],
            "bad": [_post("/classify", {"title": 1}, address), _post("/nothing", ticket, address)],
            "malformed": [b"\x16\x03\x01 this is not HTTP\r\n\r\n"],
            "leaves": [post[:-10]],
        }
        return of_kind.get(kind, [post])

    async def _sample(self, started: float) -> None:
        while True:
            with self._process.oneshot():
                sample = Sample(
                    seconds=time.monotonic() - started,
                    memory_bytes=self._process.memory_full_info().uss,
                    n_files=self._process.num_fds() - len(self._process.net_connections()),
                    n_threads=self._process.num_threads(),
                )
            self.samples.append(sample)
            await asyncio.sleep(_SAMPLE_SECONDS)


async def _dawdle(writer: asyncio.StreamWriter) -> None:
    """Send the blank lines that may come before a request, for two seconds."""
    for _ in range(4):
        writer.write(b"\r\n")
        await asyncio.sleep(0.5)


async def _status(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    return int(head[9:12])


def _address(number: int) -> str:
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _post(path: str, content: object, address: str) -> bytes:
    body = json.dumps(content).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: service\r\nX-Forwarded-For: {address}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _get(path: str, address: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: service\r\nX-Forwarded-For: {address}\r\n\r\n".encode()


def _growth(samples: Sequence[Sample]) -> tuple[Sample, Sample]:
    """Return the medians of the second and of the last quarter."""
    quarter = len(samples) // 4
    parts = samples[quarter : 2 * quarter], samples[-quarter:]
    first, last = (
        Sample(
            seconds=part[0].seconds,
            memory_bytes=int(median(s.memory_bytes for s in part)),
            n_files=int(median(s.n_files for s in part)),
            n_threads=int(median(s.n_threads for s in part)),
        )
        for part in parts
    )
    return first, last


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when nothing failed and nothing grew, else 1."""
    arguments = _parser().parse_args(argv)
    origin = Origin.now()
    environment = {"TRUSTED_PROXIES": "127.0.0.1/32", "RATE_LIMIT_REQUESTS": "100"}
    with running_service(arguments.models, environment=environment) as service:
        soak = _Soak(service, n_clients=arguments.clients, seconds=arguments.minutes * 60)
        asyncio.run(soak.run())
    first, last = _growth(soak.samples)
    growth = last.memory_bytes - first.memory_bytes
    measured = {
        "minutes": arguments.minutes,
        "clients": arguments.clients,
        "outcomes": dict(sorted(soak.outcomes.items())),
        "latency_ms": {
            "p50": round(median(soak.latencies) * 1000, 2),
            "p99": round(quantiles(soak.latencies, n=100)[98] * 1000, 2),
        },
        "memory_mib": {"second_quarter": first.memory_bytes / 2**20, "last_quarter": last.memory_bytes / 2**20},
        "open_files": {"second_quarter": first.n_files, "last_quarter": last.n_files},
        "threads": {"second_quarter": first.n_threads, "last_quarter": last.n_threads},
    }
    is_flat = (
        growth <= max(_MAX_MEMORY_GROWTH * first.memory_bytes, _MAX_MEMORY_GROWTH_BYTES)
        and last.n_files - first.n_files <= _MAX_FILE_GROWTH
    )
    failures = [name for name in soak.outcomes if name.endswith("Error") or ": 5" in name]
    print(json.dumps(measured, indent=2))
    print("flat" if is_flat else "NOT FLAT", "without failures" if not failures else f"with failures: {failures}")
    if arguments.keep:
        origin.keep(arguments.keep, "soak", measured)
    return 0 if is_flat and not failures else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30, help="how long (%(default)s)")
    parser.add_argument("--clients", type=int, default=100_000, help="how many, evenly over that time (%(default)s)")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="models directory (%(default)s)")
    add_keep_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())

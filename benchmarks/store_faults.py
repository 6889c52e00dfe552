"""``python -m benchmarks.store_faults``: what callers see of a store that is away, beside what they see of a sound one.

Two workers are asked for tickets at fixed times, whatever is answered, and one client judges all the while. In each
round the store is sound for some seconds, and then away for as long, from the first ticket on. What changes between the
two is what the fault costs; then the store is given back, and the next judgement waited for.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import http.client
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from types import MappingProxyType
from typing import Any

from benchmarks.feedback_load import TICKET, Answer, Client
from benchmarks.measuring import ROOT, positive
from benchmarks.overload import Load, Outcome
from benchmarks.results import Origin, add_keep_option
from benchmarks.service import Service, running_service
from tests.postgres import Postgres, missing

_RATE = 300
_BACK_SECONDS = 60
_PAUSE_SECONDS = 0.05
_BALLAST_BYTES = 4096
# Mounts that only the service sees; who is not root is root there only.
_UNSHARE = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
_ENTER = ("nsenter", "--mount", *(() if os.geteuid() == 0 else ("--user", "--preserve-credentials")))
_MOUNT_SMALL = 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"'
_MOUNT_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


@dataclass(frozen=True, slots=True)
class Fault:
    """A service, and what takes its store away and gives it back; ``sound_port`` is asked while it is there."""

    port: int
    sound_port: int
    begin: Callable[[], object]
    end: Callable[[], object]


class Judge(threading.Thread):
    """One client who judges again and again, and what it was answered."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._client = Client(port)
        self._is_over = threading.Event()
        self.answers: list[Answer] = []

    def run(self) -> None:
        while not self._is_over.wait(_PAUSE_SECONDS):
            with suppress(OSError, http.client.HTTPException):
                self.answers.append(self._client.judge())
        self._client.close()

    def stop(self) -> None:
        self._is_over.set()
        self.join()

    def seconds_until(self, status: int, *, since: float) -> float | None:
        """Return how long after ``since`` the first answer with ``status`` came; None without one."""
        answered_at = (answer.asked_at + answer.seconds for answer in tuple(self.answers) if answer.status == status)
        return next((at - since for at in answered_at if at > since), None)

    def wait_for(self, status: int, *, since: float) -> float:
        while (seconds := self.seconds_until(status, since=since)) is None:
            if time.monotonic() - since > _BACK_SECONDS:
                raise TimeoutError(f"/feedback did not answer {status} within {_BACK_SECONDS} s")
            time.sleep(_PAUSE_SECONDS)
        return seconds


def measure(fault: Fault, *, seconds: float) -> dict[str, Any]:
    """Return what one round finds."""
    judge = Judge(fault.port)
    judge.start()
    try:
        sound = asyncio.run(_ask(fault.sound_port, seconds))
        began_at = time.monotonic() + 1
        away = asyncio.run(_ask(fault.port, seconds, begin=fault.begin))
        refused = judge.seconds_until(http.client.SERVICE_UNAVAILABLE, since=began_at)
        fault.end()
        back = judge.wait_for(http.client.CREATED, since=time.monotonic())
    finally:
        judge.stop()
    refusals = [answer for answer in judge.answers if answer.status == http.client.SERVICE_UNAVAILABLE]
    statuses = sound.statuses + away.statuses
    return {
        "sound_p99_ms": _p99_ms(sound),
        "added_to_p99_ms": _p99_ms(away) - _p99_ms(sound),
        "classified": statuses["200"],
        "server_errors": sum(n for status, n in statuses.items() if status.startswith("5")),
        # None where a judgement could be written all the same, such as what fits into a file that is there.
        "seconds_until_refused": refused,
        "longest_refusal_seconds": max((answer.seconds for answer in refusals), default=None),
        "refusals_without_retry_after": sum(answer.retry_after is None for answer in refusals),
        "other_statuses": sorted({answer.status for answer in judge.answers} - {201, 503}),
        "seconds_until_back": back,
    }


async def _ask(port: int, seconds: float, *, begin: Callable[[], object] | None = None) -> Outcome:
    body = json.dumps(TICKET).encode()
    head = f"POST /classify HTTP/1.1\r\nHost: service\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    asking = asyncio.create_task(Load(port, f"{head}\r\n\r\n".encode() + body).at_rate(_RATE, seconds=seconds))
    if begin is not None:
        # When the first tickets are asked for.
        await asyncio.sleep(1)
        await asyncio.to_thread(begin)
    return await asking


def _p99_ms(outcome: Outcome) -> float:
    return quantiles(outcome.latencies, n=100)[98] * 1000


@contextmanager
def _serving(url: str, *, before: Sequence[str] = ()) -> Iterator[Service]:
    environment = {"STORE_URL": url, "DRAIN_SECONDS": "0"}
    with running_service(ROOT / "models", before=before, workers=2, environment=environment) as service:
        yield service


@contextmanager
def _locked() -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as directory, _serving(f"sqlite:///{directory}/store.db") as service:
        path = f"{directory}/store.db"
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            begin, end = partial(other.execute, "BEGIN IMMEDIATE"), partial(other.execute, "ROLLBACK")
            yield Fault(service.port, service.port, begin, end)


@contextmanager
def _full() -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as directory:
        before = (*_UNSHARE, "sh", "-c", _MOUNT_SMALL, directory)
        with _serving(f"sqlite:///{directory}/store.db", before=before) as service:
            ballast = Path(f"/proc/{service.process_id}/root{directory}/ballast")
            yield Fault(service.port, service.port, partial(_fill, ballast), ballast.unlink)


def _fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(_BALLAST_BYTES))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise


@contextmanager
def _read_only() -> Iterator[Fault]:
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as other:
        url = f"sqlite:///{directory}/store.db"
        with _serving(url):
            pass
        before = (*_UNSHARE, "sh", "-c", _MOUNT_READ_ONLY, directory)
        with _serving(url, before=before) as service, _serving(f"sqlite:///{other}/store.db") as sound:
            # A directory in which files are open cannot be made read-only, so it is from the start.
            end = (*_ENTER, f"--target={service.process_id}", "mount", "-o", "remount,bind,rw", directory)
            yield Fault(service.port, sound.port, _nothing, partial(subprocess.run, end, check=True))


@contextmanager
def _postgres(begin: Callable[[Postgres], None], end: Callable[[Postgres], None]) -> Iterator[Fault]:
    with Postgres() as postgres, postgres.database() as url, _serving(url) as service:
        yield Fault(service.port, service.port, partial(begin, postgres), partial(end, postgres))


def _nothing(*_: object) -> None:
    pass


FAULTS: Mapping[str, Callable[[], AbstractContextManager[Fault]]] = MappingProxyType(
    {
        "SQLite: locked by another program": _locked,
        "SQLite: the disk is full": _full,
        "SQLite: the directory is read-only": _read_only,
        "Postgres: stopped": partial(_postgres, Postgres.stop, Postgres.start),
        "Postgres: killed": partial(_postgres, Postgres.kill, Postgres.start),
        "Postgres: frozen": partial(_postgres, Postgres.freeze, Postgres.resume),
        "Postgres: restarted": partial(_postgres, Postgres.restart, _nothing),
    }
)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures as JSON; return 1 when a ticket was answered 5xx or a judgement was refused without a time."""
    arguments = _parser().parse_args(argv)
    if any(name.startswith("Postgres") for name in arguments.only) and (reason := missing()) is not None:
        sys.stderr.write(f"{reason}\n")
        return 2
    origin = Origin.now()
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in arguments.only}
    for _ in range(arguments.rounds):
        for name in arguments.only:
            with FAULTS[name]() as fault:
                rounds[name].append(measure(fault, seconds=arguments.seconds))
    measured = {name: _together(found) for name, found in rounds.items()}
    print(json.dumps(measured, indent=2))
    if arguments.keep:
        origin.keep(arguments.keep, "store_faults", {"rounds": arguments.rounds, "faults": measured})
    return 1 if any(map(_is_broken, measured.values())) else 0


def _is_broken(figures: Mapping[str, Any]) -> bool:
    return bool(figures["server_errors"] or figures["refusals_without_retry_after"])


def _together(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all rounds come to: times with their median, counts summed up."""
    times = (
        "sound_p99_ms",
        "added_to_p99_ms",
        "seconds_until_refused",
        "longest_refusal_seconds",
        "seconds_until_back",
    )
    counts = ("classified", "server_errors", "refusals_without_retry_after")
    together: dict[str, Any] = {name: sum(found[name] for found in rounds) for name in counts}
    for name in times:
        values = [round(found[name], 2) for found in rounds if found[name] is not None]
        together[name] = {"median": median(values), "values": values} if values else None
    together["other_statuses"] = sorted({status for found in rounds for status in found["other_statuses"]})
    return together


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.store_faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=positive, default=5, help="(%(default)s)")
    parser.add_argument("--seconds", type=float, default=8, help="of each half of a round (%(default)s)")
    parser.add_argument(
        "--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT", help="such as %(default)s"
    )
    add_keep_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())

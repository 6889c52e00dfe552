"""``python -m benchmarks.store_kills``: ``kill -9`` while judgements are posted, and which are there afterwards.

Two workers serve, and four clients classify and judge. In each round a worker is killed, or the whole service, or
Postgres, in turn; the next round begins when judgements are acknowledged again. At the end every judgement that was
answered 201 is looked for in the database.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from statistics import median
from typing import Any

import psutil
from sqlalchemy import select

from app.store.database import Database
from app.store.tables import feedback
from benchmarks.empty_stores import STORES, EmptyStore, empty_store
from benchmarks.feedback_load import FeedbackLoad
from benchmarks.measuring import ROOT, positive
from benchmarks.results import Origin, add_keep_option
from benchmarks.service import Service, running_service
from tests.postgres import Postgres, missing

_BACK_SECONDS = 60
# So many at most, and at least one, are acknowledged between two kills.
_MAX_BETWEEN = 20


class Victims:
    """The service and its database, and the ways in which they are killed."""

    def __init__(self, load: FeedbackLoad, stack: ExitStack, store: EmptyStore) -> None:
        self._load = load
        self._stack = stack
        self._environment = {"STORE_URL": store.url, "METRICS_DIR": stack.enter_context(tempfile.TemporaryDirectory())}
        self._service = self._start()
        self.kills: dict[str, Callable[[], None]] = {"a worker": self._kill_worker, "the service": self._kill_service}
        if store.postgres is not None:
            self.kills["Postgres"] = partial(_kill_and_start, store.postgres)

    def _kill_worker(self) -> None:
        random.choice(_workers(self._service)).kill()

    def _kill_service(self) -> None:
        parent = psutil.Process(self._service.process_id)
        # Stopped, it cannot replace those that die before it.
        parent.suspend()
        workers = _workers(self._service)
        for process in (*workers, parent):
            process.kill()
        psutil.wait_procs(workers, timeout=_BACK_SECONDS)
        self._service = self._start()

    def _start(self) -> Service:
        service = self._stack.enter_context(running_service(ROOT / "models", workers=2, environment=self._environment))
        self._load.port = service.port
        return service


def _kill_and_start(postgres: Postgres) -> None:
    postgres.kill()
    postgres.start()


def measure(store: str, *, rounds: int) -> dict[str, Any]:
    """Return what came of ``rounds`` kills: how many of each, what was acknowledged, and what of that is lost."""
    rng = random.Random(rounds)
    seconds: dict[str, list[float]] = {}
    with ExitStack() as stack:
        empty = stack.enter_context(empty_store(store))
        load = FeedbackLoad(port=0)
        victims = Victims(load, stack, empty)
        with load:
            for name, kill in itertools.islice(itertools.cycle(victims.kills.items()), rounds):
                load.wait_for_more(rng.randint(1, _MAX_BETWEEN), seconds=_BACK_SECONDS)
                killed_at = time.monotonic()
                kill()
                load.wait_for_more(1, seconds=_BACK_SECONDS)
                seconds.setdefault(name, []).append(time.monotonic() - killed_at)
        with closing(Database(empty.url)) as database, database.reading() as connection:
            kept = set(connection.execute(select(feedback.c.feedback_id)).scalars())
    return {
        "kills": {name: len(values) for name, values in seconds.items()},
        "acknowledged": len(load.acknowledged),
        "lost": len(set(load.acknowledged) - kept),
        "statuses": dict(sorted(load.statuses.items())),
        "seconds_until_the_next": {
            name: {"median": round(median(values), 2), "most": round(max(values), 2)}
            for name, values in seconds.items()
        },
    }


def _workers(service: Service) -> list[psutil.Process]:
    return psutil.Process(service.process_id).children()


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures as JSON; return 1 when an acknowledged judgement is lost, or a ticket was answered 5xx."""
    arguments = _parser().parse_args(argv)
    if "postgresql" in arguments.store and (reason := missing()) is not None:
        sys.stderr.write(f"{reason}\n")
        return 2
    origin = Origin.now()
    measured = {store: measure(store, rounds=arguments.rounds) for store in arguments.store}
    print(json.dumps(measured, indent=2))
    if arguments.keep:
        origin.keep(arguments.keep, "store_kills", measured)
    return 1 if any(map(_is_broken, measured.values())) else 0


def _is_broken(figures: Mapping[str, Any]) -> bool:
    return bool(figures["lost"]) or any(name.startswith("/classify 5") for name in figures["statuses"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.store_kills",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=positive, default=100, help="kills for each store (%(default)s)")
    parser.add_argument("--store", nargs="+", choices=STORES, default=list(STORES), help="which (both)")
    add_keep_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())

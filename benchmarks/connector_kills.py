"""``python -m benchmarks.connector_kills``: ``kill -9`` between deliveries of a helpdesk and what is written there.

Two workers serve, and a helpdesk that takes its time posts tickets until each is answered 200. In each round the whole
service is killed while some tickets are on their way, and started again. At the end every ticket is looked up at the
helpdesk: its fields set once where the answer was sure, one note where it was half sure, and nothing else.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import psutil
from sqlalchemy import func, select

from app.store.database import Database
from app.store.tables import answers, outbox, predictions
from benchmarks.empty_stores import STORES, empty_store
from benchmarks.measuring import ROOT, positive
from benchmarks.results import Origin, add_keep_option
from benchmarks.service import Service, running_service
from tests.connectors.servers.dialect import Reply, Request, running
from tests.connectors.servers.generic import Generic
from tests.postgres import missing

_SECRET: Final = "the-secret-of-the-webhook"  # noqa: S105  # nosec B105 - of a helpdesk on loopback
_TOKEN: Final = "the-token-of-the-api"  # noqa: S105  # nosec B105 - as above
_TABLE: Final = """
[desk]
type = "generic"
secret_env = "DESK_SECRET"
signature = "secret"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
api = {{read = "/tickets/{{id}}", write = "/tickets/{{id}}", note = "/tickets/{{id}}/notes"}}
"""
# Some of which the default model is sure of, some of which it is not.
_TICKETS: Final = (
    ("Server is down", "The main server has been offline for an hour and no user can log in."),
    ("Charged twice", "Our credit card was charged twice for the invoice of this month, please refund one of them."),
    ("Quote for 50 licences", "Please send us a quote for 50 licences and the discount for a year."),
    ("Question", "I am not sure whom to ask about this."),
    ("Printer", "It prints slowly since yesterday, no hurry."),
)
_BACK_SECONDS: Final = 60
# A job that a killed process had is left alone until its lease ends.
_SETTLED_SECONDS: Final = 400
_MAX_TICKETS_IN_A_ROUND: Final = 6
_LONGEST_PAUSE_SECONDS: Final = 0.08


class SlowDesk(Generic):
    """Takes its time before it does what is asked, and before it answers."""

    def answer(self, request: Request) -> Reply:
        """Return what the helpdesk answers."""
        time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))
        reply = super().answer(request)
        time.sleep(random.uniform(0, _LONGEST_PAUSE_SECONDS))
        return reply


class Rounds:
    """The service that is killed, and the tickets that are posted to it."""

    def __init__(self, stack: ExitStack, desk: Generic, url: str, store_url: str) -> None:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        path = directory / "connectors.toml"
        path.write_text(_TABLE.format(url=url), encoding="utf-8")
        self._stack = stack
        self._desk = desk
        self._environment = {
            "STORE_URL": store_url,
            "METRICS_DIR": str(directory),
            "CONNECTORS_FILE": str(path),
            "DESK_SECRET": _SECRET,
            "DESK_TOKEN": _TOKEN,
        }
        self._numbers = itertools.count(1)
        self.n_unanswered = 0
        self._service = self._start()

    def _start(self) -> Service:
        return self._stack.enter_context(running_service(ROOT / "models", workers=2, environment=self._environment))

    def post_some(self, rng: random.Random) -> None:
        """Post new tickets, each until it is answered."""
        for _ in range(rng.randint(2, _MAX_TICKETS_IN_A_ROUND)):
            title, description = rng.choice(_TICKETS)
            ticket = self._desk.create(f"{next(self._numbers)}", title=title, description=description)
            deadline = time.monotonic() + _BACK_SECONDS
            while not self._is_taken(ticket):
                self.n_unanswered += 1
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no delivery was taken within {_BACK_SECONDS} s")

    def _is_taken(self, ticket: Mapping[str, object]) -> bool:
        with closing(http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=10)) as connection:
            try:
                connection.request("POST", "/hooks/desk", json.dumps(ticket), {"X-Webhook-Secret": _SECRET})
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False

    def kill(self) -> None:
        """Kill the service at once, and start it again."""
        parent = psutil.Process(self._service.process_id)
        # Stopped, it cannot replace those that die before it.
        parent.suspend()
        workers = parent.children()
        for process in (*workers, parent):
            process.kill()
        psutil.wait_procs(workers, timeout=_BACK_SECONDS)
        self._service = self._start()


def measure(store: str, *, rounds: int) -> dict[str, Any]:
    """Return what came of ``rounds`` kills: how many tickets there were, and what of them is lost or done twice."""
    rng = random.Random(rounds)
    began = time.monotonic()
    desk = SlowDesk(token=_TOKEN)
    with ExitStack() as stack:
        empty = stack.enter_context(empty_store(store))
        served = Rounds(stack, desk, stack.enter_context(running(desk)), empty.url)
        database = stack.enter_context(closing(Database(empty.url)))
        for _ in range(rounds):
            served.post_some(rng)
            time.sleep(rng.uniform(0, 0.6))
            served.kill()
        n_waiting = _settle(database)
        return {
            "kills": rounds,
            "tickets": len(desk.tickets),
            "deliveries_tried_again": served.n_unanswered,
            "jobs_cut_off": _count(database, outbox.c.n_attempts > 1),
            "jobs_given_up": _count(database, outbox.c.state == "dead"),
            "jobs_left": n_waiting,
            **_faults(desk, database),
            "seconds": round(time.monotonic() - began),
        }


def _settle(database: Database) -> int:
    """Wait until nothing is to be done any more, or long enough; return how many jobs are left."""
    deadline = time.monotonic() + _SETTLED_SECONDS
    while n_waiting := _count(database, outbox.c.state == "waiting"):
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    return n_waiting


def _count(database: Database, condition: Any) -> int:  # noqa: ANN401 - a condition of SQL
    with database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(outbox).where(condition)).scalar_one())


def _faults(desk: Generic, database: Database) -> dict[str, int]:
    """Return how many tickets are not as their answers say, and how many writes there were too many."""
    statement = select(predictions.c.ticket_id, answers.c.head, answers.c.label, answers.c.decision).join(
        answers, answers.c.prediction_id == predictions.c.prediction_id
    )
    with database.reading() as connection:
        rows = connection.execute(statement).all()
    found: dict[str, dict[str, tuple[str, str]]] = {ref: {} for ref in desk.tickets}
    n_answers = Counter((row.ticket_id, row.head) for row in rows)
    for row in rows:
        found[row.ticket_id.removeprefix("desk:")][row.head] = (row.label, row.decision)
    writes = Counter((request.method, request.path) for request in desk.writes())
    wrong = [ref for ref, heads in found.items() if not _is_as_answered(desk, ref, heads)]
    return {
        "classified_twice": sum(count > 1 for count in n_answers.values()),
        "lost": sum(not heads for heads in found.values()),
        "not_as_answered": len(wrong),
        "written_twice": sum(count > 1 for (method, _), count in writes.items() if method == "PATCH"),
        "noted_twice": sum(len(notes) > 1 for notes in desk.notes.values()),
    }


def _is_as_answered(desk: Generic, ref: str, heads: Mapping[str, tuple[str, str]]) -> bool:
    expected = {head: label for head, (label, decision) in heads.items() if decision == "auto"}
    has_note = any(decision == "suggest" for _, decision in heads.values())
    values = {head: desk.tickets[ref][head] for head in heads}
    return values == dict.fromkeys(heads) | expected and len(desk.notes[ref]) == has_note


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures as JSON; return 1 when a ticket is lost, or anything was done twice."""
    arguments = _parser().parse_args(argv)
    if "postgresql" in arguments.store and (reason := missing()) is not None:
        sys.stderr.write(f"{reason}\n")
        return 2
    origin = Origin.now()
    measured = {store: measure(store, rounds=arguments.rounds) for store in arguments.store}
    print(json.dumps(measured, indent=2))
    if arguments.keep:
        origin.keep(arguments.keep, "connector_kills", measured)
    return 1 if any(map(_is_broken, measured.values())) else 0


def _is_broken(figures: Mapping[str, Any]) -> bool:
    faults = ("classified_twice", "lost", "not_as_answered", "written_twice", "noted_twice")
    return any(figures[name] for name in (*faults, "jobs_left", "jobs_given_up"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.connector_kills",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=positive, default=100, help="kills for each store (%(default)s)")
    parser.add_argument("--store", nargs="+", choices=STORES, default=list(STORES), help="which (both)")
    add_keep_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())

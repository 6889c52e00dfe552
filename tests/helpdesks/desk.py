"""A real helpdesk, the service that it tells of its tickets, and what customers and staff do there."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from app.store.database import Database
from app.store.tables import feedback, judgements, outbox, predictions
from tests.conftest import StartProcess
from tests.helpdesks.django_helpdesk import PROGRAM, DjangoHelpdesk, Ticket, token_of
from tests.processes import ServiceProcess

SECRET = "the-secret-of-the-webhook"
_LOOK_SECONDS = 6
_TABLE = """
[desk]
type = "django-helpdesk"
secret_env = "DESK_SECRET"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
look_seconds = {look_seconds}
calls_per_minute = {calls_per_minute}
labels.department = {{"Tech Support" = 2, Billing = 3, Sales = 4}}
unset.department = [1]
"""
# Of what the small model of the tests knows, so that it is sure of some and not of others.
_WORDS = ("down", "invoice", "main", "offline", "price", "quote", "refund", "server", "users")
_TEXTS = [*itertools.permutations(_WORDS, 2), *itertools.permutations(_WORDS, 3)][::2]
# A process that is stopped while it writes has a lease of a minute and a half.
_SETTLED_SECONDS = 240.0
Judged = Counter[tuple[int, str, str]]


@dataclass
class Desk:
    """``sent`` are all tickets, in order; ``port`` is where the helpdesk expects the service."""

    helpdesk: DjangoHelpdesk
    port: int
    directory: Path
    start_process: StartProcess
    service: ServiceProcess | None = None
    sent: list[Ticket] = field(default_factory=list)

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.directory / 'store.db'}"

    def start_service(self, *, calls_per_minute: int) -> None:
        path = self.directory / "connectors.toml"
        table = _TABLE.format(url=self.helpdesk.url, look_seconds=_LOOK_SECONDS, calls_per_minute=calls_per_minute)
        path.write_text(table, encoding="utf-8")
        self.service = self.start_process(
            port=self.port,
            CONNECTORS_FILE=str(path),
            STORE_URL=self.store_url,
            DESK_SECRET=SECRET,
            DESK_TOKEN=token_of(PROGRAM),
            AUDIT_SHARE="0",
        )

    def stop_service(self) -> None:
        assert self.service is not None
        assert self.service.stop() == 0

    def send(self, n_tickets: int, **values: int) -> list[Ticket]:
        """Send as many tickets, each with a text of its own, by form and by API in turn."""
        first = len(self.sent)
        for n in range(first, first + n_tickets):
            title, *rest = _TEXTS[n]
            ticket = replace(Ticket(f"{title} {n}", " ".join(rest), f"c{n}@example.com"), **values)
            submit = (self.helpdesk.submit_form, self.helpdesk.submit_api)[n % 2]
            submit(ticket)
            self.sent.append(ticket)
        return self.sent[first:]

    def numbers_of(self, tickets: Sequence[Ticket]) -> list[int]:
        """Return the numbers of tickets, which a customer who saw an error was not told."""
        by_title = {ticket["title"]: number for number, ticket in self.helpdesk.tickets().items()}
        return [by_title[ticket.title] for ticket in tickets]

    def waiting(self) -> set[int]:
        """Return the tickets that something is still to be written into."""
        return {int(row["ticket_ref"]) for row in self.rows(outbox) if row["state"] == "waiting"}

    def wait_until_settled(self) -> None:
        """Wait until every ticket is answered, and nothing waits."""
        self._wait_until(lambda: len(self.rows(predictions)) >= len(self.sent) and not self.waiting())

    def wait_for_judgements(self, n_judgements: int) -> None:
        """Wait for so many, and for a look more, which is to find nothing."""
        self._wait_until(lambda: self.judged().total() >= n_judgements)
        time.sleep(1.5 * _LOOK_SECONDS)

    def rows(self, table: Table) -> list[dict[str, Any]]:
        with closing(Database(self.store_url)) as database, database.reading() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def judged(self) -> Judged:
        """Return ticket, head and label of every judgement, and how often it was made."""
        ref_of = {row["prediction_id"]: row["ticket_id"].removeprefix("desk:") for row in self.rows(predictions)}
        ticket_of = {row["feedback_id"]: int(ref_of[row["prediction_id"]]) for row in self.rows(feedback)}
        return Counter((ticket_of[row["feedback_id"]], row["head"], row["label"]) for row in self.rows(judgements))

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SETTLED_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.service and self.service.log()[-5000:]
            time.sleep(0.5)

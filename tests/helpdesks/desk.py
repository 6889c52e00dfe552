"""A real helpdesk, the service that it tells of its tickets, and what customers and staff do there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.conftest import StartProcess
from tests.helpdesks.beside import TEXTS, ServiceBeside
from tests.helpdesks.django_helpdesk import PROGRAM, DjangoHelpdesk, Ticket, token_of

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


class Desk(ServiceBeside):
    """``sent`` are all tickets, in order."""

    def __init__(self, helpdesk: DjangoHelpdesk, port: int, directory: Path, start_process: StartProcess) -> None:
        super().__init__(port, directory, start_process)
        self.helpdesk = helpdesk
        self.sent: list[Ticket] = []

    def start_service(self, *, calls_per_minute: int) -> None:
        table = _TABLE.format(url=self.helpdesk.url, look_seconds=_LOOK_SECONDS, calls_per_minute=calls_per_minute)
        self.start_with(table, secret=SECRET, token=token_of(PROGRAM))

    def send(self, n_tickets: int, **values: int) -> list[Ticket]:
        """Send as many tickets, each with a text of its own, by form and by API in turn."""
        first = len(self.sent)
        for n in range(first, first + n_tickets):
            title, *rest = TEXTS[n]
            ticket = replace(Ticket(f"{title} {n}", " ".join(rest), f"c{n}@example.com"), **values)
            submit = (self.helpdesk.submit_form, self.helpdesk.submit_api)[n % 2]
            submit(ticket)
            self.sent.append(ticket)
        return self.sent[first:]

    def numbers_of(self, tickets: Sequence[Ticket]) -> list[int]:
        """Return the numbers of tickets, which a customer who saw an error was not told."""
        by_title = {ticket["title"]: number for number, ticket in self.helpdesk.tickets().items()}
        return [by_title[ticket.title] for ticket in tickets]

    def wait_until_settled(self) -> None:
        """Wait until every ticket is answered, and nothing waits."""
        self.wait_for_answers(len(self.sent))

    def wait_for_judgements(self, n_judgements: int) -> None:
        """Wait for so many, and for a look more, which is to find nothing."""
        self.wait_until(lambda: self.judged().total() >= n_judgements)
        time.sleep(1.5 * _LOOK_SECONDS)

"""django-helpdesk as a process of its own, with what customers, staff and programs do there."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.processes import free_port

DIRECTORY = Path(__file__).parent
LOCK = DIRECTORY / "django-helpdesk.lock"
_COMMANDS = DIRECTORY / "django_site" / "manage.py"
_START_SECONDS = 60
_STOP_SECONDS = 30
_PAGE_SIZE = 100

# What the site's database begins with.
QUEUES = MappingProxyType({"Inbox": 1, "Tech Support": 2, "Billing": 3, "Sales": 4})
PEOPLE = ("ada", "grace")
PROGRAM = "classifier"
OPEN, RESOLVED, CLOSED = 1, 3, 4
NORMAL = 3


def token_of(user: str) -> str:
    return f"token-of-{user}"


def password_of(user: str) -> str:
    return f"password of {user}"


def prepare(python: Path, directory: Path) -> Path:
    """Make a database with the first queues and users in a directory, and return its path."""
    environment = {**os.environ, "DJANGO_HELPDESK_DIRECTORY": str(directory)}
    subprocess.run([python, _COMMANDS, "prepare"], check=True, timeout=_START_SECONDS, env=environment)
    return directory / "helpdesk.sqlite3"


@dataclass(frozen=True, slots=True)
class Ticket:
    """What somebody asks for."""

    title: str
    description: str
    email: str = "customer@example.com"
    queue: int = QUEUES["Inbox"]
    priority: int = NORMAL


class DjangoHelpdesk:
    """One site on a free port of the loopback address; its database outlives a stop.

    ``webhook_url`` is told of new tickets and of follow-ups, as the helpdesk itself does it: within the request.
    """

    def __init__(self, python: Path, directory: Path, *, webhook_url: str | None = None) -> None:
        self._python = python
        self._directory = directory
        self.webhook_url = webhook_url
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._staff: dict[str, httpx.Client] = {}
        # Each client that is made reads the system's certificates, which takes longer than a form.
        self._visitor = httpx.Client(base_url=self.url, timeout=30)
        self._api = httpx.Client(headers={"Authorization": f"Token {token_of(PEOPLE[0])}"}, timeout=30)

    def start(self) -> None:
        assert self._process is None
        hooks = ("HELPDESK_NEW_TICKET_WEBHOOK_URLS", "HELPDESK_FOLLOWUP_WEBHOOK_URLS")
        kept = {name: value for name, value in os.environ.items() if name not in hooks}
        told = dict.fromkeys(hooks, self.webhook_url) if self.webhook_url else {}
        port = str(urlsplit(self.url).port)
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._python, _COMMANDS, "serve", port],
                env={**kept, **told, "DJANGO_HELPDESK_DIRECTORY": str(self._directory)},
                # Ctrl+C is for the tests, which end it themselves.
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, f"the helpdesk does not start:\n{self.log()}"
            assert self._process.poll() is None, f"the helpdesk ended:\n{self.log()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it; who asks it then finds nobody. Stopping what is stopped does nothing."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_STOP_SECONDS)
            self._process = None

    def close(self) -> None:
        self.stop()
        for client in (self._visitor, self._api, *self._staff.values()):
            client.close()

    def log(self) -> str:
        return (self._directory / "log").read_text(encoding="utf-8", errors="replace")

    def submit_form(self, ticket: Ticket) -> int | None:
        """Send the public form, as a customer does, and return the ticket's number.

        None if that failed in the end, as it does when the webhook finds nobody; the ticket is there all the same.
        """
        self._visitor.cookies.clear()
        self._visitor.get("/tickets/submit/").raise_for_status()
        fields = {
            "csrfmiddlewaretoken": self._visitor.cookies["csrftoken"],
            "queue": ticket.queue,
            "title": ticket.title,
            "body": ticket.description,
            "priority": ticket.priority,
            "submitter_email": ticket.email,
        }
        answer = self._visitor.post("/tickets/submit/", data=fields)
        if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
            return None
        assert answer.status_code == httpx.codes.FOUND, answer.text
        return int(parse_qs(urlsplit(answer.headers["Location"]).query)["ticket"][0].rpartition("-")[2])

    def submit_api(self, ticket: Ticket) -> int | None:
        """Send a ticket as a program of the helpdesk's owner does; returns what ``submit_form`` does."""
        fields = {
            "queue": ticket.queue,
            "title": ticket.title,
            "description": ticket.description,
            "priority": ticket.priority,
            "submitter_email": ticket.email,
        }
        answer = self._api.post(f"{self.url}/api/tickets/", json=fields)
        if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
            return None
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return int(answer.json()["id"])

    def update(self, number: int, *, person: str = PEOPLE[0], **changes: int | str) -> None:
        """Change a ticket on its page, as staff do: ``priority``, ``queue``, ``new_status``, ``comment``.

        The page writes a follow-up, and calls the webhook; if that finds nobody, they see an error, and it is done.
        """
        present = self.ticket(number)
        fields = {name: present[name] for name in ("title", "queue", "priority")} | changes
        self._post_as(person, f"/tickets/{number}/update/", fields)

    def edit(self, number: int, *, person: str = PEOPLE[0], **changes: int | str) -> None:
        """Change ``priority`` or ``queue`` on the page "Edit", which writes no follow-up and calls no webhook."""
        present = self.ticket(number)
        names = ("title", "queue", "priority", "description", "submitter_email")
        fields = {name: present[name] or "" for name in names} | {"secret_key": "unchanged"} | changes
        self._post_as(person, f"/tickets/{number}/edit/", fields)

    def close_in_bulk(self, numbers: list[int], *, person: str = PEOPLE[0]) -> None:
        """Close tickets from the list of tickets, which writes follow-ups and calls no webhook."""
        self._post_as(person, "/tickets/update/", {"ticket_id": numbers, "action": "close"})

    def ticket(self, number: int) -> dict[str, Any]:
        answer = self._api.get(f"{self.url}/api/tickets/{number}/").raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def tickets(self) -> dict[int, dict[str, Any]]:
        """Return every ticket by its number, each with its follow-ups in ``followup_set``."""
        return {ticket["id"]: ticket for ticket in self._pages("/api/tickets/")}

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        url: str | None = f"{self.url}{path}?page_size={_PAGE_SIZE}"
        while url is not None:
            page = self._api.get(url).raise_for_status().json()
            yield from page["results"]
            url = page["next"]

    def _post_as(self, person: str, path: str, fields: dict[str, Any]) -> None:
        client = self._signed_in(person)
        answer = client.post(path, data={**fields, "csrfmiddlewaretoken": client.cookies["csrftoken"]})
        # A form that is not accepted is shown again, with 200.
        assert answer.status_code in {httpx.codes.FOUND, httpx.codes.INTERNAL_SERVER_ERROR}, answer.text

    def _signed_in(self, person: str) -> httpx.Client:
        if person not in self._staff:
            client = self._staff[person] = httpx.Client(base_url=self.url, timeout=30)
            client.get("/login/").raise_for_status()
            fields = {"username": person, "password": password_of(person)}
            answer = client.post("/login/", data={**fields, "csrfmiddlewaretoken": client.cookies["csrftoken"]})
            assert answer.status_code == httpx.codes.FOUND, answer.text
        return self._staff[person]

    def _answers(self) -> bool:
        try:
            return self._api.get(f"{self.url}/api/", timeout=5).is_success
        except httpx.TransportError:
            return False

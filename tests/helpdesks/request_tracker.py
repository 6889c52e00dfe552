"""Request Tracker as a process of its own, with what customers, staff and programs do there."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.processes import ROOT, free_port

# Where Debian's packages have them.
_SERVER = Path("/usr/share/request-tracker5/libexec/rt-server")
_SETUP = Path("/usr/sbin/rt-setup-database-5")
_INITIAL_DATA = Path(__file__).parent / "request_tracker_site" / "initialdata.pl"
_SCRIP = ROOT / "deploy" / "request-tracker"
_START_SECONDS = 60
_STOP_SECONDS = 30
_SETUP_SECONDS = 240
_DATABASE = "rt.sqlite3"
# Of the program, as Request Tracker made it.
_TOKEN = "token"

QUEUES = ("General", "Tech Support", "Billing", "Sales")
PEOPLE = ("ada", "grace")
PROGRAM = "classifier"
# May see everything and change nothing.
ONLOOKER = "onlooker"

_CONFIGURATION = """
Set($rtname, 'desk.example');
Set($Organization, 'desk.example');
Set($DatabaseType, 'SQLite');
Set($DatabaseName, '{directory}/rt.sqlite3');
Set($WebDomain, '127.0.0.1');
Set($WebPort, {port});
Set($WebPath, '');
Set($Timezone, 'UTC');
Set($LogToSyslog, undef);
Set($LogToSTDERR, 'warning');
# By default each call takes 0.3 s to look at the password.
Set($BcryptCost, 4);
# E-mails become files of the directory for temporary files.
Set($MailCommand, 'testfile');
Set($MasonDataDir, '{directory}/mason');
Set($MasonSessionDir, '{directory}/sessions');
{webhook}
1;
"""
_WEBHOOK = """
Set($TicketClassifierUrl, '{url}');
Set($TicketClassifierSecret, '{secret}');
"""


def missing() -> str | None:
    """Say what is missing for a Request Tracker here; None if nothing is."""
    if _SERVER.exists() and _SETUP.exists():
        return None
    return "Request Tracker is not installed (Debian: apt-get install request-tracker5 rt5-standalone rt5-db-sqlite)"


def password_of(user: str) -> str:
    return f"password of {user}"


def prepare(directory: Path) -> None:
    """Make a database with the first queues, users and the scrip, and the program's token, in a directory."""
    environment = _configure(directory, port=1)
    for action in (("init",), ("insert", "--datafile", str(_INITIAL_DATA))):
        subprocess.run(
            [_SETUP, "--force", "--dba-password", "", "--action", *action],
            check=True,
            timeout=_SETUP_SECONDS,
            env={**environment, "REQUEST_TRACKER_SCRIP": str(_SCRIP), "REQUEST_TRACKER_TOKEN": str(directory / _TOKEN)},
            capture_output=True,
        )


def copy(prepared: Path, directory: Path) -> None:
    """Make ``directory`` what another one was made by ``prepare``."""
    directory.mkdir()
    for name in (_DATABASE, _TOKEN):
        shutil.copy(prepared / name, directory)


def _configure(directory: Path, *, port: int, webhook: str = "") -> dict[str, str]:
    """Write the configuration of a site in ``directory``, and return the environment in which it holds."""
    for name in ("mason", "sessions", "configuration", "temporary"):
        (directory / name).mkdir(exist_ok=True)
    path = directory / "RT_SiteConfig.pm"
    path.write_text(_CONFIGURATION.format(directory=directory, port=port, webhook=webhook), encoding="utf-8")
    return {
        **os.environ,
        "RT_SITE_CONFIG": str(path),
        # So that nothing of the machine's own configuration is read.
        "RT_SITE_CONFIG_DIR": str(directory / "configuration"),
        "TMPDIR": str(directory / "temporary"),
    }


class RequestTracker:
    """One site on a free port of the loopback address, in a directory with a database, which outlives a stop.

    ``webhook_url`` is told by the scrip of ``deploy/request-tracker``, signed with ``webhook_secret``.
    """

    def __init__(self, directory: Path, *, webhook_url: str | None = None, webhook_secret: str = "") -> None:
        self._directory = directory
        self.webhook_url = webhook_url
        self._webhook_secret = webhook_secret
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[str, httpx.Client] = {}

    def start(self) -> None:
        assert self._process is None
        port = urlsplit(self.url).port
        assert port is not None
        webhook = _WEBHOOK.format(url=self.webhook_url, secret=self._webhook_secret) if self.webhook_url else ""
        environment = _configure(self._directory, port=port, webhook=webhook)
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # Of two that want to write at once, one has to wait in a worker of its own.
                [_SERVER, "--host", "127.0.0.1", "--port", str(port), "--max-workers", "3"],
                env=environment,
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
        for client in self._clients.values():
            client.close()

    @property
    def token(self) -> str:
        """The token of the program."""
        return (self._directory / _TOKEN).read_text(encoding="ascii")

    def log(self) -> str:
        return (self._directory / "log").read_text(encoding="utf-8", errors="replace")

    def receive_mail(self, message: EmailMessage, *, queue: str = "General") -> None:
        """Take in an e-mail of a customer, as the mail server hands it over."""
        fields = {"queue": queue, "action": "correspond", "SessionType": "REST"}
        # Not as text: what it was sent as must arrive.
        answer = httpx.post(
            f"{self.url}/REST/1.0/NoAuth/mail-gateway",
            data=fields,
            files={"message": ("", message.as_bytes())},
            timeout=60,
        )
        assert answer.text.startswith("ok"), f"{answer.text}\n{self.log()}"

    def create(self, subject: str, text: str, *, person: str = PEOPLE[0], **fields: object) -> int:
        """Make a ticket as staff do; ``fields`` are those of the API, as in ``Queue="Billing"``."""
        content = {"Queue": "General", "Subject": subject, "Content": text, **fields}
        return int(self.request("POST", "/ticket", content, person=person).json()["id"])

    def change(
        self, number: int, *, person: str = PEOPLE[0], etag: str | None = None, **fields: object
    ) -> httpx.Response:
        """Change a ticket as ``person``, if it still has ``etag``; the answer is 412 otherwise."""
        headers = {} if etag is None else {"If-Match": etag}
        return self.request("PUT", f"/ticket/{number}", fields, person=person, headers=headers, expected=(200, 412))

    def comment(self, number: int, text: str, *, person: str = PEOPLE[0]) -> None:
        """Add an internal note."""
        content = {"Content": text, "ContentType": "text/plain"}
        self.request("POST", f"/ticket/{number}/comment", content, person=person)

    def ticket(self, number: int, *, person: str = PEOPLE[0]) -> httpx.Response:
        """Return the answer to a question for a ticket, with its ETag."""
        return self.request("GET", f"/ticket/{number}", person=person)

    def tickets(self, query: str = "id > 0") -> list[dict[str, Any]]:
        """Return what a search finds, in TicketSQL: number, priority, status and the queue's name of each."""
        fields = {"fields": "Subject,Priority,Status,Queue", "fields[Queue]": "Name", "per_page": "100"}
        return self._pages("/tickets", {"query": query, "orderby": "id", **fields})

    def history(self, number: int) -> list[dict[str, Any]]:
        """Return what happened to a ticket, and who did it, oldest first."""
        fields = {"fields": "Type,Field,OldValue,NewValue,Creator", "per_page": "100", "orderby": "id"}
        return self._pages(f"/ticket/{number}/history", fields)

    def notes(self, number: int) -> list[str]:
        """Return the text of every internal note of a ticket, oldest first."""
        texts = []
        for transaction in self.history(number):
            if transaction["Type"] == "Comment":
                found = self._pages(f"/transaction/{transaction['id']}/attachments", {"fields": "Content"})
                texts += [attachment["Content"] for attachment in found]
        return texts

    def _pages(self, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = 1 + len(found) // 100
            items = self.request("GET", path, params={**query, "page": str(page)}).json()["items"]
            found += items
            if len(items) < 100:
                return found

    def request(
        self,
        method: str,
        path: str,
        content: Mapping[str, object] | None = None,
        *,
        person: str = PEOPLE[0],
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        expected: tuple[int, ...] = (200, 201),
    ) -> httpx.Response:
        """Ask the REST API as a user, and return the answer, whose status must be ``expected``."""
        if person not in self._clients:
            auth = (person, password_of(person))
            self._clients[person] = httpx.Client(base_url=f"{self.url}/REST/2.0", auth=auth, timeout=60)
        answer = self._clients[person].request(method, path, json=content, headers=headers, params=params)
        assert answer.status_code in expected, f"{answer.status_code}: {answer.text}\n{self.log()}"
        return answer

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/REST/2.0/rt", timeout=10).status_code == httpx.codes.UNAUTHORIZED
        except httpx.TransportError:
            return False

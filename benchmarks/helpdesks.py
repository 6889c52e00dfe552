"""Helpdesks for the pictures of the console: one that is written to, one to be tried, one that does not answer."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.connectors.servers.dialect import refused, running
from tests.connectors.servers.generic import Generic
from tests.processes import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.service import Service
    from data.generate_dataset import Ticket

_SECRET: Final = "a secret of these pictures"  # noqa: S105 - of a helpdesk on this machine
_NAMES: Final = ("support", "returns", "branch-office")
_TABLE: Final = """
[{name}]
type = "generic"
signature = "secret"
secret_env = "DESK_SECRET"
api_url = "{url}"
api_token_env = "DESK_SECRET"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
dry_run = {dry_run}
api = {{read = "/tickets/{{id}}", write = "/tickets/{{id}}", note = "/tickets/{{id}}/notes"}}
"""
# Of so many tickets one is refused by the helpdesk, and one has been given a value by somebody.
_REFUSED_EVERY: Final = 15
_SET_EVERY: Final = 7
_SEND_SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Helpdesks:
    """Helpdesks that a service with ``environment`` is connected to."""

    environment: Mapping[str, str]
    desk: Generic

    def tell(self, service: Service, tickets: Sequence[Ticket]) -> None:
        """Let them tell of tickets in turn, and of a thing that is none, and give the service time to answer."""
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)

        def deliver(name: str, content: object) -> None:
            connection.request("POST", f"/hooks/{name}", json.dumps(content), {"X-Webhook-Secret": _SECRET})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise RuntimeError(f"/hooks/{name} answered {answer.status}: {answer.read()!r}")
            answer.read()

        for number, ticket in enumerate(tickets):
            content = dict(self.desk.create(str(4_000 + number), title=ticket.title, description=ticket.description))
            if number % _REFUSED_EVERY == 0:
                self.desk.give(refused(422), method="PATCH", path=f"/{content['id']}$")
            if number % _SET_EVERY == 0:
                self.desk.tickets[str(content["id"])]["priority"] = "Low"
            deliver(_NAMES[number % len(_NAMES)], content)
        deliver(_NAMES[0], {"event": "ping"})
        connection.close()
        time.sleep(_SEND_SECONDS)


@contextmanager
def helpdesks(place: Path) -> Iterator[Helpdesks]:
    """Run them, with the file that connects them in ``place``."""
    desk, path = Generic(_SECRET), place / "connectors.toml"
    with running(desk) as url:
        urls = (url, url, f"http://127.0.0.1:{free_port()}")
        tables = (
            _TABLE.format(name=name, url=one, dry_run=str(name == _NAMES[1]).lower())
            for name, one in zip(_NAMES, urls, strict=True)
        )
        path.write_text("".join(tables), encoding="utf-8")
        yield Helpdesks({"CONNECTORS_FILE": str(path), "DESK_SECRET": _SECRET}, desk)

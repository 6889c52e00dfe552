"""The service in this process with one connector, whose background work a test lets run for as long as it wants."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from sqlalchemy import Table, select

from app.store.database import Database
from app.store.tables import deliveries, feedback, helpdesk_tickets, judgements, outbox, predictions
from tests.in_process import Service

SECRET = "the-secret-of-the-webhook"
TOKEN = "the-token-of-the-api"
# To the small model of the tests this is High and Billing, both ``auto``;
SURE = MappingProxyType({"title": "down", "description": "invoice"})
# this is High, ``auto``, and Tech Support, ``suggest``;
HALF_SURE = MappingProxyType({"title": "server", "description": "-"})
# and this is High and Billing, both ``suggest``.
UNSURE = MappingProxyType({"title": "invoice", "description": "quote"})


class ConnectedService:
    """A service with a connector called ``desk``; ``database`` is where it keeps what it does."""

    def __init__(self, service: Service, database: Database) -> None:
        self.service = service
        self.database = database

    def deliver(self, body: bytes, headers: Mapping[str, str], name: str = "desk") -> httpx.Response:
        """Post a delivery as a helpdesk does."""
        return self.service.request("POST", f"/hooks/{name}", content=body, headers=dict(headers))

    def settle(self, seconds: float = 10.0) -> None:
        """Let the service work until nothing waits in the outbox, or so long."""
        self.wait_until(lambda: not self.rows(outbox, state="waiting"), seconds=seconds)

    def wait_until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Let the service work until ``condition`` holds, or fail."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not so after {seconds:g} s"
            self.run(0.02)

    def run(self, seconds: float) -> None:
        """Let the service work for so long."""
        self.service.run(asyncio.sleep(seconds))

    def rows(self, table: Table, **values: object) -> list[dict[str, Any]]:
        """Return the rows of a table of the store, those with ``values``."""
        statement = select(table).filter_by(**values)
        with self.database.reading() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]

    def judged(self) -> list[tuple[str, str, str | None]]:
        """Return head, label and what had been predicted of every judgement, in order."""
        rows = sorted(self.rows(judgements), key=lambda row: (row["feedback_id"], row["head"]))
        return [(row["head"], row["label"], row["predicted_label"]) for row in rows]

    def tickets(self) -> list[dict[str, Any]]:
        return self.rows(helpdesk_tickets)

    def predictions(self) -> list[dict[str, Any]]:
        return self.rows(predictions)

    def feedback(self) -> list[dict[str, Any]]:
        return self.rows(feedback)

    def deliveries(self) -> list[dict[str, Any]]:
        return self.rows(deliveries)


StartConnected = Callable[..., ConnectedService]


@contextlib.contextmanager
def connecting(
    start_service: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StartConnected]:
    """Yield what starts a service with the table ``[desk]`` of the given text, and the usual secret and token."""

    def start(
        table: str, store_url: str = f"sqlite:///{tmp_path / 'store.db'}", **settings: object
    ) -> ConnectedService:
        monkeypatch.setenv("DESK_SECRET", SECRET)
        monkeypatch.setenv("DESK_TOKEN", TOKEN)
        path = tmp_path / "connectors.toml"
        path.write_text(f'[desk]\nsecret_env = "DESK_SECRET"\n{table}\n', encoding="utf-8")
        service = start_service(connectors_file=path, store_url=store_url, audit_share=0, **settings)
        # However slow the machine is, unless a test is about that.
        service.state["connectors"].receiver.answer_seconds = 60.0
        # One for all looks: making one takes longer than a look.
        return ConnectedService(service, stack.enter_context(closing(Database(store_url))))

    with contextlib.ExitStack() as stack:
        yield start

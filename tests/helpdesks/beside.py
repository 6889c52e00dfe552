"""The service beside a real helpdesk: started and stopped where that expects it, and what it keeps."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select

from app.models.classifier import Prediction
from app.store.database import Database
from app.store.tables import feedback, judgements, outbox, predictions
from tests.conftest import StartProcess
from tests.processes import ServiceProcess

# Of what the small model of the tests knows, so that it is sure of some and not of others: a title, and a description.
_WORDS = ("down", "invoice", "main", "offline", "price", "quote", "refund", "server", "users")
TEXTS = [*itertools.permutations(_WORDS, 2), *itertools.permutations(_WORDS, 3)][::2]
# A process that is stopped while it writes has a lease of a minute and a half.
_SETTLED_SECONDS = 240.0
Judged = Counter[tuple[int, str, str]]


class ServiceBeside:
    """``port`` is where the helpdesk expects the service, and ``directory`` where both keep what they do."""

    def __init__(self, port: int, directory: Path, start_process: StartProcess) -> None:
        self.port = port
        self.directory = directory
        self.service: ServiceProcess | None = None
        self._start_process = start_process

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.directory / 'store.db'}"

    def start_with(self, table: str, *, secret: str, token: str) -> None:
        """Start the service with one connector, whose table in TOML names DESK_SECRET and DESK_TOKEN."""
        path = self.directory / "connectors.toml"
        path.write_text(table, encoding="utf-8")
        self.service = self._start_process(
            port=self.port,
            CONNECTORS_FILE=str(path),
            STORE_URL=self.store_url,
            DESK_SECRET=secret,
            DESK_TOKEN=token,
            AUDIT_SHARE="0",
        )

    def stop_service(self) -> None:
        assert self.service is not None
        assert self.service.stop() == 0

    def waiting(self) -> set[int]:
        """Return the tickets that something is still to be written into."""
        return {int(row["ticket_ref"]) for row in self.rows(outbox) if row["state"] == "waiting"}

    def wait_for_answers(self, n_tickets: int) -> None:
        """Wait until so many tickets are answered, and nothing waits."""
        self.wait_until(lambda: len(self.rows(predictions)) >= n_tickets and not self.waiting())

    def rows(self, table: Table) -> list[dict[str, Any]]:
        with closing(Database(self.store_url)) as database, database.reading() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def judged(self) -> Judged:
        """Return ticket, head and label of every judgement, and how often it was made."""
        ref_of = {row["prediction_id"]: row["ticket_id"].removeprefix("desk:") for row in self.rows(predictions)}
        ticket_of = {row["feedback_id"]: int(ref_of[row["prediction_id"]]) for row in self.rows(feedback)}
        return Counter((ticket_of[row["feedback_id"]], row["head"], row["label"]) for row in self.rows(judgements))

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _SETTLED_SECONDS
        while not condition():
            assert time.monotonic() < deadline, self.service and self.service.log()[-5000:]
            time.sleep(0.5)


def set_alone(answer: Prediction) -> dict[str, str]:
    """Return the labels that the service sets by itself."""
    return {head: each.label for head, each in answer.heads.items() if each.decision == "auto"}


def expected_note(answer: Prediction) -> list[str]:
    """Return the lines of the only note, without its first and its last one; nothing if there is to be none."""
    suggested = {head: each for head, each in answer.heads.items() if each.decision == "suggest"}
    return [f"{head.capitalize()}: {each.label} ({each.confidence:.0%} sure)" for head, each in suggested.items()]

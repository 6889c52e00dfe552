"""What a ticket takes in the store, in SQLite and in Postgres, without its text and with it."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing

from sqlalchemy import Connection, func, select, text

from app.store.database import Database
from app.store.tables import predictions
from benchmarks.empty_stores import STORES, empty_store
from benchmarks.measuring import Figure, Subject
from benchmarks.service import Service, running_service

_N_BATCHES = 50
_PER_BATCH = 100
_WRITTEN_SECONDS = 60
_PAUSE_SECONDS = 0.05
_TEXTS = {"none": "without its text", "all": "with its text"}
_SIZES = {
    "sqlite": text("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"),
    "postgresql": text("SELECT pg_database_size(current_database())"),
}


def measure(subject: Subject) -> list[Figure]:
    """Return the bytes a ticket; they are the same in every round, so there is one."""
    return [
        Figure(f"store, a ticket {said} ({kind})", "bytes", (_bytes_a_ticket(subject, kind=kind, kept_text=kept),))
        for kind in STORES
        for kept, said in _TEXTS.items()
    ]


def _bytes_a_ticket(subject: Subject, *, kind: str, kept_text: str) -> float:
    """Return by how much the database grows from so many tickets to twice as many."""
    with empty_store(kind) as store, closing(Database(store.url)) as database:
        environment = {"STORE_URL": store.url, "STORE_TEXT": kept_text}
        with running_service(subject.model_directory.parent, environment=environment) as service:
            sizes = []
            for turn in (1, 2):
                _classify(service, subject)
                sizes.append(_size_with(database, n_tickets=turn * _N_BATCHES * _PER_BATCH))
    return (sizes[1] - sizes[0]) / (_N_BATCHES * _PER_BATCH)


def _classify(service: Service, subject: Subject) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    tickets = [
        {"title": ticket.title[:300], "description": ticket.description[:20_000], "ticket_id": f"ticket-{number}"}
        for number, ticket in enumerate((list(subject.tickets) * _PER_BATCH)[:_PER_BATCH])
    ]
    for _ in range(_N_BATCHES):
        connection.request(
            "POST", "/classify/batch", json.dumps({"tickets": tickets}), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"/classify/batch answered {answer.status}")
    connection.close()


def _size_with(database: Database, *, n_tickets: int) -> int:
    deadline = time.monotonic() + _WRITTEN_SECONDS
    while True:
        with database.reading() as connection:
            if _count(connection) == n_tickets:
                return int(connection.execute(_SIZES[database.kind]).scalar_one())
        if time.monotonic() > deadline:
            raise TimeoutError(f"{n_tickets} answers were not stored within {_WRITTEN_SECONDS} s")
        time.sleep(_PAUSE_SECONDS)


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(predictions)).scalar_one()

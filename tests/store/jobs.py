"""Rows of the outbox and of deliveries for tests, as connectors would have left them."""

from __future__ import annotations

import json

from sqlalchemy import insert

from app.store.database import Database
from app.store.tables import deliveries, outbox
from tests.stored import id_of

CONTENT = json.dumps(
    {"prediction_id": id_of(0), "set": {"priority": "High"}, "suggest": {"department": ["Sales", 0.6]}}
)


def add_job(database: Database, state: str = "done", *, at_ms: int, **values: object) -> str:
    """Add a job that was wanted then; ``values`` are columns that matter."""
    job_id = id_of(at_ms)
    row = {
        "job_id": job_id,
        "connector": "desk",
        "ticket_ref": "7",
        "kind": "write",
        "content": CONTENT,
        "state": state,
        "n_attempts": 1,
        "wanted_ms": at_ms,
        "due_ms": at_ms,
        "leased_until_ms": 0,
        "finished_ms": None if state == "waiting" else at_ms + 1,
        "result": None,
        **values,
    }
    with database.writing() as connection:
        connection.execute(insert(outbox).values(row))
    return job_id


def add_delivery(database: Database, outcome: str = "classified", *, at_ms: int, **values: object) -> None:
    """Add a delivery; ``values`` are columns that matter."""
    row = {"connector": "desk", "content_key": id_of(at_ms), "received_ms": at_ms, "outcome": outcome, **values}
    with database.writing() as connection:
        connection.execute(insert(deliveries).values(row))

"""Records of answers as the service makes them, and what is in the tables afterwards, for tests of the store."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from app.store.database import Database, StoreUnavailableError
from app.store.ids import milliseconds_of, new_id
from app.store.prediction_records import Record
from app.store.tables import metadata

_SECONDS = 60
HEAD = {"label": "High", "confidence": 0.9, "decision": "auto", "reasons": [], "alternatives": []}


def record(
    *, worth: float | None = None, heads: Mapping[str, Mapping[str, object]] | None = None, **members: object
) -> Record:
    """Return a record, of a ticket without text unless ``members`` have it."""
    prediction_id = new_id()
    document = {
        "received_ms": milliseconds_of(prediction_id),
        "model_digest": "0123456789ab",
        "is_audit": False,
        "asked_chance": 0.05,
        "prediction_id": prediction_id,
        "ticket_id": None,
        "model_version": "1.0.0",
        "predictions": {name: {**HEAD, **head} for name, head in (heads or {"priority": {}}).items()},
        **members,
    }
    return Record(prediction_id, worth, json.dumps(document, ensure_ascii=False))


def rows(database: Database, table: str) -> Sequence[Mapping[str, Any]]:
    """Return the rows of ``table``, those that were made first first."""
    columns = metadata.tables[table]
    with database.reading() as connection:
        return connection.execute(select(columns).order_by(*columns.primary_key)).mappings().all()


def count(database: Database, table: str) -> int:
    with database.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(metadata.tables[table])).scalar_one())


def wait_for_count(database: Database, table: str, expected: int) -> None:
    """Wait until ``table`` has so many rows, which other threads or processes write."""
    deadline = time.monotonic() + _SECONDS
    found = -1
    while found != expected:
        assert time.monotonic() < deadline, f"{table} has {found} rows after {_SECONDS} s, expected {expected}"
        try:
            found = count(database, table)
        except StoreUnavailableError:
            found = -1
        time.sleep(0.02)

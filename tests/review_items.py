"""Tickets in the review queue, put there as the writer leaves them, for tests of whoever looks at the queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert

from app.store.database import Database
from app.store.ids import milliseconds_of, new_id
from app.store.tables import answers, predictions, review_items


@dataclass(frozen=True)
class Item:
    """A ticket, with label and decision by head, and its place in the queue."""

    rank: float = 0.0
    is_audit: bool = False
    heads: Mapping[str, tuple[str, str]] = field(
        default_factory=lambda: {"priority": ("High", "suggest"), "department": ("Sales", "auto")}
    )
    title: str | None = "Server is down"
    description: str = "All users are affected"
    ticket_id: str | None = None
    is_open: bool = True
    prediction_id: str = field(default_factory=new_id)


def put_in_queue(database: Database, items: Iterable[Item]) -> list[str]:
    """Insert ``items`` and return their ids."""
    items = list(items)
    with database.writing() as connection:
        connection.execute(insert(predictions), [_prediction(item) for item in items])
        connection.execute(insert(answers), [row for item in items for row in _answers(item)])
        connection.execute(
            insert(review_items),
            [
                {
                    "prediction_id": item.prediction_id,
                    "rank": item.rank,
                    "is_open": item.is_open,
                    "reviewer": None,
                    "leased_until_ms": 0,
                }
                for item in items
            ],
        )
    return [item.prediction_id for item in items]


def _prediction(item: Item) -> dict[str, Any]:
    return {
        "prediction_id": item.prediction_id,
        "ticket_id": item.ticket_id,
        "received_ms": milliseconds_of(item.prediction_id),
        "model_version": "1.0.0",
        "model_digest": "0" * 12,
        "is_audit": item.is_audit,
        "asked_chance": 0.05 if item.is_audit else 1.0,
        "title": item.title,
        "description": None if item.title is None else item.description,
        "customer_email": None,
    }


def _answers(item: Item) -> list[dict[str, Any]]:
    return [
        {
            "prediction_id": item.prediction_id,
            "head": head,
            "label": label,
            "confidence": 0.5,
            "decision": decision,
            "reasons": "[]" if decision == "auto" else '["low_confidence"]',
            "alternatives": '[{"label":"Low","confidence":0.25}]',
        }
        for head, (label, decision) in item.heads.items()
    ]

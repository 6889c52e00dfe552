"""Rows of a store for tests: predictions as the service would have written them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert, select

from app.store.database import Database
from app.store.ids import milliseconds_of, new_id
from app.store.tables import answers, feedback, judgements, predictions, review_items

LABELS = {"priority": ("High", "Low", "Medium", "Urgent"), "department": ("Billing", "Sales", "Tech Support")}


def id_of(milliseconds: int) -> str:
    """Return an id that was made at that time."""
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}{new_id()[13:]}"


def add_prediction(
    database: Database,
    *,
    prediction_id: str | None = None,
    ticket_id: str | None = None,
    heads: Mapping[str, tuple[str, str]] = {"priority": ("High", "suggest")},
    is_audit: bool = False,
    texts: tuple[str | None, str | None, str | None] = ("a title", "a description", "mia@example.com"),
) -> str:
    """Add an answer; ``heads`` are labels and decisions. It is in the review queue as the service would have put it."""
    prediction_id = prediction_id or new_id()
    is_asked = any(decision != "auto" for _, decision in heads.values())
    title, description, customer_email = texts
    row = {
        "prediction_id": prediction_id,
        "ticket_id": ticket_id,
        "received_ms": milliseconds_of(prediction_id),
        "model_version": "1.0.0",
        "model_digest": "0123456789ab",
        "is_audit": is_audit,
        "asked_chance": 1.0 if is_asked else 0.05,
        "title": title,
        "description": description,
        "customer_email": customer_email,
    }
    of_heads = [
        {
            "prediction_id": prediction_id,
            "head": head,
            "label": label,
            "confidence": 0.75,
            "decision": decision,
            "reasons": "[]",
            "alternatives": json.dumps([{"label": "Elsewhere", "confidence": 0.1}]),
        }
        for head, (label, decision) in heads.items()
    ]
    with database.writing() as connection:
        connection.execute(insert(predictions), row)
        connection.execute(insert(answers), of_heads)
        if is_asked or is_audit:
            item = {"prediction_id": prediction_id, "rank": -0.5, "is_open": True, "leased_until_ms": 0}
            connection.execute(insert(review_items), item)
    return prediction_id


def rows_of(database: Database, table: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any of the tables
    with database.reading() as connection:
        return [dict(row) for row in connection.execute(select(table)).mappings()]


def is_open(database: Database, prediction_id: str) -> bool:
    with database.reading() as connection:
        query = select(review_items.c.is_open).where(review_items.c.prediction_id == prediction_id)
        return bool(connection.execute(query).scalar_one())


def counting_label(database: Database, prediction_id: str, head: str) -> str | None:
    """Return the label of the latest judgement that was not taken back."""
    with database.reading() as connection:
        return connection.execute(
            select(judgements.c.label)
            .join(feedback, feedback.c.feedback_id == judgements.c.feedback_id)
            .where(
                feedback.c.prediction_id == prediction_id,
                judgements.c.head == head,
                feedback.c.taken_back_ms.is_(None),
            )
            .order_by(feedback.c.feedback_id.desc())
            .limit(1)
        ).scalar_one_or_none()

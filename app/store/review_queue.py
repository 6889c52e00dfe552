"""The review queue: what comes next, who has it, and what was answered. Why one is worth more is not known here."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import case, literal, select, text, tuple_, update

from app.store.tables import answers, feedback, predictions, review_items

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select

    from app.store.database import Database

State = Literal["open", "judged"]
Order = Literal["value", "newest", "oldest"]

LEASE_MS: Final = 600_000

# As the partial indexes say it: SQLite compares the words.
_IS_OPEN: Final = text("is_open")
_IS_CLOSED: Final = text("NOT is_open")


@dataclass(frozen=True, slots=True)
class Filters:
    """An answer that an item must have: of this head, with this label and this decision, as far as they are given."""

    head: str | None = None
    label: str | None = None
    decision: str | None = None


@dataclass(frozen=True, slots=True)
class Position:
    """An item's place in any order."""

    rank: float
    prediction_id: str


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """A ticket of the queue. ``predictions`` are by head, as in the answer; None while a reviewer may not know them."""

    prediction_id: str
    ticket_id: str | None
    title: str | None
    description: str | None
    received_ms: int
    is_audit: bool
    predictions: Mapping[str, Mapping[str, Any]] | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some items in order, and the last of them if there are more."""

    items: Sequence[ReviewItem]
    end: Position | None


def review_page(
    database: Database,
    *,
    filters: Filters,
    state: State = "open",
    order: Order = "value",
    limit: int = 50,
    after: Position | None = None,
) -> Page:
    """Return at most ``limit`` items. What is judged is worth nothing any more: by value, the newest come first there.

    An audit that is not judged has no answer that a reviewer may know, so no filter finds it. A page goes on after an
    item, not after a number of them: none is left out because others were judged meanwhile.
    """
    columns = review_items.c
    statement = select(columns.prediction_id, columns.rank)
    if state == "open":
        statement = statement.where(_IS_OPEN)
    else:
        statement = statement.where(_IS_CLOSED, _is_judged())
        order = "newest" if order == "value" else order
    if filters != Filters():
        statement = statement.where(has_answer(filters))
        if state == "open":
            statement = statement.where(~is_audit())
    with database.reading() as connection:
        rows = connection.execute(_ordered(statement, order, after).limit(limit + 1)).all()
        shown = [Position(row.rank, row.prediction_id) for row in rows[:limit]]
        items = items_of(connection, [place.prediction_id for place in shown], shows_audits=state == "judged")
    return Page(items, shown[-1] if len(rows) > limit else None)


def claim_items(database: Database, *, reviewer: str, count: int, now_ms: int) -> list[ReviewItem]:
    """Lease the next items that nobody has to ``reviewer`` until ``now_ms + LEASE_MS``, and return them.

    A lease that is lost with the machine is none that anybody relies on: its items are given out again.
    """
    with database.writing(durable=False) as connection:
        return items_of(connection, claim_free(connection, reviewer, count, now_ms), shows_audits=False)


def claim_free(connection: Connection, reviewer: str, count: int, now_ms: int) -> list[str]:
    """Lease the next items that nobody has, as a part of a transaction; return their predictions."""
    columns = review_items.c
    free = (
        select(columns.prediction_id)
        .where(_IS_OPEN, columns.leased_until_ms <= now_ms)
        .order_by(columns.rank, columns.prediction_id)
        .limit(count)
        # SQLite knows no locks of rows, and lets only one transaction at a time write.
        .with_for_update(skip_locked=True)
    )
    prediction_ids = list(connection.execute(free).scalars())
    connection.execute(
        update(review_items)
        .where(columns.prediction_id.in_(prediction_ids))
        .values(reviewer=reviewer, leased_until_ms=now_ms + LEASE_MS)
    )
    return prediction_ids


def skip_item(database: Database, prediction_id: str, *, reviewer: str) -> bool:
    """Put an item behind all that are open; return False if it was never in the queue.

    Its lease ends, unless another reviewer has it.
    """
    with database.writing(durable=False) as connection:
        return skip_within(connection, prediction_id, reviewer=reviewer)


def skip_within(connection: Connection, prediction_id: str, *, reviewer: str) -> bool:
    """Do so as a part of a transaction."""
    columns = review_items.c
    last = select(columns.rank).where(_IS_OPEN).order_by(columns.rank.desc()).limit(1).scalar_subquery()
    values = {
        # What has not been skipped is at most 0.
        "rank": case((last > 0, last), else_=0) + 1,
        "leased_until_ms": case((columns.reviewer == reviewer, 0), else_=columns.leased_until_ms),
    }
    statement = update(review_items).where(columns.prediction_id == prediction_id).values(values)
    return connection.execute(statement).rowcount > 0


def lock_items(connection: Connection, prediction_ids: Iterable[str | None]) -> None:
    """Let judgements of the same predictions, and taking them back, wait for each other."""
    is_judged = review_items.c.prediction_id.in_([one for one in prediction_ids if one is not None])
    in_order = select(review_items.c.prediction_id).where(is_judged).order_by(review_items.c.prediction_id)
    connection.execute(in_order.with_for_update()).all()


def _ordered(statement: Select[Any], order: Order, after: Position | None) -> Select[Any]:
    columns = review_items.c
    if order == "value":
        if after is not None:
            end = tuple_(literal(after.rank), literal(after.prediction_id))
            statement = statement.where(tuple_(columns.rank, columns.prediction_id) > end)
        return statement.order_by(columns.rank, columns.prediction_id)
    by_id = columns.prediction_id
    if after is not None:
        statement = statement.where(by_id > after.prediction_id if order == "oldest" else by_id < after.prediction_id)
    return statement.order_by(by_id if order == "oldest" else by_id.desc())


def has_answer(filters: Filters) -> ColumnElement[bool]:
    asked = {"head": filters.head, "label": filters.label, "decision": filters.decision}
    is_it = [answers.c[name] == value for name, value in asked.items() if value is not None]
    return select(answers.c.head).where(answers.c.prediction_id == review_items.c.prediction_id, *is_it).exists()


def is_audit() -> ColumnElement[bool]:
    is_it = predictions.c.prediction_id == review_items.c.prediction_id
    return select(predictions.c.prediction_id).where(is_it, predictions.c.is_audit).exists()


def _is_judged() -> ColumnElement[bool]:
    is_it = feedback.c.prediction_id == review_items.c.prediction_id
    return select(feedback.c.feedback_id).where(is_it, feedback.c.taken_back_ms.is_(None)).exists()


def items_of(connection: Connection, prediction_ids: Sequence[str], *, shows_audits: bool) -> list[ReviewItem]:
    """Return the items in the order of ``prediction_ids``, without what was deleted meanwhile."""
    columns = predictions.c
    heads: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in connection.execute(select(answers).where(answers.c.prediction_id.in_(prediction_ids))):
        heads[row.prediction_id][row.head] = {
            "label": row.label,
            "confidence": row.confidence,
            "decision": row.decision,
            "reasons": json.loads(row.reasons),
            "alternatives": json.loads(row.alternatives),
        }
    rows = connection.execute(
        select(
            columns.prediction_id,
            columns.ticket_id,
            columns.title,
            columns.description,
            columns.received_ms,
            columns.is_audit,
        ).where(columns.prediction_id.in_(prediction_ids))
    )
    items = {
        row.prediction_id: ReviewItem(
            *row, predictions=heads[row.prediction_id] if shows_audits or not row.is_audit else None
        )
        for row in rows
    }
    return [items[prediction_id] for prediction_id in prediction_ids if prediction_id in items]

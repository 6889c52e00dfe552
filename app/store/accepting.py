"""All answers of a filter accepted at once: how many there are, how many are expected to be wrong, and doing it.

Nobody reads them one by one, so what is recorded says so (``accepted_together``). Audits are never among them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, or_, select, text

from app.store.feedback import Judge, record_within
from app.store.judgement import Recorded, Remark
from app.store.review_queue import Filters, has_answer, is_audit
from app.store.tables import answers, feedback, judgements, review_items
from app.store.taking_back import take_back_within

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Select

    from app.store.database import Database
    from app.store.review_desk import Desk

MAX_TOGETHER: Final = 5_000
# In one transaction, while which nobody else writes into SQLite.
MAX_AT_ONCE: Final = 100
# What arrived later may have neighbours that are still on their way into the store.
_SETTLED_MS: Final = 5_000
# Judgements that are looked at to say how answers of the kind fared.
_MAX_LOOKED_AT: Final = 5_000
_IS_OPEN: Final = text("is_open")
_KEY_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class HeadForecast:
    """What is known of the answers of one head: how many are wrong if confidences are right, and what people found."""

    head: str
    n_answers: int
    n_wrong: float
    # Of like tickets that people read.
    n_judged: int
    n_right: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """How many tickets fit a filter; ``until`` is the last of them, None if there is none.

    There may be more than ``MAX_TOGETHER``, which ``is_cut`` says.
    """

    n_tickets: int
    until: str | None
    is_cut: bool
    heads: tuple[HeadForecast, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """What is accepted: at most ``n_tickets`` of a filter, none that is later than ``until``; ``key`` is the request's.

    The same key again accepts none twice, also after it was taken back.
    """

    filters: Filters
    until: str
    n_tickets: int
    key: str


@dataclass(frozen=True, slots=True)
class Part:
    """What one step did, and whether more is to do."""

    n_tickets: int
    is_last: bool


@dataclass(frozen=True, slots=True)
class Batch:
    """Judgements that were given together and may be taken back together."""

    key: str
    n_tickets: int
    received_ms: int


def together_key(identity: str, request: str) -> str:
    """Return the key of a request of one caller, which no other caller's request has."""
    return hashlib.sha256(f"{identity}\n{request}".encode()).hexdigest()[:_KEY_DIGITS]


def forecast(database: Database, filters: Filters, desk: Desk) -> Forecast:
    """Return what accepting all that fits ``filters`` would mean; the confidences are calibrated probabilities."""
    with database.reading() as connection:
        fitting = _fitting(filters, desk).limit(MAX_TOGETHER + 1)
        prediction_ids = list(connection.execute(fitting).scalars())
        is_cut = len(prediction_ids) > MAX_TOGETHER
        del prediction_ids[MAX_TOGETHER:]
        until = prediction_ids[-1] if prediction_ids else None
        chosen = _fitting(filters, desk).where(review_items.c.prediction_id <= (until or "")).subquery()
        rows = connection.execute(
            select(answers.c.head, func.count(), func.sum(1 - answers.c.confidence))
            .join(chosen, chosen.c.prediction_id == answers.c.prediction_id)
            .group_by(answers.c.head)
            .order_by(answers.c.head)
        ).all()
        found = _found(connection, filters) if rows else {}
    heads = tuple(
        HeadForecast(head, int(n_answers), float(n_wrong), *found.get(head, (0, 0)))
        for head, n_answers, n_wrong in rows
    )
    return Forecast(len(prediction_ids), until, is_cut, heads)


def accept_some(
    database: Database, together: Together, desk: Desk, *, judge: Judge, keeps_text: bool, max_rows: int = MAX_AT_ONCE
) -> Part:
    """Accept the answers of the next tickets, durably; what is done already is not done again."""
    with database.writing() as connection:
        left = together.n_tickets - _n_under(connection, together.key)
        due = (
            _fitting(together.filters, desk)
            .where(review_items.c.prediction_id <= together.until)
            .limit(max(0, min(left, max_rows)))
            .with_for_update(skip_locked=True)
        )
        prediction_ids = list(connection.execute(due).scalars())
        remarks = _remarks(connection, prediction_ids, together.key, desk)
        outcomes = record_within(connection, database.kind, remarks, judge=judge, keeps_text=keeps_text)
    n_kept = sum(isinstance(outcome, Recorded) for outcome in outcomes)
    return Part(n_kept, is_last=n_kept == 0 or n_kept >= left)


def take_some_back(database: Database, key: str, *, now_ms: int, keeps_text: bool, max_rows: int = MAX_AT_ONCE) -> Part:
    """Take back the next judgements that were given under ``key``, durably."""
    columns = feedback.c
    with database.writing() as connection:
        due = select(columns.feedback_id).where(_is_under(key), columns.taken_back_ms.is_(None)).limit(max_rows)
        feedback_ids = list(connection.execute(due).scalars())
        take_back_within(connection, feedback_ids, now_ms=now_ms, keeps_text=keeps_text)
    return Part(len(feedback_ids), is_last=len(feedback_ids) < max_rows)


def batches_of(database: Database, reviewer: str | None, *, since_ms: int) -> list[Batch]:
    """Return what a reviewer accepted together since then and may take back, the latest first."""
    columns = feedback.c
    key = func.substr(columns.idempotency_key, 1, _KEY_DIGITS)
    statement = (
        select(key, func.count(), func.max(columns.received_ms))
        .where(columns.received_ms >= since_ms, columns.accepted_together, columns.taken_back_ms.is_(None))
        # Keys are erased with texts.
        .where(columns.idempotency_key.is_not(None))
        .where(columns.reviewer.is_(None) if reviewer is None else columns.reviewer == reviewer)
        .group_by(key)
        .order_by(func.max(columns.received_ms).desc())
    )
    with database.reading() as connection:
        return [Batch(*row) for row in connection.execute(statement)]


def _fitting(filters: Filters, desk: Desk) -> Select[Any]:
    """Return the query for open tickets of a filter that are no audits, and that nobody else is reading."""
    columns = review_items.c
    return (
        select(columns.prediction_id)
        .where(_IS_OPEN, has_answer(filters), ~is_audit())
        .where(or_(columns.leased_until_ms <= desk.now_ms, columns.reviewer == desk.holder))
        .where(columns.prediction_id < _id_before(desk.now_ms - _SETTLED_MS))
        .order_by(columns.prediction_id)
    )


def _id_before(milliseconds: int) -> str:
    """Return what sorts before all ids that are made from then on."""
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def _remarks(connection: Connection, prediction_ids: Sequence[str], key: str, desk: Desk) -> list[Remark]:
    labels: dict[str, dict[str, str]] = {prediction_id: {} for prediction_id in prediction_ids}
    for row in connection.execute(select(answers).where(answers.c.prediction_id.in_(prediction_ids))):
        labels[row.prediction_id][row.head] = row.label
    return [
        Remark(
            labels=of_heads,
            source="review",
            prediction_id=prediction_id,
            reviewer=desk.reviewer,
            idempotency_key=key + hashlib.sha256(prediction_id.encode()).hexdigest()[:_KEY_DIGITS],
            accepted_together=True,
        )
        for prediction_id, of_heads in labels.items()
    ]


def _is_under(key: str) -> ColumnElement[bool]:
    # A range, which the index of the keys answers; all digits are hexadecimal.
    return and_(feedback.c.idempotency_key >= key, feedback.c.idempotency_key < f"{key}g")


def _n_under(connection: Connection, key: str) -> int:
    return connection.execute(select(func.count()).select_from(feedback).where(_is_under(key))).scalar_one()


def _found(connection: Connection, filters: Filters) -> Mapping[str, tuple[int, int]]:
    """Return for each head how many answers of tickets that fit ``filters`` people read, and how many were right."""
    columns = feedback.c
    latest = (
        select(columns.feedback_id, columns.prediction_id)
        .where(columns.taken_back_ms.is_(None), ~columns.accepted_together, columns.source != "helpdesk")
        .where(columns.prediction_id.is_not(None))
        .order_by(columns.received_ms.desc())
        .limit(_MAX_LOOKED_AT)
        .subquery()
    )
    asked = {
        judgements.c.head: filters.head,
        judgements.c.predicted_label: filters.label,
        judgements.c.predicted_decision: filters.decision,
    }
    is_it = [column == value for column, value in asked.items() if value is not None]
    fits = select(judgements.c.feedback_id).where(judgements.c.asked_chance.is_not(None), *is_it)
    rows = connection.execute(
        select(
            latest.c.prediction_id,
            judgements.c.head,
            (judgements.c.label == judgements.c.predicted_label).label("is_right"),
        )
        .join(latest, latest.c.feedback_id == judgements.c.feedback_id)
        .where(judgements.c.feedback_id.in_(fits), judgements.c.predicted_label.is_not(None))
        .order_by(judgements.c.feedback_id)
    )
    return _counted({(prediction_id, head): bool(is_right) for prediction_id, head, is_right in rows})


def _counted(is_right: Mapping[tuple[str, str], bool]) -> dict[str, tuple[int, int]]:
    by_head: dict[str, list[bool]] = {}
    for (_, head), right in is_right.items():
        by_head.setdefault(head, []).append(right)
    return {head: (len(rights), sum(rights)) for head, rights in by_head.items()}

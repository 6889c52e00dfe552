"""Judgements in the database, recorded once whoever repeats them; what they mean is not known here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, String, Text, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.errors import IDEMPOTENCY_MISMATCH, UNKNOWN_PREDICTION, ServiceError
from app.store.answered import find_answered
from app.store.ids import milliseconds_of, new_id
from app.store.judgement import Answered, Judgement, Recorded, Remark, agreed
from app.store.review_queue import lock_items
from app.store.tables import feedback, judgements, predictions, review_items

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection
    from sqlalchemy.sql.dml import Insert

    from app.store.database import Database, Kind

Judge = Callable[[Remark, Answered | None], tuple[Judgement, ...]]


def record(
    database: Database, remarks: Sequence[Remark], *, judge: Judge, keeps_text: bool, is_last: bool = True
) -> list[Recorded | ServiceError]:
    """Keep what was said, each remark by itself and all in one durable transaction; return what to answer, in order.

    A remark that ``judge`` refuses is answered by its ``ServiceError``, and one whose prediction is not there by
    ``UNKNOWN_PREDICTION``, unless ``is_last`` and it has a text.
    """
    with database.writing() as connection:
        return record_within(connection, database.kind, remarks, judge=judge, keeps_text=keeps_text, is_last=is_last)


def record_within(
    connection: Connection,
    kind: Kind,
    remarks: Sequence[Remark],
    *,
    judge: Judge,
    keeps_text: bool,
    is_last: bool = True,
) -> list[Recorded | ServiceError]:
    """Do what ``record`` does, as a part of a transaction."""
    outcomes: dict[int, Recorded | ServiceError] = {}
    earlier = _earlier(connection, remarks)
    found = find_answered(connection, remarks)
    drafts: dict[int, _Draft] = {}
    for index, (remark, answered) in enumerate(zip(remarks, found, strict=True)):
        if remark.idempotency_key in earlier:
            outcomes[index] = earlier[remark.idempotency_key].answer_to(remark)
            continue
        try:
            drafts[index] = _draft(remark, answered, judge, is_last=is_last)
        except ServiceError as error:
            outcomes[index] = error
    outcomes |= _keep(connection, kind, drafts, keeps_text=keeps_text)
    return [outcomes[index] for index in range(len(remarks))]


def are_written(database: Database, remarks: Sequence[Remark]) -> bool:
    """Return whether the predictions of all ``remarks`` are there."""
    with database.reading() as connection:
        return None not in find_answered(connection, remarks)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What is about to be kept."""

    feedback_id: str
    remark: Remark
    prediction_id: str | None
    ticket_id: str | None
    judgements: tuple[Judgement, ...]

    def row(self, *, keeps_text: bool) -> dict[str, Any]:
        remark, received_ms = self.remark, milliseconds_of(self.feedback_id)
        has_own_text = keeps_text and remark.title is not None
        return {
            "feedback_id": self.feedback_id,
            "prediction_id": self.prediction_id,
            "ticket_id": self.ticket_id,
            "received_ms": received_ms,
            "source": remark.source,
            "reviewer": remark.reviewer,
            "accepted_together": remark.accepted_together,
            "idempotency_key": remark.idempotency_key,
            "body_sha256": remark.body_sha256,
            "own_title": remark.title if has_own_text else None,
            "own_description": remark.description if has_own_text else None,
            "own_since_ms": received_ms if has_own_text or remark.idempotency_key is not None else None,
            # The prediction whose text is taken over.
            "source_id": self.prediction_id if keeps_text and not has_own_text else None,
        }


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What was kept under an idempotency key."""

    recorded: Recorded
    body_sha256: str | None

    def answer_to(self, remark: Remark) -> Recorded | ServiceError:
        """Return the first answer, or an error for another body; of an erased one nothing is known."""
        return self.recorded if self.body_sha256 in {None, remark.body_sha256} else ServiceError(IDEMPOTENCY_MISMATCH)


def _earlier(connection: Connection, remarks: Iterable[Remark]) -> dict[str | None, _Earlier]:
    keys = {remark.idempotency_key for remark in remarks if remark.idempotency_key is not None}
    if not keys:
        return {}
    columns = feedback.c
    of_feedback: dict[str, list[Judgement]] = defaultdict(list)
    rows = connection.execute(
        select(columns.idempotency_key, columns.feedback_id, columns.prediction_id, columns.body_sha256).where(
            columns.idempotency_key.in_(keys)
        )
    ).all()
    is_theirs = judgements.c.feedback_id.in_([row.feedback_id for row in rows])
    for row in connection.execute(select(judgements).where(is_theirs).order_by(judgements.c.head)):
        of_feedback[row.feedback_id].append(Judgement(*row[1:]))
    return {
        row.idempotency_key: _Earlier(
            Recorded(row.feedback_id, row.prediction_id, agreed(of_feedback[row.feedback_id])), row.body_sha256
        )
        for row in rows
    }


def _draft(remark: Remark, answered: Answered | None, judge: Judge, *, is_last: bool) -> _Draft:
    if answered is not None:
        return _Draft(new_id(), remark, answered.prediction_id, answered.ticket_id, judge(remark, answered))
    names_one = remark.prediction_id is not None or remark.ticket_id is not None
    if names_one and (remark.title is None or not is_last):
        raise ServiceError(UNKNOWN_PREDICTION)
    return _Draft(new_id(), remark, None, remark.ticket_id, judge(remark, None))


def _keep(
    connection: Connection, kind: Kind, drafts: Mapping[int, _Draft], *, keeps_text: bool
) -> dict[int, Recorded | ServiceError]:
    """Insert ``drafts``, and return what to answer to each."""
    if not drafts:
        return {}
    # Before anything else is locked, and in one order, so that two batches never wait for each other.
    lock_items(connection, [draft.prediction_id for draft in drafts.values()])
    connection.execute(_insertion(kind), [draft.row(keeps_text=keeps_text) for draft in drafts.values()])
    # Another worker may have been quicker with the same request.
    under_keys = _earlier(connection, [draft.remark for draft in drafts.values()])
    outcomes: dict[int, Recorded | ServiceError] = {}
    mine: list[_Draft] = []
    for index, draft in drafts.items():
        there = under_keys.get(draft.remark.idempotency_key)
        if there is None or there.recorded.feedback_id == draft.feedback_id:
            mine.append(draft)
            outcomes[index] = Recorded(draft.feedback_id, draft.prediction_id, agreed(draft.judgements))
        else:
            outcomes[index] = there.answer_to(draft.remark)
    _keep_judgements(connection, mine)
    return outcomes


def _keep_judgements(connection: Connection, drafts: Sequence[_Draft]) -> None:
    """Insert the judgements of ``drafts``, and close what they judge in the review queue."""
    rows = [
        {"feedback_id": draft.feedback_id, **asdict(judgement)} for draft in drafts for judgement in draft.judgements
    ]
    if rows:
        connection.execute(insert(judgements), rows)
    is_judged = review_items.c.prediction_id.in_([draft.prediction_id for draft in drafts])
    connection.execute(update(review_items).where(is_judged, review_items.c.is_open).values(is_open=False))


def _insertion(kind: Kind) -> Insert:
    """Return what inserts a draft's row; under a key that is there it does nothing.

    The text of the prediction is read by the insertion itself, because it may be erased by then.
    """
    of_source = predictions.c.prediction_id == bindparam("source_id", type_=String)
    values: dict[str, ColumnElement[Any]] = {
        name: func.coalesce(
            bindparam(f"own_{name}", type_=Text), select(predictions.c[name]).where(of_source).scalar_subquery()
        )
        for name in ("title", "description")
    }
    source_since_ms = select(predictions.c.received_ms).where(of_source, predictions.c.title.is_not(None))
    values["kept_since_ms"] = func.coalesce(
        source_since_ms.scalar_subquery(), bindparam("own_since_ms", type_=BigInteger)
    )
    dialect_insert = sqlite.insert if kind == "sqlite" else postgresql.insert
    return dialect_insert(feedback).values(values).on_conflict_do_nothing(index_elements=["idempotency_key"])

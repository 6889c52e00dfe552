"""A reviewer's desk in the console: which tickets lie on it, and what happens to one that is judged or put back.

What ``POST /review/claim`` gives out is never on a desk, and the other way round: both lease the same items.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, or_, select, text, update

from app.errors import ALREADY_JUDGED, LEASE_LOST, ServiceError
from app.store.feedback import Judge, record_within
from app.store.judgement import Recorded, Remark
from app.store.review_queue import LEASE_MS, ReviewItem, claim_free, items_of, lock_items, skip_within
from app.store.second_readings import (
    claim_readings,
    close_reading,
    held_readings,
    is_held,
    open_reading,
    renew_readings,
    rest_reading,
)
from app.store.tables import feedback, review_items
from app.store.taking_back import Lease, take_back_within

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.store.database import Database

# As the partial index says it: SQLite compares the words.
_IS_LEASED: Final = text("is_open AND reviewer IS NOT NULL")


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose desk it is, at what time. ``reviewer`` is None for a person without a name of their own."""

    holder: str
    reviewer: str | None
    now_ms: int

    @property
    def leased_until_ms(self) -> int:
        return self.now_ms + LEASE_MS


@dataclass(frozen=True, slots=True)
class Rules:
    """How judgements are recorded here; ``reads_again`` says whether a second person shall judge a ticket, too."""

    judge: Judge
    keeps_text: bool
    reads_again: Callable[[], bool]


def next_items(
    database: Database, desk: Desk, *, count: int, without: Sequence[str] = (), is_second: Callable[[], bool]
) -> list[ReviewItem]:
    """Lease the next ``count`` tickets for ten minutes: first those that lie on the desk already.

    ``without`` are those that the reviewer sees. ``is_second`` says for each of the others whether it shall be a second
    reading, if there is one.
    """
    with database.writing(durable=False) as connection:
        mine = _renewed(connection, desk, _held(connection, desk, without, count))
        wanted = count - len(mine)
        n_second = sum(is_second() for _ in range(wanted))
        fresh = claim_free(connection, desk.holder, wanted, desk.now_ms)
        # After the items, in the order in which judgements lock them.
        second = _claim_readings(connection, desk, max(n_second, wanted - len(fresh)))
        spare = fresh[wanted - len(second) :] if len(fresh) + len(second) > wanted else []
        _let_go(connection, spare)
        kept = fresh[: len(fresh) - len(spare)]
        return items_of(connection, [*mine, *second, *kept], shows_audits=False)


def keep_items(database: Database, desk: Desk, prediction_ids: Sequence[str]) -> list[str]:
    """Lease tickets that lie on the desk for ten minutes from now; return those that nobody else got meanwhile."""
    with database.writing(durable=False) as connection:
        return _renewed(connection, desk, prediction_ids)


def take_item(database: Database, desk: Desk, prediction_id: str) -> ReviewItem | None:
    """Lease one ticket, of which a judgement was taken back; None if it is not open, or somebody else has it."""
    columns = review_items.c
    is_free = or_(columns.leased_until_ms <= desk.now_ms, columns.reviewer == desk.holder)
    with database.writing(durable=False) as connection:
        taken = (
            update(review_items)
            .where(columns.prediction_id == prediction_id, columns.is_open, is_free)
            .values(reviewer=desk.holder, leased_until_ms=desk.leased_until_ms)
        )
        if not connection.execute(taken).rowcount and not _renewed(connection, desk, [prediction_id]):
            return None
        return next(iter(items_of(connection, [prediction_id], shows_audits=False)), None)


def put_back(database: Database, desk: Desk, prediction_id: str) -> bool:
    """Put a ticket to the end of the queue; a second reading rests for ten minutes. False if it was in neither."""
    with database.writing(durable=False) as connection:
        if not skip_within(connection, prediction_id, reviewer=desk.holder):
            return False
        if desk.reviewer is not None:
            rest_reading(connection, prediction_id, reviewer=desk.reviewer, until_ms=desk.leased_until_ms)
        return True


def judge_item(
    database: Database, remark: Remark, desk: Desk, *, rules: Rules, insists: bool = False
) -> Recorded | ServiceError:
    """Record what the reviewer says of a ticket of the desk, as ``record`` does.

    Unless the reviewer ``insists``, a ticket that somebody else has or has judged meanwhile is answered by
    ``LEASE_LOST`` or ``ALREADY_JUDGED``.
    """
    prediction_id = remark.prediction_id or ""
    with database.writing() as connection:
        lock_items(connection, [prediction_id])
        before = _Before.of(connection, desk, remark)
        if before.refusal is not None and not insists:
            return before.refusal
        (outcome,) = record_within(connection, database.kind, [remark], judge=rules.judge, keeps_text=rules.keeps_text)
        if isinstance(outcome, Recorded) and not before.is_repetition and desk.reviewer is not None:
            is_second = close_reading(connection, prediction_id, reviewer=desk.reviewer)
            if before.is_open and not is_second and rules.reads_again():
                open_reading(connection, database.kind, prediction_id, first_reviewer=desk.reviewer)
        return outcome


def take_own_back(database: Database, desk: Desk, feedback_id: str, *, keeps_text: bool) -> str | None:
    """Take back a judgement of the reviewer's own, whose ticket lies on the desk again if nobody else judged it.

    Return the prediction that it was about; None if there is no such judgement of theirs.
    """
    columns = feedback.c
    is_theirs = columns.reviewer.is_(None) if desk.reviewer is None else columns.reviewer == desk.reviewer
    of_review = and_(columns.feedback_id == feedback_id, columns.source == "review", ~columns.accepted_together)
    with database.writing() as connection:
        found: str | None = connection.execute(
            select(columns.prediction_id).where(of_review, is_theirs)
        ).scalar_one_or_none()
        if found is None:
            return None
        lease = Lease(desk.holder, desk.leased_until_ms)
        take_back_within(connection, [feedback_id], now_ms=desk.now_ms, keeps_text=keeps_text, lease=lease)
        return found


@dataclass(frozen=True, slots=True)
class _Before:
    """What a judgement meets: whether it is there already, and whether the ticket is still the reviewer's to judge."""

    is_repetition: bool
    is_open: bool
    refusal: ServiceError | None

    @classmethod
    def of(cls, connection: Connection, desk: Desk, remark: Remark) -> _Before:
        """Look, once the item is locked."""
        # Without a key, nothing is equal to it.
        same = select(feedback.c.feedback_id).where(feedback.c.idempotency_key == (remark.idempotency_key or ""))
        if connection.execute(same).first() is not None:
            return cls(is_repetition=True, is_open=False, refusal=None)
        prediction_id = remark.prediction_id or ""
        item = connection.execute(
            select(review_items).where(review_items.c.prediction_id == prediction_id)
        ).one_or_none()
        if item is not None and item.is_open:
            is_others = item.leased_until_ms > desk.now_ms and item.reviewer != desk.holder
            return cls(is_repetition=False, is_open=True, refusal=ServiceError(LEASE_LOST) if is_others else None)
        is_judged = item is not None and _is_judged_by_others(connection, prediction_id, desk)
        return cls(is_repetition=False, is_open=False, refusal=ServiceError(ALREADY_JUDGED) if is_judged else None)


def _is_judged_by_others(connection: Connection, prediction_id: str, desk: Desk) -> bool:
    """Return whether others have judged it; that, a second reader is not told, and who judged it before may again."""
    if desk.reviewer is not None and is_held(connection, prediction_id, reviewer=desk.reviewer):
        return False
    columns = feedback.c
    # What nobody read may be read.
    stands = and_(columns.prediction_id == prediction_id, columns.taken_back_ms.is_(None), ~columns.accepted_together)
    reviewers = set(connection.execute(select(columns.reviewer).where(stands)).scalars())
    return bool(reviewers) and desk.reviewer not in reviewers


def _held(connection: Connection, desk: Desk, without: Sequence[str], limit: int) -> list[str]:
    columns = review_items.c
    statement = (
        select(columns.prediction_id)
        .where(_IS_LEASED, columns.reviewer == desk.holder, columns.leased_until_ms > desk.now_ms)
        .where(columns.prediction_id.not_in(without))
        .order_by(columns.rank, columns.prediction_id)
        .limit(limit)
    )
    held = list(connection.execute(statement).scalars())
    if desk.reviewer is None:
        return held
    left = limit - len(held)
    return held + held_readings(connection, reviewer=desk.reviewer, now_ms=desk.now_ms, without=without, limit=left)


def _renewed(connection: Connection, desk: Desk, prediction_ids: Sequence[str]) -> list[str]:
    columns = review_items.c
    are_theirs = and_(columns.prediction_id.in_(prediction_ids), columns.is_open, columns.reviewer == desk.holder)
    in_order = select(columns.prediction_id).where(are_theirs).order_by(columns.prediction_id).with_for_update()
    kept = set(connection.execute(in_order).scalars())
    connection.execute(update(review_items).where(are_theirs).values(leased_until_ms=desk.leased_until_ms))
    if desk.reviewer is not None:
        until_ms = desk.leased_until_ms
        kept |= set(renew_readings(connection, prediction_ids, reviewer=desk.reviewer, leased_until_ms=until_ms))
    return [prediction_id for prediction_id in prediction_ids if prediction_id in kept]


def _claim_readings(connection: Connection, desk: Desk, limit: int) -> list[str]:
    if desk.reviewer is None or limit == 0:
        return []
    return claim_readings(
        connection,
        reviewer=desk.reviewer,
        now_ms=desk.now_ms,
        leased_until_ms=desk.leased_until_ms,
        limit=limit,
    )


def _let_go(connection: Connection, prediction_ids: Sequence[str]) -> None:
    are_they = review_items.c.prediction_id.in_(prediction_ids)
    connection.execute(update(review_items).where(are_they).values(reviewer=None, leased_until_ms=0))

"""The outbox: what is to be done at helpdesks, done by whoever has the lease, in the order of each ticket.

A process that dies keeps its lease until that ends. Who finishes a job that somebody else got since changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import and_, func, or_, select, text, update

from app.store.connector_states import locked_state, set_state
from app.store.helpdesk_tickets import Steps, Taken, take
from app.store.ids import new_id
from app.store.tables import connector_states, outbox

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement

    from app.store.database import Database

# As the partial index says it: SQLite compares the words.
_IS_WAITING: Final = text("outbox.state = 'waiting'")
MAX_RESULT_CHARACTERS: Final = 300


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done, which this process has the lease of; ``n_attempts`` counts this one."""

    job_id: str
    connector: str
    ticket_ref: str
    kind: str
    content: str
    n_attempts: int
    wanted_ms: int
    lease_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On which terms a connector's jobs are given out.

    Between two of them are ``interval_ms`` at least. After ``trial_after`` failures in a row, one job at a time is
    given out, and its end is waited for, ``lease_ms`` at most.
    """

    lease_ms: int
    interval_ms: int
    trial_after: int


def connectors_with_work(database: Database, connectors: Collection[str], *, now_ms: int) -> list[str]:
    """Return those of ``connectors`` that something is due for, and that may be asked now."""
    columns = outbox.c
    statement = (
        select(columns.connector)
        .outerjoin(connector_states, connector_states.c.connector == columns.connector)
        .where(_IS_WAITING, columns.connector.in_(connectors), _is_due(now_ms), _may_be_asked(now_ms))
        .distinct()
        .order_by(columns.connector)
    )
    with database.reading() as connection:
        return list(connection.execute(statement).scalars())


@dataclass(frozen=True, slots=True)
class Claim:
    """A job, or None and after how many milliseconds to ask again because of the rate; 0 where nothing is due."""

    job: Job | None
    wait_ms: int = 0


def claim(database: Database, connector: str, terms: Terms, *, now_ms: int) -> Claim:
    """Lease the next job of a connector that is due."""
    columns = outbox.c
    earlier = outbox.alias()
    is_not_first = (
        select(earlier.c.job_id)
        .where(
            earlier.c.connector == columns.connector,
            earlier.c.ticket_ref == columns.ticket_ref,
            earlier.c.job_id < columns.job_id,
            earlier.c.state == "waiting",
        )
        .exists()
    )
    next_job = (
        select(columns.job_id, columns.ticket_ref, columns.kind, columns.content, columns.n_attempts, columns.wanted_ms)
        .where(_IS_WAITING, columns.connector == connector, _is_due(now_ms), ~is_not_first)
        .order_by(columns.job_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with database.writing() as connection:
        state = locked_state(connection, database, connector, now_ms)
        if state.paused_until_ms > now_ms:
            return Claim(None)
        if state.next_call_ms > now_ms:
            return Claim(None, state.next_call_ms - now_ms)
        row = connection.execute(next_job).one_or_none()
        if row is None:
            return Claim(None)
        lease_id, leased_until_ms = new_id(), now_ms + terms.lease_ms
        connection.execute(
            update(outbox)
            .where(columns.job_id == row.job_id)
            .values(lease_id=lease_id, leased_until_ms=leased_until_ms, n_attempts=row.n_attempts + 1)
        )
        is_trial = state.n_failures >= terms.trial_after
        set_state(
            connection,
            connector,
            next_call_ms=now_ms + terms.interval_ms,
            paused_until_ms=leased_until_ms if is_trial else state.paused_until_ms,
        )
    n_attempts = row.n_attempts + 1
    job = Job(row.job_id, connector, row.ticket_ref, row.kind, row.content, n_attempts, row.wanted_ms, lease_id)
    return Claim(job)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an attempt ended; ``waiting`` is tried again at ``due_ms``. ``result`` says what was done, or why not."""

    state: Literal["waiting", "done", "dead"]
    result: str
    due_ms: int = 0


def finish(database: Database, job: Job, ending: Ending, *, now_ms: int, steps: Steps | None = None) -> Taken | None:
    """Write down how an attempt ended, and take ``steps`` with it, durably; return None if the lease was lost."""
    is_over = ending.state != "waiting"
    with database.writing() as connection:
        mine = update(outbox).where(
            outbox.c.job_id == job.job_id, outbox.c.lease_id == job.lease_id, outbox.c.state == "waiting"
        )
        values = {
            "state": ending.state,
            "result": ending.result[:MAX_RESULT_CHARACTERS],
            "due_ms": ending.due_ms,
            "lease_id": None,
            "leased_until_ms": 0,
            "finished_ms": now_ms if is_over else None,
        }
        if not connection.execute(mine.values(values)).rowcount:
            return None
        return Taken({}, 0) if steps is None else take(connection, database, steps)


def send_again(
    database: Database, *, now_ms: int, connector: str | None = None, job_ids: Collection[str] | None = None
) -> int:
    """Let dead letters be tried for another day: all, those of a connector, or the ones named; return how many."""
    which = [outbox.c.state == "dead"]
    if connector is not None:
        which.append(outbox.c.connector == connector)
    if job_ids is not None:
        which.append(outbox.c.job_id.in_(job_ids))
    # It was attempted, so that what an attempt left behind is looked for.
    again = {"state": "waiting", "n_attempts": 1, "wanted_ms": now_ms, "due_ms": now_ms, "finished_ms": None}
    with database.writing() as connection:
        return connection.execute(update(outbox).where(*which).values(again)).rowcount


def count_waiting(database: Database, connectors: Collection[str]) -> dict[str, int]:
    """Return how many jobs wait for each of ``connectors``."""
    statement = (
        select(outbox.c.connector, func.count())
        .where(_IS_WAITING, outbox.c.connector.in_(connectors))
        .group_by(outbox.c.connector)
    )
    with database.reading() as connection:
        found = {connector: int(n_jobs) for connector, n_jobs in connection.execute(statement)}
    return {connector: found.get(connector, 0) for connector in connectors}


def _is_due(now_ms: int) -> ColumnElement[bool]:
    return and_(outbox.c.due_ms <= now_ms, outbox.c.leased_until_ms <= now_ms)


def _may_be_asked(now_ms: int) -> ColumnElement[bool]:
    columns = connector_states.c
    return or_(columns.connector.is_(None), and_(columns.paused_until_ms <= now_ms, columns.next_call_ms <= now_ms))

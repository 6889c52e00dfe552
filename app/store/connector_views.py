"""What connectors have done and have still to do, for people: how each stands, and the latest of it; changes nothing.

However much there is, it is quick: rows are read along the order of an index, and only as many as are shown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import func, select

from app.store.ids import first_id_at
from app.store.tables import connector_states, deliveries, outbox

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection

    from app.store.database import Database

_STATES: Final = ("waiting", "done", "dead")
# Labels are in the content, and text of a ticket is nowhere.
_JOB: Final = tuple(
    outbox.c[name]
    for name in (
        "job_id",
        "connector",
        "ticket_ref",
        "kind",
        "content",
        "state",
        "n_attempts",
        "due_ms",
        "leased_until_ms",
        "finished_ms",
        "result",
    )
)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a helpdesk answers; times are in milliseconds since 1970, 0 or None where there is none."""

    paused_until_ms: int
    n_failures: int
    problem: str | None
    looked_until_ms: int | None
    next_look_ms: int


@dataclass(frozen=True, slots=True)
class OutboxJob:
    """A row of the outbox; ``content`` is JSON, ``result`` says what was done, or why the last attempt failed."""

    job_id: str
    connector: str
    ticket_ref: str
    kind: str
    content: str
    state: str
    n_attempts: int
    due_ms: int
    leased_until_ms: int
    finished_ms: int | None
    result: str | None


@dataclass(frozen=True, slots=True)
class OddDelivery:
    """A delivery that nothing could be done with; no ``problem`` if the ticket's text is what is missing."""

    connector: str
    ticket_ref: str | None
    received_ms: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class ConnectorCounts:
    """Deliveries of the time that was asked for by outcome, jobs of that time by state, and jobs of any time."""

    received: Mapping[str, int]
    jobs: Mapping[str, int]
    n_waiting: int
    n_dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorsView:
    """What is shown; a connector that was never used has no standing. Jobs done and dead are the newest first."""

    standings: Mapping[str, Standing]
    counts: Mapping[str, ConnectorCounts]
    odd: Sequence[OddDelivery]
    waiting: Sequence[OutboxJob]
    done: Sequence[OutboxJob]
    dead: Sequence[OutboxJob]


def view_connectors(
    database: Database, connectors: Collection[str], *, since_ms: int, limit: int, refs: Collection[str] = ()
) -> ConnectorsView:
    """Return what there is of ``connectors``, of every kind of rows ``limit`` at most; raise ``StoreUnavailableError``.

    Deliveries are those since ``since_ms``. Unless ``refs`` is empty, rows are those of these tickets, and nothing is
    counted.
    """
    with database.reading() as connection:
        return ConnectorsView(
            standings=_standings(connection, connectors),
            counts={} if refs else _counts(connection, connectors, since_ms),
            odd=_odd(connection, connectors, refs, since_ms, limit),
            waiting=_jobs(connection, connectors, refs, "waiting", limit),
            done=_jobs(connection, connectors, refs, "done", limit),
            dead=_jobs(connection, connectors, refs, "dead", limit),
        )


def find_job(database: Database, job_id: str) -> OutboxJob | None:
    """Return a row of the outbox, however it stands; raise ``StoreUnavailableError``."""
    with database.reading() as connection:
        row = connection.execute(select(*_JOB).where(outbox.c.job_id == job_id)).one_or_none()
    return None if row is None else OutboxJob(*row)


def _standings(connection: Connection, connectors: Collection[str]) -> dict[str, Standing]:
    columns = connector_states.c
    query = select(
        columns.connector,
        columns.paused_until_ms,
        columns.n_failures,
        columns.problem,
        columns.looked_until_ms,
        columns.look_leased_until_ms,
    ).where(columns.connector.in_(connectors))
    return {connector: Standing(*values) for connector, *values in connection.execute(query)}


def _counts(connection: Connection, connectors: Collection[str], since_ms: int) -> dict[str, ConnectorCounts]:
    columns = deliveries.c
    received = (
        select(columns.connector, columns.outcome, func.count())
        .where(columns.connector.in_(connectors), columns.received_ms >= since_ms)
        .group_by(columns.connector, columns.outcome)
    )
    n_received = {(connector, outcome): n for connector, outcome, n in connection.execute(received)}
    made = _count_jobs(connection, connectors, _STATES, outbox.c.job_id >= first_id_at(since_ms))
    left = _count_jobs(connection, connectors, ("waiting", "dead"))
    return {
        name: ConnectorCounts(
            received={outcome: n for (connector, outcome), n in n_received.items() if connector == name},
            jobs={state: made[name, state] for state in _STATES},
            n_waiting=left[name, "waiting"],
            n_dead=left[name, "dead"],
        )
        for name in connectors
    }


def _count_jobs(
    connection: Connection, connectors: Collection[str], states: Collection[str], *which: ColumnElement[bool]
) -> Counter[tuple[str, str]]:
    columns = outbox.c
    query = (
        select(columns.connector, columns.state, func.count())
        .where(columns.connector.in_(connectors), columns.state.in_(states), *which)
        .group_by(columns.connector, columns.state)
    )
    return Counter({(connector, state): n for connector, state, n in connection.execute(query)})


def _odd(
    connection: Connection, connectors: Collection[str], refs: Collection[str], since_ms: int, limit: int
) -> list[OddDelivery]:
    columns = deliveries.c
    of_tickets = [columns.ticket_ref.in_(refs)] if refs else []
    query = (
        select(columns.connector, columns.ticket_ref, columns.received_ms, columns.problem)
        .where(
            columns.received_ms >= since_ms, columns.outcome == "review", columns.connector.in_(connectors), *of_tickets
        )
        .order_by(columns.received_ms.desc(), columns.content_key)
        .limit(limit)
    )
    return [OddDelivery(*row) for row in connection.execute(query)]


def _jobs(
    connection: Connection, connectors: Collection[str], refs: Collection[str], state: str, limit: int
) -> list[OutboxJob]:
    """Return jobs in the order in which they were wanted: those that wait the oldest first, others the newest first."""
    columns = outbox.c
    of_tickets = [columns.ticket_ref.in_(refs)] if refs else []
    is_newest_first = state != "waiting"
    found: list[OutboxJob] = []
    for connector in connectors:
        # One by one: of several at once, SQLite would sort all that there are.
        query = (
            select(*_JOB)
            .where(columns.connector == connector, columns.state == state, *of_tickets)
            .order_by(columns.job_id.desc() if is_newest_first else columns.job_id)
            .limit(limit)
        )
        found += [OutboxJob(*row) for row in connection.execute(query)]
    return sorted(found, key=lambda job: job.job_id, reverse=is_newest_first)[:limit]

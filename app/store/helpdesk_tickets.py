"""Tickets of helpdesks in the database: what is known of them moves on one step at a time, with all that follows.

What a step is, nobody here decides: that is ``app.connectors.steps``. A step is whole or not at all: the answer, the
job that writes it back, the judgement, and what is known of the ticket from then on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, insert, select, update

from app.errors import ServiceError
from app.store.feedback import Judge, record_within
from app.store.ids import new_id
from app.store.insertion import is_inserted
from app.store.prediction_records import Record, write_records_within
from app.store.tables import deliveries, helpdesk_tickets, outbox

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, Row

    from app.store.database import Database
    from app.store.judgement import Remark


@dataclass(frozen=True, slots=True)
class HeadState:
    """What is known of one head of a ticket, in the helpdesk's own words; None: it is empty there."""

    # What was seen last; None also before anything was said of it.
    seen: str | None = None
    is_said: bool = False
    # The label that was answered, null before.
    answered: str | None = None
    # What this service writes, or wrote; null once somebody changed it.
    planned: str | None = None
    # Whether somebody has changed it since the ticket came.
    is_changed: bool = False
    # When this service wrote it, by the helpdesk's own clock, null where that is not said.
    written_ms: int | None = None
    # The label that people gave it last, as far as that was recorded.
    judged: str | None = None


@dataclass(frozen=True, slots=True)
class HelpdeskTicket:
    """What is known of one ticket; without a ``prediction_id`` it has still to be classified.

    ``changed_ms`` is when it last changed by the helpdesk's own clock, None where that is not said.
    """

    prediction_id: str | None = None
    heads: Mapping[str, HeadState] = field(default_factory=dict)
    is_closed: bool = False
    changed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is to be done at the helpdesk; ``content`` is JSON, without text of the ticket."""

    kind: str
    content: str


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from what was heard of a ticket; ``ticket`` is what is known of it from then on."""

    ticket: HelpdeskTicket
    outcome: str
    record: Record | None = None
    job: NewJob | None = None
    remark: Remark | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a helpdesk has sent, as far as it is remembered; the keys are hashes."""

    content_key: str
    delivery_key: str | None
    received_ms: int
    outcome: str = "ignored"
    ticket_ref: str | None = None
    problem: str | None = None


Decide = Callable[[HelpdeskTicket | None], Step | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Steps of some tickets of one connector: each ``Decide`` gets what is known, and returns None to leave it so."""

    connector: str
    decide: Mapping[str, Decide]
    judge: Judge
    keeps_text: bool
    now_ms: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The steps that were taken, by the ticket's id, and how many judgements of people could not be recorded."""

    steps: Mapping[str, Step]
    n_refused_remarks: int


def receive(
    database: Database, delivery: Delivery, steps: Steps, *, outcome_of: Callable[[Taken], str]
) -> Taken | None:
    """Take the steps that follow from ``delivery``, durably; return None when it was received before."""
    row = {"connector": steps.connector, **asdict(delivery)}
    with database.writing() as connection:
        if not is_inserted(connection, database.kind, deliveries, row):
            return None
        taken = take(connection, database, steps)
        is_this = and_(deliveries.c.connector == steps.connector, deliveries.c.content_key == delivery.content_key)
        connection.execute(update(deliveries).where(is_this).values(outcome=outcome_of(taken)))
        return taken


def advance(database: Database, steps: Steps) -> Taken:
    """Take steps, durably."""
    with database.writing() as connection:
        return take(connection, database, steps)


def take(connection: Connection, database: Database, steps: Steps) -> Taken:
    """Take steps as a part of a transaction."""
    taken: dict[str, Step] = {}
    # In one order, so that two transactions never wait for each other.
    for ref in sorted(steps.decide):
        before = _locked(connection, database, steps, ref)
        step = steps.decide[ref](before)
        if step is not None:
            taken[ref] = step
            _keep(connection, steps, ref, step)
    # All at once, because the order of these rows is that of other writers.
    if records := [step.record for step in taken.values() if step.record is not None]:
        write_records_within(connection, database.kind, records)
    remarks = [step.remark for step in taken.values() if step.remark is not None]
    outcomes = record_within(connection, database.kind, remarks, judge=steps.judge, keeps_text=steps.keeps_text)
    return Taken(taken, sum(isinstance(outcome, ServiceError) for outcome in outcomes))


def find_ticket(database: Database, connector: str, ref: str) -> HelpdeskTicket | None:
    """Return what is known of a ticket."""
    with database.reading() as connection:
        row = connection.execute(select(helpdesk_tickets).where(_is_ticket(connector, ref))).one_or_none()
    return None if row is None else _from_row(row)


def _locked(connection: Connection, database: Database, steps: Steps, ref: str) -> HelpdeskTicket | None:
    """Return what is known of a ticket, which stays so until the end of the transaction."""
    row = {"connector": steps.connector, "ticket_ref": ref, "looked_at_ms": steps.now_ms}
    unknown = {"is_closed": False, "heads": "{}"}
    if is_inserted(connection, database.kind, helpdesk_tickets, {**row, **unknown}):
        return None
    locked = select(helpdesk_tickets).where(_is_ticket(steps.connector, ref)).with_for_update()
    return _from_row(connection.execute(locked).one())


def _keep(connection: Connection, steps: Steps, ref: str, step: Step) -> None:
    ticket = step.ticket
    connection.execute(
        update(helpdesk_tickets)
        .where(_is_ticket(steps.connector, ref))
        .values(
            prediction_id=ticket.prediction_id,
            is_closed=ticket.is_closed,
            heads=json.dumps({head: asdict(state) for head, state in ticket.heads.items()}),
            changed_ms=ticket.changed_ms,
            looked_at_ms=steps.now_ms,
        )
    )
    if step.job is not None:
        connection.execute(
            insert(outbox).values(
                job_id=new_id(),
                connector=steps.connector,
                ticket_ref=ref,
                kind=step.job.kind,
                content=step.job.content,
                state="waiting",
                n_attempts=0,
                wanted_ms=steps.now_ms,
                due_ms=steps.now_ms,
                leased_until_ms=0,
            )
        )


def _is_ticket(connector: str, ref: str) -> ColumnElement[bool]:
    return and_(helpdesk_tickets.c.connector == connector, helpdesk_tickets.c.ticket_ref == ref)


def _from_row(row: Row[Any]) -> HelpdeskTicket:
    heads = {head: HeadState(**state) for head, state in json.loads(row.heads).items()}
    return HelpdeskTicket(row.prediction_id, heads, row.is_closed, row.changed_ms)

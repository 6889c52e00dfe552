"""One attempt at one job: read the ticket, then write what nobody has set, and say what is no longer to be written."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from app.connectors.api import ConflictError, RefusedError
from app.connectors.notes import marker_of
from app.connectors.planning import plan
from app.connectors.sighting import Change, Sighting, UnreadableError
from app.connectors.steps import CLASSIFY, Answer, written
from app.store.helpdesk_tickets import HelpdeskTicket, Step, Steps, advance, find_ticket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.connectors.api import Api
    from app.connectors.classifying import TicketDesk
    from app.connectors.connector import Connector
    from app.store.database import Database
    from app.store.outbox import Job
    from app.store.store import Store

# Somebody may be faster again and again.
_MAX_READINGS: Final = 3
_GONE: Final = 404


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in a few words, and what is known of the ticket's values from now on."""

    result: str
    steps: Steps | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at ``job``, through ``api``; raises ``ApiError``, ``UnreadableError`` and ``ServiceError``."""

    connector: Connector
    job: Job
    api: Api
    store: Store
    desk: TicketDesk
    now_ms: int

    async def run(self) -> Done:
        """Do the job, as far as that is not done yet, and return what is left to be written down."""
        for reading in range(_MAX_READINGS):
            try:
                seen = await self.connector.helpdesk.fetch(self.api, self.job.ticket_ref)
            except RefusedError as error:
                if error.status == _GONE:
                    return Done("the ticket is gone")
                raise
            steps = await self._steps_of(seen)
            if self.job.kind == CLASSIFY:
                return Done("fetched, to be classified", steps)
            # What people have changed since is known before anything is written.
            await self.store.run(partial(advance, steps=steps))
            try:
                return await self._write(seen, is_first=reading == 0 and self.job.n_attempts == 1)
            except ConflictError:
                if reading == _MAX_READINGS - 1:
                    raise
        raise AssertionError("the last reading returns or raises")

    async def _steps_of(self, seen: Sighting) -> Steps:
        if seen.ref != self.job.ticket_ref:
            raise UnreadableError("the API answered with another ticket")
        sightings = {seen.ref: seen}
        return await self.store.run(
            lambda database: self.desk.steps(database, self.connector, sightings, now_ms=self.now_ms)
        )

    async def _write(self, seen: Sighting, *, is_first: bool) -> Done:
        answer = Answer.from_json(self.job.content)
        ticket = await self.store.run(partial(self._ticket))
        planned = plan(self.connector, answer, ticket)
        note = planned.note
        if note is not None and not is_first:
            marker = marker_of(answer.prediction_id)
            if await self.connector.helpdesk.has_note(self.api, self.job.ticket_ref, marker):
                note = None
        if self.connector.dry_run:
            would = [*(f"would set {head} to {value}" for head, value in planned.values.items()), *planned.said]
            return Done("; ".join([*would, *(["would add a note"] if note is not None else [])]) or "nothing to write")
        changed_ms: int | None = None
        if planned.values or note is not None:
            change = Change(planned.values, note, seen)
            changed_ms = await self.connector.helpdesk.write(self.api, self.job.ticket_ref, change)
        said = [*(f"{head} set to {value}" for head, value in planned.values.items()), *planned.said]
        if planned.note is not None:
            said.append("note added" if note is not None else "note there already")
        return Done("; ".join(said) or "nothing left to write", self._written(planned.values, changed_ms))

    def _ticket(self, database: Database) -> HelpdeskTicket:
        return find_ticket(database, self.connector.name, self.job.ticket_ref) or HelpdeskTicket()

    def _written(self, values: Mapping[str, str], changed_ms: int | None) -> Steps:
        def decide(before: HelpdeskTicket | None) -> Step | None:
            return None if before is None else Step(written(before, values, changed_ms), "known")

        return self.desk.steps_by(self.connector, {self.job.ticket_ref: decide}, now_ms=self.now_ms)

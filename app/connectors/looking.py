"""Looks for changes at helpdesks from time to time: what no delivery told, as it was lost or is never sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from app.connectors.api import ApiError
from app.connectors.pacing import OVERLAP_MS, TRIAL_AFTER, asked_pause_ms, pause_ms
from app.connectors.receiving import checked
from app.connectors.sighting import UnreadableError
from app.errors import ServiceError
from app.store.connector_states import claim_look, finish_look, note_answer, note_failure
from app.store.database import StoreUnavailableError
from app.store.helpdesk_tickets import advance

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.connectors.api import Api
    from app.connectors.classifying import TicketDesk
    from app.connectors.connector import Connector
    from app.connectors.sighting import Sighting
    from app.metrics.service_metrics import Metrics
    from app.store.database import Database
    from app.store.helpdesk_tickets import Taken
    from app.store.store import Store

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 240.0
_LEASE_MS: Final = 300_000
_TICKETS_AT_ONCE: Final = 50
_AGAIN_SECONDS: Final = 1.0


@dataclass(slots=True)
class _Progress:
    """Up to when everything is known."""

    until_ms: int

    def reached(self, changed_ms: int | None) -> None:
        """Let a look that is cut off go on a second before this change, however many there were at the same moment."""
        if changed_ms is not None:
            self.until_ms = max(self.until_ms, changed_ms + OVERLAP_MS - 1_000)


class Looker:
    """Looks at the helpdesk of ``connector`` every ``look_seconds``, by one of all workers and replicas at a time."""

    def __init__(  # noqa: PLR0913 - what a look needs
        self,
        connector: Connector,
        api: Api,
        *,
        store: Store,
        desk: TicketDesk,
        metrics: Metrics,
        on_work: asyncio.Event,
        now_ms: Callable[[], int],
    ) -> None:
        self._connector = connector
        self._api = api
        self._store = store
        self._desk = desk
        self._metrics = metrics
        self._on_work = on_work
        self._now_ms = now_ms

    async def run(self) -> None:
        """Look when it is time, until it is cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailableError:
                logger.debug("nobody looks at a helpdesk while the store is away")
            except Exception:
                # Whatever it is, the next look may do without it.
                logger.exception("a helpdesk could not be looked at", extra={"connector": self._connector.name})
            # Not all workers at the same moment.
            await asyncio.sleep(_AGAIN_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311  # nosec B311 - no secret

    async def look(self) -> None:
        """Look now, unless another does or has just done so; raise ``StoreUnavailableError``."""
        began_ms, name = self._now_ms(), self._connector.name
        look_ms = 1000 * self._connector.look_seconds
        since_ms = await self._store.run(
            partial(claim_look, connector=name, now_ms=began_ms, lease_ms=_LEASE_MS, look_ms=look_ms)
        )
        if since_ms is None:
            return
        progress = _Progress(since_ms)
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await self._look_since(since_ms, progress)
        except (ApiError, UnreadableError, TimeoutError) as error:
            await self._failed(error)
        except ServiceError as error:
            logger.info("nobody looks at a helpdesk: %s", error.kind.slug, extra={"connector": name})
        except asyncio.CancelledError:
            # Whoever comes after this process need not wait for its lease to end.
            with contextlib.suppress(StoreUnavailableError):
                await self._finish(progress, after_seconds=0)
            raise
        else:
            progress.until_ms = began_ms
            await self._store.run(partial(note_answer, connector=name, now_ms=self._now_ms(), trial_after=TRIAL_AFTER))
        await self._finish(progress, after_seconds=self._connector.look_seconds)

    async def _finish(self, progress: _Progress, *, after_seconds: int) -> None:
        now_ms = self._now_ms()
        await self._store.run(
            partial(
                finish_look,
                connector=self._connector.name,
                now_ms=now_ms,
                looked_until_ms=progress.until_ms,
                next_look_ms=now_ms + 1000 * after_seconds,
            )
        )

    async def _look_since(self, since_ms: int, progress: _Progress) -> None:
        """Take in what changed since then."""
        waiting: list[Sighting] = []
        async for sighting in self._connector.helpdesk.changed_since(self._api, max(0, since_ms - OVERLAP_MS)):
            waiting.append(sighting)
            if len(waiting) == _TICKETS_AT_ONCE:
                await self._take(waiting)
                progress.reached(sighting.changed_ms)
                waiting = []
        await self._take(waiting)

    async def _take(self, sightings: list[Sighting]) -> None:
        if not sightings:
            return
        by_ref = checked(self._connector, sightings)

        def work(database: Database) -> Taken:
            return advance(database, self._desk.steps(database, self._connector, by_ref, now_ms=self._now_ms()))

        taken = await self._store.run(work)
        for step in taken.steps.values():
            self._metrics.connector_event(self._connector.name, "look", step.outcome)
        if any(step.job is not None for step in taken.steps.values()):
            self._on_work.set()

    async def _failed(self, error: Exception) -> None:
        name, problem = self._connector.name, str(error) or f"took longer than {_LOOK_SECONDS:g} s"
        logger.warning("a look at a helpdesk failed: %s", problem, extra={"connector": name})
        await self._store.run(
            partial(
                note_failure,
                connector=name,
                now_ms=self._now_ms(),
                problem=problem,
                pause_ms=partial(pause_ms, asked_ms=asked_pause_ms(error)),
                trial_after=TRIAL_AFTER,
            )
        )

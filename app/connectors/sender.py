"""Does what the outbox of all connectors has: each job by one process at a time, and again later where it failed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from app.connectors.api import Api, ApiError, RefusedError, UnavailableError
from app.connectors.job import Attempt, Done
from app.connectors.pacing import GIVE_UP_MS, TRIAL_AFTER, asked_pause_ms, delay_ms, pause_ms
from app.connectors.sighting import UnreadableError
from app.errors import ServiceError
from app.store.connector_states import note_answer, note_failure
from app.store.database import StoreUnavailableError
from app.store.outbox import Ending, Terms, claim, connectors_with_work, count_waiting, finish

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from app.connectors.classifying import TicketDesk
    from app.connectors.connector import Connector
    from app.metrics.service_metrics import Metrics
    from app.store.outbox import Job
    from app.store.store import Store

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# Of all calls of an attempt; the lease lasts longer, so that nobody begins what may still be going on.
ATTEMPT_SECONDS: Final = 60.0
LEASE_MS: Final = 90_000
_MINUTE_MS: Final = 60_000
_LOOK_SECONDS: Final = 1.0
_LONGEST_WAIT_SECONDS: Final = 1.0
# Before others have their turn, too.
_JOBS_IN_A_ROW: Final = 100


class Sender:
    """The jobs of ``connectors`` with an ``api``, done by this process as far as it gets them; of one event loop.

    ``now_ms`` is the time in milliseconds since 1970.
    """

    def __init__(
        self,
        connectors: Mapping[str, Connector],
        apis: Mapping[str, Api],
        *,
        store: Store,
        desk: TicketDesk,
        metrics: Metrics,
        now_ms: Callable[[], int],
    ) -> None:
        self._connectors = connectors
        self._apis = apis
        self._store = store
        self._desk = desk
        self._metrics = metrics
        self._now_ms = now_ms

    async def run(self, on_work: asyncio.Event) -> None:
        """Do what is due, now, whenever ``on_work`` is set, and every second, until it is cancelled.

        No helpdesk waits for another, however slow that is.
        """
        at_work: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                on_work.clear()
                for name in await self._survived(self._due()) or ():
                    if name not in at_work or at_work[name].done():
                        work = self._survived(self._work_for(self._connectors[name]))
                        at_work[name] = asyncio.create_task(work)
                # Not all workers at the same moment.
                wait_seconds = _LOOK_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311  # nosec B311 - no secret
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_seconds):
                        await on_work.wait()
        finally:
            for task in at_work.values():
                task.cancel()
            await asyncio.gather(*at_work.values(), return_exceptions=True)

    async def work(self) -> None:
        """Do what is due now; raise ``StoreUnavailableError``."""
        await asyncio.gather(*(self._work_for(self._connectors[name]) for name in await self._due()))

    async def _due(self) -> list[str]:
        names = list(self._apis)
        for name, n_jobs in (await self._store.run(partial(count_waiting, connectors=names))).items():
            self._metrics.connector_waiting(name, n_jobs)
        return await self._store.run(partial(connectors_with_work, connectors=names, now_ms=self._now_ms()))

    @staticmethod
    async def _survived(work: Coroutine[Any, Any, Result]) -> Result | None:
        """Return what ``work`` does, or None where it fails: whatever it is, the next look may do without it."""
        try:
            return await work
        except StoreUnavailableError:
            logger.debug("nothing is sent while the store is away")
        except Exception:
            logger.exception("what is to be sent could not be looked at")
        return None

    async def _work_for(self, connector: Connector) -> None:
        terms = Terms(
            lease_ms=LEASE_MS,
            interval_ms=connector.helpdesk.calls_of_a_job * _MINUTE_MS // connector.calls_per_minute,
            trial_after=TRIAL_AFTER,
        )
        for _ in range(_JOBS_IN_A_ROW):
            claimed = await self._store.run(
                partial(claim, connector=connector.name, terms=terms, now_ms=self._now_ms())
            )
            if claimed.job is not None:
                await self._do(connector, claimed.job)
            elif 0 < claimed.wait_ms <= _LONGEST_WAIT_SECONDS * 1000:
                await asyncio.sleep(claimed.wait_ms / 1000)
            else:
                return

    async def _do(self, connector: Connector, job: Job) -> None:
        """Attempt a job, and write down how that ended."""
        attempt = Attempt(
            connector=connector,
            job=job,
            api=self._apis[connector.name],
            store=self._store,
            desk=self._desk,
            now_ms=self._now_ms(),
        )
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                done = await attempt.run()
        except (ApiError, UnreadableError, TimeoutError) as error:
            await self._failed(connector, job, error)
        except ServiceError as error:
            # The store or the model is away: the helpdesk is not to blame, and the lease ends by itself.
            logger.info("a job waits: %s", error.kind.slug, extra={"connector": connector.name})
            raise StoreUnavailableError(error.kind.slug) from None
        except Exception as error:
            # A fault of this program, over something that a helpdesk said: it is to end some day, and hold up nobody.
            logger.exception("a job failed as none should", extra={"connector": connector.name})
            await self._failed(connector, job, UnreadableError(f"{type(error).__name__}: see the log"))
        else:
            await self._succeeded(connector, job, done)

    async def _succeeded(self, connector: Connector, job: Job, done: Done) -> None:
        ending = Ending(state="done", result=done.result)
        await self._answered(connector)
        if await self._end(job, ending, done) is None:
            logger.warning("a job took longer than its lease: %s", job.job_id, extra={"connector": connector.name})
        self._metrics.connector_attempt(connector.name, "done")

    async def _failed(self, connector: Connector, job: Job, error: Exception) -> None:
        now_ms, reason = self._now_ms(), str(error) or f"took longer than {ATTEMPT_SECONDS:g} s"
        asked_ms = asked_pause_ms(error)
        is_unavailable = isinstance(error, UnavailableError | TimeoutError)
        if is_unavailable:
            await self._store.run(
                partial(
                    note_failure,
                    connector=connector.name,
                    now_ms=now_ms,
                    problem=reason,
                    pause_ms=partial(pause_ms, asked_ms=asked_ms),
                    trial_after=TRIAL_AFTER,
                )
            )
        else:
            await self._answered(connector)
        is_dead = isinstance(error, RefusedError) or now_ms - job.wanted_ms >= GIVE_UP_MS
        due_ms = now_ms + max(delay_ms(job.n_attempts), asked_ms)
        await self._end(job, Ending(state="dead" if is_dead else "waiting", result=reason, due_ms=due_ms))
        self._metrics.connector_attempt(connector.name, "given_up" if is_dead else "failed")
        extra = {"connector": connector.name}
        if is_dead:
            again = f"python -m app.connectors send-again --job {job.job_id}"
            logger.error("a job is given up: %s; when that is put right: %s", reason, again, extra=extra)
        else:
            logger.info("a job failed: %s", reason, extra=extra)

    async def _answered(self, connector: Connector) -> None:
        noted = partial(note_answer, connector=connector.name, now_ms=self._now_ms(), trial_after=TRIAL_AFTER)
        await self._store.run(noted)

    async def _end(self, job: Job, ending: Ending, done: Done | None = None) -> object:
        steps = None if done is None else done.steps
        return await self._store.run(partial(finish, job=job, ending=ending, now_ms=self._now_ms(), steps=steps))

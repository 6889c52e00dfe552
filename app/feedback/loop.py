"""What goes on beside the answers while a store is there: writing them down, keeping promises, letting old texts go."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from app.feedback.audits import Audits
from app.feedback.keeper import PromiseKeeper
from app.feedback.promise_families import PromiseCollector
from app.feedback.recorder import KeptText, Recorder
from app.feedback.withdrawn import WithdrawnLabels
from app.store.database import Database
from app.store.retention import expire_from_time_to_time
from app.store.store import Store
from app.store.writer import RecordWriter

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.metrics.service_metrics import Metrics
    from app.metrics.shared_values import SharedValues
    from app.models.classifier import TicketClassifier


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopOptions:
    """What is kept and asked; the settings of the same names say it in full."""

    store_url: str
    kept_text: KeptText
    retention_days: int
    audit_share: float
    promise_alpha: float
    promise_keeper: Literal["act", "observe", "off"]


class FeedbackLoop:
    """The store of a process and what works with it; ``start`` belongs to the event loop.

    ``serving`` returns the model that answers now. ``keeper`` is None where nobody asks for promises.
    """

    def __init__(
        self,
        options: LoopOptions,
        *,
        serving: Callable[[], TicketClassifier | None],
        metrics: Metrics,
        values: SharedValues,
    ) -> None:
        self.store = Store(Database(options.store_url), on_change=metrics.store_changed)
        writer = RecordWriter(
            self.store,
            on_written=metrics.records_written,
            on_dropped=metrics.records_dropped,
            on_waiting=metrics.records_waiting,
        )
        self.recorder = Recorder(
            writer,
            audits=Audits(options.audit_share),
            kept_text=options.kept_text,
            on_audits=metrics.audits_drawn,
        )
        self.keeper: PromiseKeeper | None = None
        if options.promise_keeper != "off":
            self.keeper = PromiseKeeper(
                self.store,
                WithdrawnLabels(values),
                serving=serving,
                alpha=options.promise_alpha,
                acts=options.promise_keeper == "act",
            )
            metrics.show(PromiseCollector(self.keeper))
        self._retention_days = options.retention_days
        self._retention: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the store, waiting for it a moment, so that the first answer knows what is withdrawn; begin the rest."""
        await self.store.start()
        if self.keeper is not None:
            await self.keeper.start()
        self._retention = asyncio.create_task(expire_from_time_to_time(self.store, retention_days=self._retention_days))
        self.recorder.start()

    async def close(self) -> None:
        """Write what waits, and stop; how long that may take is bounded, whatever the database does."""
        await self.recorder.close()
        if self.keeper is not None:
            await self.keeper.close()
        if self._retention is not None:
            self._retention.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._retention
        await self.store.close()

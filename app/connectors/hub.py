"""All connectors of one process: deliveries in, and what goes on beside them; ``start`` belongs to the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING

from app.connectors.api import Api
from app.connectors.looking import Looker
from app.connectors.receiving import Receiver
from app.connectors.sender import Sender
from app.store.database import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.connectors.classifying import TicketDesk
    from app.connectors.connector import Connector
    from app.metrics.service_metrics import Metrics
    from app.store.store import Store


class ConnectorHub:
    """Receives, sends and looks for ``connectors``."""

    def __init__(self, connectors: Sequence[Connector], *, store: Store, desk: TicketDesk, metrics: Metrics) -> None:
        self.connectors = tuple(connectors)
        self._store = store
        self._desk = desk
        self._metrics = metrics
        self._on_work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._apis: dict[str, Api] = {}
        self.receiver = Receiver(connectors, store=store, desk=desk, metrics=metrics, on_work=self._on_work)

    async def start(self) -> None:
        """Begin to send and to look."""
        for connector in self.connectors:
            # What is not learned now is learned with the first delivery.
            with contextlib.suppress(StoreUnavailableError):
                await self._store.run(partial(self._desk.learn, connector=connector, now_ms=_now_ms()))
        self._apis = {connector.name: api_of(connector) for connector in self.connectors if connector.api_url}
        by_name = {connector.name: connector for connector in self.connectors}
        sender = Sender(by_name, self._apis, store=self._store, desk=self._desk, metrics=self._metrics, now_ms=_now_ms)
        lookers = [
            Looker(
                by_name[name],
                api,
                store=self._store,
                desk=self._desk,
                metrics=self._metrics,
                on_work=self._on_work,
                now_ms=_now_ms,
            )
            for name, api in self._apis.items()
            if by_name[name].look_seconds
        ]
        loops = [sender.run(self._on_work)] if self._apis else []
        self._tasks = [asyncio.create_task(loop) for loop in (*loops, *(looker.run() for looker in lookers))]

    async def close(self) -> None:
        """Stop; what is under way is tried again by whoever gets its lease next."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for api in self._apis.values():
            await api.close()


def api_of(connector: Connector) -> Api:
    """Return the API of a connector that has one."""
    return Api(connector.api_url or "", authorization=connector.helpdesk.authorization(connector.api_token))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

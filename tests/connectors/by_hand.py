"""A service whose sender works when a test says so, by a clock of the test's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from app.connectors.api import Api
from app.connectors.classifying import TicketDesk
from app.connectors.connector import Connector
from app.connectors.hub import api_of
from app.connectors.sender import Sender
from app.store.tables import connector_states, outbox
from tests.connectors.connected import ConnectedService


class Clock:
    """The time in milliseconds since 1970: a millisecond passes whenever it is asked for, more when a test says so."""

    def __init__(self) -> None:
        self.now_ms = time.time_ns() // 1_000_000

    def __call__(self) -> int:
        self.now_ms += 1
        return self.now_ms


class ByHand:
    """The service of ``connected``, whose own tasks are ended; to be closed."""

    def __init__(self, connected: ConnectedService) -> None:
        self.connected = connected
        # What becomes of each connector before it is used.
        self.change: Callable[[Connector], Connector] = lambda connector: connector
        self.clock = Clock()
        self._hub = connected.service.state["connectors"]
        connected.service.run(self._hub.close())
        self._apis: list[Api] = []
        self._senders: list[Sender] = []

    def close(self) -> None:
        for api in self._apis:
            self.connected.service.run(api.close())

    async def _sender(self) -> Sender:
        """Return a sender as of a process of its own."""
        state = self.connected.service.state
        desk = TicketDesk(
            serving=lambda: state["registry"].current,
            answering=state["answering"],
            recorder=state["answering"].recorder,
            keeps_text=True,
            max_title=300,
            max_description=20_000,
        )
        connectors = {connector.name: self.change(connector) for connector in self._hub.connectors}
        apis = {name: api_of(connector) for name, connector in connectors.items()}
        self._apis += apis.values()
        return Sender(connectors, apis, store=state["store"], desk=desk, metrics=state["metrics"], now_ms=self.clock)

    def work(self, n_senders: int = 1) -> None:
        """Let so many processes do at once what is due now."""

        async def work() -> None:
            while len(self._senders) < n_senders:
                self._senders.append(await self._sender())
            await asyncio.gather(*(sender.work() for sender in self._senders[:n_senders]))

        # Deliveries come by the clock of this machine.
        self.clock.now_ms = max(self.clock.now_ms, time.time_ns() // 1_000_000)
        self.connected.service.run(work())

    def work_for(self, milliseconds: int) -> None:
        """Let the time go on for so long, from one moment at which something may be done to the next."""
        until_ms = self.clock.now_ms + milliseconds
        while (now_ms := max(self.next_ms(), self.clock.now_ms + 1)) <= until_ms:
            self.clock.now_ms = now_ms
            self.work()
        self.clock.now_ms = until_ms

    def next_ms(self) -> int:
        """Return when the next attempt may be made, at the end of time if nothing waits."""
        # Of each ticket the first: the others wait for that one.
        first = {job["ticket_ref"]: job for job in reversed(self.jobs(state="waiting"))}
        due = [max(job["due_ms"], job["leased_until_ms"]) for job in first.values()]
        states = self.connected.rows(connector_states)
        pause_ms = max((max(state["paused_until_ms"], state["next_call_ms"]) for state in states), default=0)
        return max(min(due), pause_ms) if due else 1 << 62

    def jobs(self, **values: object) -> list[dict[str, Any]]:
        return sorted(self.connected.rows(outbox, **values), key=lambda job: job["job_id"])

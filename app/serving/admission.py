"""How much work is done at a time, how much may wait for it, and what is refused at once."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

from app.errors import OVERLOADED, ServiceError

# Work is counted in units: one for each request, and one for each 512 bytes of its body, which take about as long.
_BYTES_PER_UNIT: Final = 512
# So much of single tickets is done in a turn of the event loop: about 15 ms, after which it looks at the connections.
TICKET_UNITS: Final = 128
# Two full batches, or 128 small ones, may wait: about half a second of work.
WAITING_BATCH_UNITS: Final = (2 << 20) // _BYTES_PER_UNIT
# 62 small explanations, or a few long ones, whose bytes count once for each label: a few seconds of work at most.
WAITING_EXPLANATION_UNITS: Final = (1 << 20) // _BYTES_PER_UNIT
# Below this the time that a batch takes in its thread does not depend on its size.
LEAST_BATCH_BYTES: Final = 16_384


class _Waiting(NamedTuple):
    units: int
    admitted: asyncio.Future[None]


class Admission:
    """Lets so many units of work run at a time, and keeps in the order of arrival so many that wait.

    Whoever enters has received its request in full, so nobody holds a place by sending slowly. What is longer than
    everything that may run, or wait, at a time runs alone, or waits alone. For one event loop.
    """

    def __init__(self, *, max_running_units: int, max_waiting_units: int) -> None:
        self._max_running_units = max_running_units
        self._max_waiting_units = max_waiting_units
        self._running_units = 0
        self._waiting_units = 0
        self._done_units = 0
        self._waiting: deque[_Waiting] = deque()

    @property
    def is_full(self) -> bool:
        """Whether whatever comes now would be refused: worth asking before anything is done for it."""
        return self._waiting_units >= self._max_waiting_units

    async def enter(self, n_bytes: int) -> int:
        """Return when a body of ``n_bytes`` may be worked on, with its units, which ``leave`` must get.

        Raise ``ServiceError`` (503) at once if too much waits already.
        """
        units = 1 + n_bytes // _BYTES_PER_UNIT
        if not self._waiting and self._fits(units):
            self._running_units += units
            return units
        if self._waiting and self._waiting_units + units > self._max_waiting_units:
            raise ServiceError(OVERLOADED)
        waiting = _Waiting(units, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_units += units
        try:
            await waiting.admitted
        except asyncio.CancelledError:
            if not waiting.admitted.cancelled():
                self.leave(units)
            elif waiting in self._waiting:
                self._waiting.remove(waiting)
                self._waiting_units -= units
            raise
        return units

    def leave(self, units: int) -> None:
        """Make room for others, in the next turn of the event loop.

        In this turn, hundreds that arrived together would follow each other before anybody else is heard.
        """
        if not self._done_units:
            asyncio.get_running_loop().call_soon(self._let_in)
        self._done_units += units

    def _let_in(self) -> None:
        self._running_units -= self._done_units
        self._done_units = 0
        while self._waiting and self._fits(self._waiting[0].units):
            waiting = self._waiting.popleft()
            self._waiting_units -= waiting.units
            # A request that was cancelled in this turn has not yet taken itself out.
            if not waiting.admitted.cancelled():
                self._running_units += waiting.units
                waiting.admitted.set_result(None)

    def _fits(self, units: int) -> bool:
        return not self._running_units or self._running_units + units <= self._max_running_units

"""How many classifications are under way at a time, how many may wait, and which are refused at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from uvicorn.server import ServerState

from app.errors import OVERLOADED

if TYPE_CHECKING:
    from app.server.cycle import RequestCycle

# Work is counted in units: one for each request, and one for each 512 bytes of its ticket, which take about as long.
_BYTES_PER_UNIT: Final = 512
# So much is handed to the event loop at a time: about 15 ms, after which it looks at the other connections.
MAX_RUNNING_UNITS: Final = 128


class Admission:
    """Starts what may run, keeps in the order of arrival what may wait, and refuses the rest.

    Only requests that have arrived in full come here, so nobody holds a place by sending slowly.
    """

    def __init__(self, *, max_waiting_units: int) -> None:
        self._max_waiting_units = max_waiting_units
        self._running_units = 0
        self._waiting_units = 0
        self._waiting: deque[tuple[RequestCycle, Callable[[RequestCycle], None]]] = deque()

    def admit(self, cycle: RequestCycle, start: Callable[[RequestCycle], None]) -> None:
        """Have ``start`` called with ``cycle``, now or when there is room; if refused, with its refusal."""
        cycle.units = units = 1 + len(cycle.body) // _BYTES_PER_UNIT
        if not self._waiting and (not self._running_units or self._running_units + units <= MAX_RUNNING_UNITS):
            self._running_units += units
            start(cycle)
        elif self._waiting_units + units <= self._max_waiting_units:
            self._waiting_units += units
            self._waiting.append((cycle, start))
        else:
            cycle.units = 0
            cycle.refuse(OVERLOADED)
            start(cycle)

    def release(self, cycle: RequestCycle) -> None:
        """Give back what ``cycle`` took, once, and have what waits start in the next turn of the loop."""
        self._running_units -= cycle.units
        cycle.units = 0
        while self._waiting:
            following, start = self._waiting[0]
            if self._running_units and self._running_units + following.units > MAX_RUNNING_UNITS:
                return
            self._waiting.popleft()
            self._waiting_units -= following.units
            if following.disconnected:
                following.units = 0
            else:
                self._running_units += following.units
                # Not in this turn: the task of a request that was started with its head may have its turn in this one,
                # too, and so may that of the next. Hundreds would run before anybody else is heard.
                asyncio.get_running_loop().call_soon(start, following)


class ConnectionState(ServerState):
    """What the connections of one process share; ``head_lines`` are the headers that all answers have, encoded."""

    def __init__(self, *, max_waiting_units: int) -> None:
        super().__init__()
        self.admission = Admission(max_waiting_units=max_waiting_units)
        self.head_lines = b""
        self.draining = False

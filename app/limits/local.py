"""How many requests a client may send: a moving window over each client's requests, counted in this process."""

from __future__ import annotations

import math
import time
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

MAX_REMEMBERED_CLIENTS: Final = 100_000
MAX_REMEMBERED_REQUESTS: Final = 1_000_000


class Quota(NamedTuple):
    """What a client has left after a request; the oldest one leaves the window in ``reset_seconds``, at least 1."""

    allowed: bool
    remaining: int
    reset_seconds: int


class RateLimiter(Protocol):
    """The seam between the middleware and where requests are counted."""

    async def start(self) -> None:
        """Make ready, within about a second; ``hit`` works without it, too."""

    async def close(self) -> None:
        """Let go of connections."""

    async def hit(self, client: str) -> Quota:
        """Count one request of ``client`` and say whether it is within the limit."""


class LocalRateLimiter:
    """Admits ``limit`` requests of a client in any ``window_seconds``; ``clock`` gives seconds.

    Remembers at most ``max_clients`` clients, and ``max_requests`` requests of all. Those who have been silent longest
    are forgotten, which only opens a fresh window to somebody who sends from more addresses than that.
    """

    def __init__(
        self,
        *,
        limit: int,
        window_seconds: int,
        max_clients: int = MAX_REMEMBERED_CLIENTS,
        max_requests: int = MAX_REMEMBERED_REQUESTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._window_seconds = window_seconds
        self._max_clients = max_clients
        self._max_requests = max_requests
        self._clock = clock
        # Times of admitted requests, oldest first, in arrays of doubles: a deque takes 700 bytes for a client with a
        # single request.
        self._windows: OrderedDict[str, array[float]] = OrderedDict()
        self._n_requests = 0

    @property
    def n_clients(self) -> int:
        """How many clients are remembered."""
        return len(self._windows)

    @property
    def n_requests(self) -> int:
        """How many requests are remembered, some of which may have left their window."""
        return self._n_requests

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return

    async def hit(self, client: str) -> Quota:
        """Count one request of ``client``; see ``RateLimiter``."""
        now = self._clock()
        start = now - self._window_seconds
        window = self._windows.get(client)
        is_new = window is None
        n_outdated = 0
        if window is None:
            window = self._windows[client] = array("d")
        else:
            self._windows.move_to_end(client)
            if window and window[0] <= start:
                n_outdated = self._drop_outdated(window, start)
        remaining = self._limit - (len(window) - n_outdated)
        allowed = remaining > 0
        if allowed:
            remaining -= 1
            window.append(now)
            self._n_requests += 1
        if is_new or self._n_requests > self._max_requests:
            self._forget(start)
        # The sum of a time and a window, less the time, may be a rounding error more than the window.
        reset_seconds = min(max(1, math.ceil(window[n_outdated] - start)), self._window_seconds)
        return Quota(allowed, remaining, reset_seconds)

    def _drop_outdated(self, window: array[float], start: float) -> int:
        """Return how many outdated requests are left in ``window``: less than half, so that each is moved only once."""
        n_outdated = bisect_right(window, start)
        if 2 * n_outdated < len(window):
            return n_outdated
        del window[:n_outdated]
        self._n_requests -= n_outdated
        return 0

    def _forget(self, start: float) -> None:
        # The first client is the one silent longest, so its last request tells whether anything here is outdated.
        windows = self._windows
        while len(windows) > 1:
            client = next(iter(windows))
            window = windows[client]
            is_full = self._n_requests > self._max_requests or len(windows) > self._max_clients
            if window[-1] > start and not is_full:
                return
            self._n_requests -= len(windows.pop(client))

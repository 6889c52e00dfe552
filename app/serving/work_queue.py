"""Work that takes too long for the event loop, done in a thread, one piece after the other, within a bound."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from app.errors import OVERLOADED, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

# Two full batches, or 128 small ones: about half a second of work.
MAX_PENDING_BYTES: Final = 2 << 20
# Below this the time that a piece takes does not depend on its size.
_LEAST_CHARGE_BYTES: Final = 16_384


class WorkQueue:
    """Does one piece of work at a time: threads share one interpreter, so more of them would only slow each other down.

    Work is measured by the bytes of the request that asks for it, which is known before the request is parsed.
    """

    def __init__(self, *, max_pending_bytes: int = MAX_PENDING_BYTES) -> None:
        self._max_pending_bytes = max_pending_bytes
        self._pending_bytes = 0
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="classify")

    async def run(self, work: Callable[[], Result], *, n_bytes: int) -> Result:
        """Return what ``work`` returns; raise ``ServiceError`` (503) at once if too much of it waits already."""
        charge = max(n_bytes, _LEAST_CHARGE_BYTES)
        if self._pending_bytes and self._pending_bytes + charge > self._max_pending_bytes:
            raise ServiceError(OVERLOADED)
        self._pending_bytes += charge
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._pending_bytes -= charge

    def close(self) -> None:
        """Forget the work that has not begun."""
        self._executor.shutdown(wait=False, cancel_futures=True)

"""Work that takes too long for the event loop: in a thread, and no more of it than is let in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from app.serving.admission import LEAST_BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.serving.admission import Admission

Result = TypeVar("Result")


async def in_thread(admission: Admission, n_bytes: int, work: Callable[[], Result]) -> Result:
    """Do ``work`` on a body of ``n_bytes``; one piece at a time, since threads share one interpreter.

    Raise ``ServiceError`` (503) at once if too much waits already.
    """
    units = await admission.enter(max(n_bytes, LEAST_BATCH_BYTES))
    # A thread works on when its request is cancelled, and holds its place as long.
    working = asyncio.create_task(asyncio.to_thread(work))
    working.add_done_callback(lambda _: admission.leave(units))
    return await asyncio.shield(working)

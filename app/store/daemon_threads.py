"""Threads for work that may block without end: a bounded number, which the end of the process does not wait for."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


class DaemonThreads:
    """Runs at most ``n_threads`` pieces of work at a time; ``max_waiting`` may wait, and more are refused.

    The standard library's executor joins its threads when the interpreter ends, however long a database hangs.
    """

    def __init__(self, name: str, *, n_threads: int, max_waiting: int) -> None:
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(max_waiting)
        self._threads = [
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True) for number in range(n_threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Return what will be the result of ``work``; raise ``queue.Full`` when too much waits."""
        future: Future[Result] = Future()

        def run() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(work())
                except BaseException as error:  # noqa: BLE001 - belongs to whoever asked
                    future.set_exception(error)

        self._waiting.put_nowait(run)
        return future

    def close(self, *, seconds: float) -> None:
        """Let the threads end when all work is done, and wait so long for that at most."""
        deadline = time.monotonic() + seconds
        with suppress(queue.Full):
            for _ in self._threads:
                self._waiting.put_nowait(None)
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        while (run := self._waiting.get()) is not None:
            run()
            # Until the next one comes, nothing of it, such as a ticket, is kept alive.
            del run

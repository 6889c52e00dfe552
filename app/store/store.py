"""The store of one process: opened in the background, asked in threads of its own, lost and found again."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from sqlalchemy import text

from app.store.daemon_threads import DaemonThreads
from app.store.database import StoreUnavailableError
from app.store.migration import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.store.database import Database, Kind

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Status = Literal["sqlite", "postgresql", "unreachable"]

_LOOK_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 5.0
_CLOSE_SECONDS: Final = 1.0
_THREADS: Final = 4
_MAX_WAITING: Final = 256


class Store:
    """What may be done with the database, and whether it can be used now; ``start`` belongs to the event loop."""

    def __init__(self, database: Database, *, on_change: Callable[[Status], None] = lambda _: None) -> None:
        self.kind: Kind = database.kind
        self._database = database
        # Called from any thread.
        self._on_change = on_change
        self._threads = DaemonThreads("store", n_threads=_THREADS, max_waiting=_MAX_WAITING)
        self._reachable = threading.Event()
        self._lost = threading.Event()
        self._closed = False
        self._has_said_lost = False
        self._has_said_failed = False

    @property
    def is_reachable(self) -> bool:
        """Whether the last that was heard of the database is that it answers."""
        return self._reachable.is_set()

    @property
    def status(self) -> Status:
        """What ``/version`` says."""
        return self.kind if self.is_reachable else "unreachable"

    async def start(self, *, seconds: float = 2.0) -> None:
        """Begin to open the database, and wait so long for it at most."""
        self._on_change(self.status)
        self._threads.start()
        threading.Thread(target=self._keep_open, name="store-opening", daemon=True).start()
        await asyncio.to_thread(self._reachable.wait, seconds)

    async def close(self) -> None:
        """Let go of the database; what is under way in a thread may end, or ends with the process."""
        self._closed = True
        self._lost.set()
        await asyncio.to_thread(self._threads.close, seconds=_CLOSE_SECONDS)
        self._database.close()

    def use(self, work: Callable[[Database], Result]) -> Result:
        """Return ``work(database)``, in this thread; raise ``StoreUnavailableError``, at once while it is lost."""
        if not self.is_reachable:
            raise StoreUnavailableError("the database does not answer")
        try:
            return work(self._database)
        except StoreUnavailableError as error:
            self._lose(error)
            raise

    async def run(self, work: Callable[[Database], Result], *, seconds: float = _ANSWER_SECONDS) -> Result:
        """Return ``work(database)``, done in another thread; raise ``StoreUnavailableError`` after ``seconds`` at most.

        What takes longer may be done all the same, as may everything that a network answers too late.
        """
        if not self.is_reachable:
            raise StoreUnavailableError("the database does not answer")
        try:
            future = self._threads.submit(lambda: self.use(work))
        except queue.Full:
            raise StoreUnavailableError("too much waits for the database") from None
        try:
            # ``wait_for`` loses a cancellation that comes together with the answer, before Python 3.12: then a loop
            # that asks the store from time to time would never end.
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            error = StoreUnavailableError(f"the database did not answer within {seconds:g} s")
            self._lose(error)
            raise error from None

    def _lose(self, error: StoreUnavailableError) -> None:
        self._reachable.clear()
        self._on_change(self.status)
        self._lost.set()
        self._say_lost(error)

    def _say_lost(self, error: StoreUnavailableError) -> None:
        if not self._has_said_lost:
            self._has_said_lost = True
            logger.warning("the store cannot be used, and is tried again until it can: %s", error)

    def _keep_open(self) -> None:
        while not self._closed:
            if not self.is_reachable:
                self._open()
            if self.is_reachable:
                self._lost.wait()
                self._lost.clear()
            time.sleep(_LOOK_SECONDS)

    def _open(self) -> None:
        try:
            is_new = upgrade(self._database)
            _check_writable(self._database)
        except StoreUnavailableError as error:
            self._say_lost(error)
        except Exception:
            # Whatever it is, tickets are classified, and the next look may find it gone.
            if not self._has_said_failed:
                self._has_said_failed = True
                logger.exception("the store could not be opened, which is tried again until it can")
        else:
            if is_new:
                logger.info("the tables of the store were made or changed")
            if self._has_said_lost or self._has_said_failed:
                self._has_said_lost = self._has_said_failed = False
                logger.info("the store can be used again")
            self._reachable.set()
            self._on_change(self.status)


def _check_writable(database: Database) -> None:
    # A full disk, and a file that may only be read, answer everything but this.
    with database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = version_num"))

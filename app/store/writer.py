"""Writes records in the background: whoever adds one never waits, and what is too much is dropped and counted."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from functools import partial
from sys import getsizeof
from typing import TYPE_CHECKING, Final, Literal, get_args

from app.store.database import StoreUnavailableError
from app.store.prediction_records import Record, write_records

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.store.store import Store

logger = logging.getLogger(__name__)

DropReason = Literal["queue_full", "refused", "shutdown"]

MAX_RECORDS: Final = 20_000
MAX_BYTES: Final = 16 << 20
BATCH_RECORDS: Final = 1000
# As long as this, the database's own copies of a batch are small beside what may wait.
_BATCH_BYTES: Final = 2 << 20
_BATCH_SECONDS: Final = 0.2
CLOSE_SECONDS: Final = 1.0


def _bytes_of(record: Record) -> int:
    return getsizeof(record.content)


class RecordWriter:
    """A bounded queue of records, and the thread that writes them in batches.

    While the database is away they wait, and when too many do, the latest are dropped. ``add`` may be called from any
    thread; ``on_written`` and ``on_dropped`` may be, and are called with numbers of records.
    """

    def __init__(
        self,
        store: Store,
        *,
        on_written: Callable[[int], None],
        on_dropped: Callable[[DropReason, int], None],
        on_waiting: Callable[[int], None],
    ) -> None:
        self._store = store
        self._on_written = on_written
        self._on_dropped = on_dropped
        self._on_waiting = on_waiting
        self._lock = threading.Lock()
        self._waiting: deque[Record] = deque()
        # Those of the batch that is being written, too: as they were tried together, they are tried again, so that all
        # or none of them are there. The last part is next.
        self._parts: list[Sequence[Record]] = []
        self._n_records = 0
        self._n_bytes = 0
        self._is_batch_full = threading.Event()
        self._is_closed = threading.Event()
        self._has_said_refused = False
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)

    def start(self) -> None:
        """Start the thread; it does not keep the process from ending."""
        # A counter that first shows with its first loss would hide that loss from whoever looks at increases.
        for reason in get_args(DropReason):
            self._on_dropped(reason, 0)
        self._thread.start()

    async def close(self, *, seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, for ``seconds`` at most; the rest is lost with the process."""
        self._is_closed.set()
        self._is_batch_full.set()
        await asyncio.to_thread(self._thread.join, seconds)
        if n_lost := self._n_records:
            self._on_dropped("shutdown", n_lost)
            logger.warning("answers that were not stored before the end are lost", extra={"records": n_lost})

    def add(self, record: Record) -> None:
        """Let ``record`` be written soon; never waits."""
        n_bytes = _bytes_of(record)
        with self._lock:
            if self._n_records < MAX_RECORDS and self._n_bytes + n_bytes <= MAX_BYTES:
                self._waiting.append(record)
                self._n_records += 1
                self._n_bytes += n_bytes
                if len(self._waiting) == BATCH_RECORDS:
                    self._is_batch_full.set()
                return
        self._on_dropped("queue_full", 1)
        # The thread, which may hang with the database, does not say it.
        self._on_waiting(self._n_records)

    def _run(self) -> None:
        while not self._is_closed.is_set():
            if len(self._waiting) < BATCH_RECORDS:
                self._is_batch_full.wait(_BATCH_SECONDS)
            self._is_batch_full.clear()
            if not self._write_batch():
                self._is_closed.wait(_BATCH_SECONDS)
            self._on_waiting(self._n_records)
        while (self._waiting or self._parts) and self._write_batch():
            pass

    def _write_batch(self) -> bool:
        """Write the next batch, or what is left of the one before; return False when the store is away."""
        if not self._parts and (batch := self._next_batch()):
            self._parts.append(batch)
        while self._parts:
            part = self._parts[-1]
            try:
                self._store.use(partial(write_records, records=part))
            except StoreUnavailableError:
                return False
            except Exception as error:  # noqa: BLE001 - whatever it is, the other records are written
                self._parts.pop()
                self._divide(part, error)
            else:
                self._parts.pop()
                self._forget(part)
                self._on_written(len(part))
        return True

    def _next_batch(self) -> list[Record]:
        batch: list[Record] = []
        n_bytes = 0
        with self._lock:
            while self._waiting and len(batch) < BATCH_RECORDS and n_bytes < _BATCH_BYTES:
                batch.append(self._waiting.popleft())
                n_bytes += _bytes_of(batch[-1])
        return batch

    def _divide(self, part: Sequence[Record], error: Exception) -> None:
        """Try the halves of what was refused, or drop the one record that it was refused for."""
        if len(part) > 1:
            middle = len(part) // 2
            self._parts += [part[middle:], part[:middle]]
            return
        self._forget(part)
        self._on_dropped("refused", 1)
        if not self._has_said_refused:
            self._has_said_refused = True
            # What the database says may quote the record, and so the ticket.
            logger.error(
                "the store refuses a record, which is lost; more of them are only counted: %s", type(error).__name__
            )

    def _forget(self, part: Sequence[Record]) -> None:
        with self._lock:
            self._n_records -= len(part)
            self._n_bytes -= sum(map(_bytes_of, part))

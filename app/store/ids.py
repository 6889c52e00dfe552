"""Ids of predictions and of feedback: UUIDs version 7 (RFC 9562), which sort by the time at which they were made."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

# Random bytes are asked for in blocks, because each request costs a system call.
_BLOCK_BYTES: Final = 4096
_BYTES_PER_ID: Final = 8
_MAX_COUNTER: Final = (1 << 12) - 1
_VARIANT_BITS: Final = 0b10 << 62
_RANDOM_BITS: Final = (1 << 62) - 1


class IdMaker:
    """Makes ids that rise within a process, also within a millisecond and when the clock is set back.

    The 12 bits after the version count the ids of a millisecond (RFC 9562, section 6.2, method 1); 62 bits are random.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._milliseconds = 0
        self._counter = 0
        self._random = b""
        self._used = 0

    def new(self) -> str:
        """Return an id such as ``0198c0de-...``; may be called from any thread."""
        now = time.time_ns() // 1_000_000
        with self._lock:
            if now > self._milliseconds:
                self._milliseconds, self._counter = now, 0
            elif self._counter < _MAX_COUNTER:
                self._counter += 1
            else:
                self._milliseconds, self._counter = self._milliseconds + 1, 0
            if self._used == len(self._random):
                self._random, self._used = os.urandom(_BLOCK_BYTES), 0
            tail = int.from_bytes(self._random[self._used : self._used + _BYTES_PER_ID])
            self._used += _BYTES_PER_ID
            head = self._milliseconds << 16 | 0x7000 | self._counter
        digits = f"{head:016x}{tail & _RANDOM_BITS | _VARIANT_BITS:016x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


new_id: Final = IdMaker().new


def milliseconds_of(identifier: str) -> int:
    """Return when the id was made, in milliseconds since 1970."""
    return int(identifier[:8] + identifier[9:13], 16)


def new_id_after(earlier: str) -> str:
    """Return a new id that sorts after ``earlier``, also when that was made by a clock which is ahead of this one."""
    identifier = new_id()
    if identifier > earlier:
        return identifier
    later = f"{milliseconds_of(earlier) + 1:012x}"
    return f"{later[:8]}-{later[8:]}{identifier[13:]}"

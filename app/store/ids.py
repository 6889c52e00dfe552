"""Ids of predictions and of feedback: UUIDs version 7 (RFC 9562), which sort by the time at which they were made."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# Random bytes are asked for in blocks, because each request costs a system call.
_TAILS_AT_ONCE: Final = 512
_TAIL_DIGITS: Final = 16
_MAX_COUNTER: Final = (1 << 12) - 1


class IdMaker:
    """Makes ids that rise within a process, also within a millisecond and when the clock is set back.

    The 12 bits after the version count the ids of a millisecond (RFC 9562, section 6.2, method 1); 60 bits are random.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._milliseconds = 0
        self._beginning = ""
        self._counter = _MAX_COUNTER
        self._tails = _tails()

    def new(self) -> str:
        """Return an id such as ``0198c0de-...``; may be called from any thread."""
        now = time.time_ns() // 1_000_000
        with self._lock:
            if now > self._milliseconds:
                self._begin(now)
            elif self._counter < _MAX_COUNTER:
                self._counter += 1
            else:
                self._begin(self._milliseconds + 1)
            return f"{self._beginning}{self._counter:03x}-{next(self._tails)}"

    def _begin(self, milliseconds: int) -> None:
        digits = f"{milliseconds:012x}"
        self._milliseconds, self._counter = milliseconds, 0
        self._beginning = f"{digits[:8]}-{digits[8:]}-7"


def _tails() -> Iterator[str]:
    """Yield what stands after the counter: the variant and random digits."""
    while True:
        digits = os.urandom(_TAILS_AT_ONCE * _TAIL_DIGITS // 2).hex()
        for start in range(0, len(digits), _TAIL_DIGITS):
            yield f"8{digits[start : start + 3]}-{digits[start + 3 : start + 15]}"


new_id: Final = IdMaker().new


def milliseconds_of(identifier: str) -> int:
    """Return when the id was made, in milliseconds since 1970."""
    return int(identifier[:8] + identifier[9:13], 16)


def first_id_at(milliseconds: int) -> str:
    """Return what sorts before every id that is made from then on, and after all others."""
    digits = f"{milliseconds:012x}"
    return f"{digits[:8]}-{digits[8:]}"


def new_id_after(earlier: str) -> str:
    """Return a new id that sorts after ``earlier``, also when that was made by a clock which is ahead of this one."""
    identifier = new_id()
    if identifier > earlier:
        return identifier
    later = f"{milliseconds_of(earlier) + 1:012x}"
    return f"{later[:8]}-{later[8:]}{identifier[13:]}"

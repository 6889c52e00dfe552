"""Which ``auto`` answers a person checks: a share of them, drawn by chance that no caller can predict."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from typing import Final

# Numbers are asked for in blocks, because each request costs a system call.
_BLOCK: Final = 1024
_TYPE: Final = "Q"
_NUMBERS: Final = 1 << 64


class Audits:
    """Draws each answer with the same chance, whatever the ticket is; may be used from any thread.

    Who could predict it would know which answers nobody will check, and what they prove would not hold for the others.
    """

    def __init__(self, share: float) -> None:
        self.share = share
        self._below = round(share * _NUMBERS)
        self._numbers: Iterator[int] = iter(())

    def is_drawn(self) -> bool:
        """Return True with the chance ``share``."""
        number = next(self._numbers, None)
        if number is None:
            numbers = iter(array(_TYPE, os.urandom(_BLOCK * array(_TYPE).itemsize)))
            number = next(numbers)
            self._numbers = numbers
        return number < self._below

"""Intervals as people read them: rounded outwards, so that none of them ends at a whole that was not shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

# What rounding does to a number like 0.95 must not move it by a whole step.
_ROUNDING = 1e-9


def shown_interval(interval: Sequence[float], *, digits: int, scale: int = 1) -> str:
    """Return ``"0.946 to 0.987"``; with a ``scale`` of 100, both ends in percent."""
    step = 10.0**digits
    low = math.floor(interval[0] * scale * step + _ROUNDING) / step
    high = math.ceil(interval[1] * scale * step - _ROUNDING) / step
    return f"{low:.{digits}f} to {high:.{digits}f}"

"""When to try again, and when to leave a helpdesk alone; pure, but for the jitter."""

from __future__ import annotations

import random
from typing import Final

from app.connectors.api import UnavailableError

FIRST_DELAY_MS: Final = 1_000
LONGEST_DELAY_MS: Final = 3_600_000
GIVE_UP_MS: Final = 86_400_000
# After so many failures in a row, one attempt at a time is made.
TRIAL_AFTER: Final = 5
_FIRST_PAUSE_MS: Final = 5_000
_LONGEST_PAUSE_MS: Final = 300_000
# The clocks of two machines differ, and changes show up a little late.
OVERLAP_MS: Final = 120_000
_MAX_DOUBLINGS: Final = 20


def delay_ms(n_attempts: int) -> int:
    """Return how long a job waits after so many attempts: a second, doubled up to an hour, and up to half as much more.

    Otherwise all that failed together would come back together.
    """
    delay = min(FIRST_DELAY_MS << min(max(n_attempts, 1) - 1, _MAX_DOUBLINGS), LONGEST_DELAY_MS)
    return min(round(delay * random.uniform(1.0, 1.5)), LONGEST_DELAY_MS)  # noqa: S311  # nosec B311 - no secret


def asked_pause_ms(error: Exception) -> int:
    """Return for how long a helpdesk has itself asked to be left alone."""
    return 1000 * (error.retry_after_seconds or 0) if isinstance(error, UnavailableError) else 0


def pause_ms(n_failures: int, *, asked_ms: int = 0) -> int:
    """Return how long a helpdesk is left alone after so many failures in a row: not at all at first, unless it asks."""
    if n_failures < TRIAL_AFTER:
        return asked_ms
    return max(asked_ms, min(_FIRST_PAUSE_MS << min(n_failures - TRIAL_AFTER, _MAX_DOUBLINGS), _LONGEST_PAUSE_MS))

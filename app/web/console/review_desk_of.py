"""Whose desk a request to the page of review is about."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Final

from app.store.review_desk import Desk

if TYPE_CHECKING:
    from app.web.console.page import PageRequest

_DIGITS: Final = 16
_DAY_MS: Final = 86_400_000


def desk_of(request: PageRequest) -> Desk:
    """Return the desk of a reviewer by name; who has none has one for each key, which no program shares."""
    client = request.client
    holder = client.name or f"console {hashlib.sha256(client.identity.encode()).hexdigest()[:_DIGITS]}"
    return Desk(holder, client.name, time.time_ns() // 1_000_000)


def a_day_before(now_ms: int) -> int:
    """Return since when judgements are shown that may be taken back."""
    return now_ms - _DAY_MS

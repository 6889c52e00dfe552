"""What changed since a time, page by page, where tickets change while they are read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.connectors.sighting import Sighting


@dataclass(frozen=True, slots=True)
class Page:
    """Tickets, oldest change first; ``following`` is how the helpdesk calls the next page, None if there is none."""

    sightings: Sequence[Sighting]
    following: str | None


async def by_time_of_change(
    read: Callable[[int, str | None], Awaitable[Page]], since_ms: int
) -> AsyncIterator[Sighting]:
    """Yield what changed since then, some of it twice; ``read`` returns a page of what changed since a time.

    Each page begins where the last one ended in time, not in number: a ticket that changes meanwhile moves to the end
    of the list, and what comes after it moves up by one and out of the next page. Only where a whole page changed at
    one moment is the next one asked for by its name.
    """
    name: str | None = None
    while True:
        page = await read(since_ms, name)
        for sighting in page.sightings:
            yield sighting
        if page.following is None or not page.sightings:
            return
        last_ms = page.sightings[-1].changed_ms or 0
        since_ms, name = (last_ms, None) if last_ms > since_ms else (since_ms, page.following)

"""Pages of tickets that change while they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from app.connectors.helpdesks.paging import Page, by_time_of_change
from app.connectors.sighting import Sighting

PAGE_SIZE = 3


class List:
    """Tickets by the time of their last change; ``meanwhile`` happens after each page."""

    def __init__(self, changed: dict[str, int], meanwhile: Callable[[dict[str, int]], None] = lambda _: None) -> None:
        self.changed = changed
        self.n_pages = 0
        self._meanwhile = meanwhile

    async def read(self, since_ms: int, name: str | None) -> Page:
        met = sorted((at, ref) for ref, at in self.changed.items() if at >= since_ms)
        start = int(name or 0)
        page = [Sighting(ref=ref, changed_ms=at) for at, ref in met[start : start + PAGE_SIZE]]
        self.n_pages += 1
        self._meanwhile(self.changed)
        return Page(page, str(start + PAGE_SIZE) if start + PAGE_SIZE < len(met) else None)

    def all_since(self, since_ms: int) -> set[str]:
        async def refs() -> set[str]:
            return {sighting.ref async for sighting in by_time_of_change(self.read, since_ms)}

        return asyncio.run(refs())


@given(st.lists(st.integers(0, 8), max_size=30))
def test_everything_that_changed_since_is_seen_also_what_changed_at_one_moment(times: list[int]) -> None:
    tickets = List({str(number): at for number, at in enumerate(times)})

    assert tickets.all_since(4) == {str(number) for number, at in enumerate(times) if at >= 4}
    assert tickets.n_pages <= 2 * len(times) + 1


def test_what_moves_up_while_pages_are_read_is_not_missed() -> None:
    def touch_the_first(changed: dict[str, int]) -> None:
        first = min(changed, key=lambda ref: (changed[ref], ref))
        if changed[first] < 100:
            changed[first] += 100

    tickets = List({f"{number:02d}": number for number in range(20)}, touch_the_first)

    assert tickets.all_since(0) == {f"{number:02d}" for number in range(20)}

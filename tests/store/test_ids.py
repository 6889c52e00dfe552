"""Ids are UUIDs version 7 that rise, whatever the threads and the clock do."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from app.store.ids import first_id_at, milliseconds_of, new_id, new_id_after
from tests.stored import id_of


def test_an_id_is_a_uuid_version_7_of_now() -> None:
    before = time.time_ns() // 1_000_000

    identifier = new_id()

    parsed = uuid.UUID(identifier)
    assert str(parsed) == identifier
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert before <= milliseconds_of(identifier) <= time.time_ns() // 1_000_000 + 10


def test_ten_thousand_ids_made_in_a_row_rise() -> None:
    made = [new_id() for _ in range(10_000)]

    assert made == sorted(set(made))


def test_ids_made_in_several_threads_differ() -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: new_id(), range(20_000)))

    assert len(set(made)) == 20_000


def test_an_id_after_one_of_a_clock_that_is_ahead_is_later_and_still_a_uuid() -> None:
    ahead = f"{milliseconds_of(new_id()) + 60_000:012x}"
    earlier = f"{ahead[:8]}-{ahead[8:]}-7fff-bfff-ffffffffffff"

    later = new_id_after(earlier)

    assert later > earlier
    assert uuid.UUID(later).version == 7
    assert new_id_after("") > ""


def test_what_was_made_from_a_time_on_sorts_after_that_time_and_the_rest_before_it() -> None:
    ids = [id_of(milliseconds) for milliseconds in (999, 1_000, 1_001)]

    assert [identifier >= first_id_at(1_000) for identifier in ids] == [False, True, True]

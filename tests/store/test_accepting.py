"""Answers of a filter that are accepted together, on both databases: which, how many, once, and back again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.store.accepting import (
    Forecast,
    HeadForecast,
    Together,
    accept_some,
    batches_of,
    forecast,
    take_some_back,
    together_key,
)
from app.store.database import Database
from app.store.ids import milliseconds_of
from app.store.migration import upgrade
from app.store.review_queue import Filters
from app.store.tables import feedback, second_readings
from tests.review_items import Item, put_in_queue
from tests.store.desk import JUDGE, Reviewer, always
from tests.stored import counting_label, id_of, is_open, rows_of

HIGH = Filters("priority", "High", "suggest")
KEY = together_key("key:mia", "request 1")


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with contextlib.closing(Database(store_url)) as database:
        upgrade(database)
        yield database


@pytest.fixture
def mia(database: Database) -> Reviewer:
    return Reviewer(database, reads_again=always)


def put(database: Database, *items: Item) -> list[str]:
    return put_in_queue(database, items)


def together(mia: Reviewer, filters: Filters = HIGH, key: str = KEY) -> Together:
    seen = forecast(mia.database, filters, mia.desk())
    assert seen.until is not None
    return Together(filters, seen.until, seen.n_tickets, key)


def accept(mia: Reviewer, what: Together, **more: int) -> int:
    n_accepted = 0
    for _ in range(100):
        part = accept_some(mia.database, what, mia.desk(), judge=JUDGE, keeps_text=True, **more)
        n_accepted += part.n_tickets
        if part.is_last:
            return n_accepted
    raise AssertionError("it never comes to an end")


def still_open(database: Database, ids: list[str]) -> list[str]:
    return [item for item in ids if is_open(database, item)]


def test_what_fits_a_filter_is_counted_with_what_is_expected_to_be_wrong(database: Database, mia: Reviewer) -> None:
    low = {"priority": ("Low", "suggest"), "department": ("Sales", "auto")}
    ids = put(database, Item(), Item(), Item(heads=low), Item(is_audit=True), Item(is_open=False))

    assert forecast(database, HIGH, mia.desk()) == Forecast(
        2,
        ids[1],
        is_cut=False,
        heads=(HeadForecast("department", 2, 1.0, 0, 0), HeadForecast("priority", 2, 1.0, 0, 0)),
    )
    assert forecast(database, Filters("priority", "Urgent"), mia.desk()) == Forecast(0, None, is_cut=False, heads=())


def test_what_people_found_of_like_tickets_is_told(database: Database, mia: Reviewer) -> None:
    read = put(database, *(Item() for _ in range(4)))
    put(database, Item())
    for item, label in zip(read, ("High", "High", "Low", "Urgent"), strict=True):
        mia.judge(item, {"priority": label, "department": "Sales"})
    mia.judge(read[3])
    accept(mia, together(mia))
    put(database, Item())

    heads = {head.head: (head.n_judged, head.n_right) for head in forecast(database, HIGH, mia.desk()).heads}

    assert heads == {"priority": (4, 3), "department": (4, 4)}


def test_they_are_accepted_as_answered_and_leave_the_queue(database: Database, mia: Reviewer) -> None:
    ids = put(database, *(Item() for _ in range(7)))
    audit, other = put(database, Item(is_audit=True), Item(heads={"priority": ("Low", "suggest")}))

    assert accept(mia, together(mia), max_rows=3) == 7

    assert still_open(database, [*ids, audit, other]) == [audit, other]
    assert {counting_label(database, item, head) for item in ids for head in ("priority", "department")} == {
        "High",
        "Sales",
    }
    assert {(row["source"], row["reviewer"], row["accepted_together"]) for row in rows_of(database, feedback)} == {
        ("review", "mia", True)
    }
    assert rows_of(database, second_readings) == []


def test_what_came_after_the_number_was_said_is_left_alone(database: Database, mia: Reviewer) -> None:
    before = put(database, Item(), Item())
    what = together(mia)
    after = put(database, Item(), Item())
    late = put(database, Item(prediction_id=id_of(milliseconds_of(before[0]) - 1)))

    assert accept(mia, what) == 2

    assert len(still_open(database, [*before, *late])) == 1
    assert still_open(database, after) == after


def test_what_came_later_does_not_take_the_place_of_what_was_judged_meanwhile(
    database: Database, mia: Reviewer
) -> None:
    before = put(database, Item(), Item())
    what = together(mia)
    after = put(database, Item())
    mia.judge(before[0])

    assert accept(mia, what) == 1

    assert still_open(database, [*before, *after]) == after


def test_what_has_only_just_come_is_not_counted_yet(database: Database, mia: Reviewer) -> None:
    put(database, Item())
    mia.seconds = 0

    assert forecast(database, HIGH, mia.desk()).n_tickets == 0


def test_what_somebody_else_is_reading_is_left_to_them(database: Database, mia: Reviewer) -> None:
    ids = put(database, Item(0), Item(1), Item(2))
    Reviewer(database, "leo").take()
    mia.take()

    assert forecast(database, HIGH, mia.desk()).n_tickets == 2
    assert accept(mia, together(mia)) == 2
    assert still_open(database, ids) == ids[:1]


def test_the_same_request_again_accepts_nothing_more_not_even_what_was_taken_back(
    database: Database, mia: Reviewer
) -> None:
    ids = put(database, *(Item() for _ in range(5)))
    what = together(mia)
    accept_some(database, what, mia.desk(), judge=JUDGE, keeps_text=True, max_rows=2)
    assert accept(mia, what, max_rows=2) == 3
    assert accept(mia, what) == 0

    back = take_some_back(database, KEY, now_ms=1, keeps_text=True)
    assert (back.n_tickets, back.is_last) == (5, True)

    assert accept(mia, what) == 0
    assert still_open(database, ids) == ids
    assert accept(mia, replace(what, key=together_key("key:mia", "request 2"))) == 5


def test_they_are_taken_back_as_a_whole_but_for_what_was_judged_since(database: Database, mia: Reviewer) -> None:
    ids = put(database, *(Item() for _ in range(5)))
    accept(mia, together(mia))
    mia.judge(ids[0], {"priority": "Low"})
    others = put(database, Item())
    accept(mia, together(mia, key=together_key("key:mia", "another")))

    steps = [take_some_back(database, KEY, now_ms=1, keeps_text=True, max_rows=2) for _ in range(3)]

    assert [(step.n_tickets, step.is_last) for step in steps] == [(2, False), (2, False), (1, True)]
    assert still_open(database, ids) == ids[1:]
    assert counting_label(database, ids[0], "priority") == "Low"
    assert still_open(database, others) == []


def test_what_was_accepted_together_is_listed_until_it_is_taken_back(database: Database, mia: Reviewer) -> None:
    put(database, Item(), Item())
    accept(mia, together(mia))

    (batch,) = batches_of(database, "mia", since_ms=0)
    assert (batch.key, batch.n_tickets) == (KEY, 2)
    assert batches_of(database, "leo", since_ms=0) == []
    assert batches_of(database, "mia", since_ms=batch.received_ms + 1) == []
    take_some_back(database, KEY, now_ms=1, keeps_text=True)
    assert batches_of(database, "mia", since_ms=0) == []


def test_keys_of_different_callers_never_meet() -> None:
    assert together_key("key:mia", "1") != together_key("key:leo", "1") != together_key("key:leo", "2")

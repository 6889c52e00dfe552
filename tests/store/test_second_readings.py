"""Tickets that two people judge, on both databases: whom they go to, when they close, and what comes of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import astuple

import pytest

from app.store.database import Database
from app.store.erasure import erase_ticket
from app.store.feedback import record
from app.store.judgement import Remark
from app.store.migration import upgrade
from app.store.retention import expire_some
from app.store.review_desk import next_items, put_back, take_item
from app.store.review_queue import LEASE_MS, claim_items
from app.store.second_readings import read_pairs
from app.store.tables import second_readings
from app.store.taking_back import take_back
from tests.review_items import Item, put_in_queue
from tests.store.desk import HIGH, JUDGE, Reviewer, always, never
from tests.stored import counting_label, is_open, rows_of

LOW = {"priority": "Low"}


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with contextlib.closing(Database(store_url)) as database:
        upgrade(database)
        yield database


@pytest.fixture
def mia(database: Database) -> Reviewer:
    return Reviewer(database, reads_again=always)


@pytest.fixture
def leo(database: Database) -> Reviewer:
    return Reviewer(database, "leo")


def judged_once(database: Database, mia: Reviewer, **of_item: object) -> str:
    (item,) = put_in_queue(database, [Item(**of_item)])
    mia.take()
    mia.judge(item)
    return item


def pairs(database: Database) -> list[tuple[object, ...]]:
    return [astuple(pair) for pair in read_pairs(database)]


def test_a_ticket_that_is_drawn_goes_to_a_second_person_and_to_no_third(
    database: Database, mia: Reviewer, leo: Reviewer
) -> None:
    item = judged_once(database, mia)

    assert mia.take() == []
    assert claim_items(database, reviewer="leo", count=9, now_ms=leo.desk().now_ms) == []
    assert leo.take() == [item]
    assert Reviewer(database, "zoe").take() == []
    leo.judge(item, LOW)

    assert Reviewer(database, "zoe").take() == []
    assert pairs(database) == [("priority", "High", "Low")]
    assert counting_label(database, item, "priority") == "Low"
    assert [(row["first_reviewer"], row["reviewer"], row["is_open"]) for row in rows_of(database, second_readings)] == [
        ("mia", "leo", False)
    ]


def test_a_ticket_that_is_not_drawn_is_judged_once(database: Database, leo: Reviewer) -> None:
    judged_once(database, Reviewer(database, reads_again=never))

    assert leo.take() == []
    assert rows_of(database, second_readings) == []


def test_what_a_nameless_person_judged_is_not_read_again_nor_given_to_one(database: Database, mia: Reviewer) -> None:
    nobody = Reviewer(database, None, reads_again=always)
    judged_once(database, nobody)
    assert rows_of(database, second_readings) == []

    judged_once(database, mia)
    assert nobody.take() == []


def test_who_has_said_something_of_the_ticket_before_does_not_read_it_again(
    database: Database, mia: Reviewer, leo: Reviewer
) -> None:
    item = judged_once(database, mia)
    said = Remark(LOW, "helpdesk", prediction_id=item, reviewer="leo")
    record(database, [said], judge=JUDGE, keeps_text=True)

    assert leo.take() == []


def test_the_second_reader_of_an_audit_does_not_know_the_answer_either(
    database: Database, mia: Reviewer, leo: Reviewer
) -> None:
    judged_once(database, mia, is_audit=True)

    (item,) = next_items(database, leo.desk(), count=1, is_second=always)

    assert item.predictions is None


def test_second_readings_are_mixed_in_as_it_is_drawn_or_when_nothing_else_is_left(
    database: Database, mia: Reviewer, leo: Reviewer
) -> None:
    again = judged_once(database, mia)
    new = put_in_queue(database, [Item(0), Item(1)])

    leo.is_second = never
    assert leo.take(1) == new[:1]
    leo.is_second = always
    assert leo.take(1, without=new[:1]) == [again]
    leo.is_second = never
    assert leo.take(9, without=[new[0], again]) == new[1:]
    assert Reviewer(database, "zoe", is_second=never).take() == []


def test_a_second_reading_that_nobody_wants_rests_for_a_while(database: Database, mia: Reviewer, leo: Reviewer) -> None:
    item = judged_once(database, mia)
    leo.take()

    assert put_back(database, leo.desk(), item)
    assert leo.take() == []
    leo.seconds += LEASE_MS / 1000 + 1
    assert leo.take() == [item]


def test_when_the_first_judgement_is_taken_back_there_is_nothing_to_read_again(
    database: Database, leo: Reviewer
) -> None:
    draws = iter([True, False])
    mia = Reviewer(database, reads_again=lambda: next(draws))
    (item,) = put_in_queue(database, [Item()])
    mia.take()
    said = mia.judge(item)

    assert mia.take_back(said) == item
    assert leo.take() == []
    mia.judge(item)
    assert leo.take() == []


def test_who_reads_it_a_second_time_when_the_first_judgement_is_taken_back_judges_it_first(
    database: Database, mia: Reviewer, leo: Reviewer
) -> None:
    (item,) = put_in_queue(database, [Item()])
    mia.take()
    said = mia.judge(item)
    leo.take()

    mia.take_back(said)

    assert is_open(database, item)
    assert take_item(database, mia.desk(), item) is None
    assert mia.take() == []
    assert leo.take() == [item]
    leo.judge(item, LOW)
    assert pairs(database) == []


def test_a_second_judgement_that_is_taken_back_may_be_given_again(
    database: Database, mia: Reviewer, leo: Reviewer
) -> None:
    item = judged_once(database, mia)
    leo.take()
    said = leo.judge(item, LOW)

    assert leo.take_back(said) == item
    assert pairs(database) == []
    assert take_item(database, leo.desk(), item) is not None
    assert Reviewer(database, "zoe").take() == []
    leo.judge(item)

    assert pairs(database) == [("priority", "High", "High")]


def test_a_second_judgement_that_is_taken_back_elsewhere_is_asked_for_again(
    database: Database, mia: Reviewer, leo: Reviewer
) -> None:
    item = judged_once(database, mia)
    leo.take()
    take_back(database, leo.judge(item, LOW), now_ms=1, keeps_text=True)

    zoe = Reviewer(database, "zoe")
    assert zoe.take() == [item]
    zoe.judge(item)
    assert pairs(database) == [("priority", "High", "High")]


def test_what_they_say_after_both_have_judged_changes_no_pair(database: Database, mia: Reviewer, leo: Reviewer) -> None:
    item = judged_once(database, mia)
    leo.take()
    leo.judge(item, LOW)
    mia.judge(item, LOW)
    both = Remark(LOW, "review", prediction_id=item, reviewer="leo", accepted_together=True)
    record(database, [both], judge=JUDGE, keeps_text=True)

    assert pairs(database) == [("priority", "High", "Low")]


def test_of_many_tickets_that_two_have_judged_the_latest_are_compared(
    database: Database, mia: Reviewer, leo: Reviewer
) -> None:
    for labels in (HIGH, LOW):
        item = judged_once(database, mia)
        leo.take()
        leo.judge(item, labels)

    assert [pair.second for pair in read_pairs(database, most=9)] == ["High", "Low"]
    assert [pair.second for pair in read_pairs(database, most=1)] == ["Low"]


def test_a_first_judgement_that_was_taken_back_makes_no_pair(database: Database, mia: Reviewer, leo: Reviewer) -> None:
    (item,) = put_in_queue(database, [Item()])
    mia.take()
    said = mia.judge(item)
    leo.take()
    leo.judge(item, LOW)

    mia.take_back(said)

    assert pairs(database) == []
    assert not is_open(database, item)


def test_nobody_is_asked_again_about_a_ticket_whose_text_is_gone(
    database: Database, mia: Reviewer, leo: Reviewer
) -> None:
    judged_once(database, mia, ticket_id="T-1")
    judged_once(database, mia, ticket_id="T-2")
    erase_ticket(database, "T-1", now_ms=mia.desk().now_ms)
    assert len(leo.take(9)) == 1

    when_texts_go_ms = mia.desk().now_ms + 86_400_000 * 3 // 2
    expire_some(database, retention_days=1, now_ms=when_texts_go_ms)
    assert len(rows_of(database, second_readings)) == 1

    leo.seconds += 3600
    assert leo.take(9) == []

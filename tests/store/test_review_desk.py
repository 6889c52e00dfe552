"""Desks of reviewers, on both databases: what lies on them, stays there, comes back and is judged once."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.store.database import Database
from app.store.feedback import record
from app.store.ids import new_id
from app.store.judgement import Recorded, Remark
from app.store.migration import upgrade
from app.store.review_desk import keep_items, put_back, take_item
from app.store.review_queue import LEASE_MS, claim_items
from app.store.tables import feedback, second_readings
from tests.review_items import Item, put_in_queue
from tests.store.desk import JUDGE, Reviewer, always
from tests.stored import counting_label, is_open, rows_of

LEASE_SECONDS = LEASE_MS / 1000


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with contextlib.closing(Database(store_url)) as database:
        upgrade(database)
        yield database


def test_what_lies_on_the_desk_comes_first_and_then_what_is_worth_most(database: Database) -> None:
    ids = put_in_queue(database, [Item(-rank / 10) for rank in range(5, 0, -1)])
    mia = Reviewer(database)

    assert mia.take(2) == ids[:2]
    assert mia.take(2) == ids[:2]
    assert mia.take(3) == ids[:3]
    assert mia.take(1, without=ids[:3]) == ids[3:4]


def test_no_two_reviewers_see_the_same_ticket_whether_in_the_console_or_not(database: Database) -> None:
    ids = put_in_queue(database, [Item(number) for number in range(6)])
    mia, leo = Reviewer(database), Reviewer(database, "leo")

    assert mia.take(2) == ids[:2]
    assert leo.take(2) == ids[2:4]
    assert [
        item.prediction_id for item in claim_items(database, reviewer="bot", count=9, now_ms=mia.desk().now_ms)
    ] == (ids[4:])
    assert leo.take(3) == ids[2:4]


def test_an_audit_comes_without_its_answer(database: Database) -> None:
    from app.store.review_desk import next_items  # noqa: PLC0415

    put_in_queue(database, [Item(0, is_audit=True), Item(1)])

    audit, asked = next_items(database, Reviewer(database).desk(), count=2, is_second=always)

    assert audit.predictions is None
    assert asked.predictions is not None


def test_who_works_on_keeps_a_ticket_beyond_its_ten_minutes(database: Database) -> None:
    (item,) = put_in_queue(database, [Item()])
    mia, leo = Reviewer(database), Reviewer(database, "leo")
    mia.take()

    mia.seconds += LEASE_SECONDS - 1
    assert keep_items(database, mia.desk(), [item, new_id()]) == [item]
    leo.seconds += LEASE_SECONDS + 1
    assert leo.take() == []

    leo.seconds += LEASE_SECONDS
    assert leo.take() == [item]
    mia.seconds = leo.seconds
    assert keep_items(database, mia.desk(), [item]) == []


def test_a_lease_that_ended_is_renewed_as_long_as_nobody_else_got_the_ticket(database: Database) -> None:
    (item,) = put_in_queue(database, [Item()])
    mia, leo = Reviewer(database), Reviewer(database, "leo")
    mia.take()

    mia.seconds += 3 * LEASE_SECONDS
    assert keep_items(database, mia.desk(), [item]) == [item]
    leo.seconds = mia.seconds
    assert leo.take() == []


def test_a_judgement_is_refused_while_somebody_else_has_the_ticket_and_kept_for_who_insists(database: Database) -> None:
    (item,) = put_in_queue(database, [Item()])
    mia, leo = Reviewer(database), Reviewer(database, "leo")
    mia.take()
    leo.seconds = mia.seconds = LEASE_SECONDS + 20
    leo.take()

    assert mia.refused(item) == "lease_lost"
    leo.judge(item, {"priority": "Low"})
    assert mia.refused(item) == "already_judged"
    assert counting_label(database, item, "priority") == "Low"

    assert isinstance(mia.ask(item, insists=True), Recorded)
    assert counting_label(database, item, "priority") == "High"


def test_a_ticket_whose_lease_ended_without_anybody_else_is_judged_all_the_same(database: Database) -> None:
    (item,) = put_in_queue(database, [Item()])
    mia = Reviewer(database)
    mia.take()
    mia.seconds += 5 * LEASE_SECONDS

    mia.judge(item)

    assert not is_open(database, item)


def test_what_was_said_already_is_answered_the_same_whatever_became_of_the_ticket(database: Database) -> None:
    (item,) = put_in_queue(database, [Item()])
    mia, leo = Reviewer(database, reads_again=always), Reviewer(database, "leo")
    mia.take()
    first = mia.ask(item, key="k" * 64)
    leo.take()
    leo.judge(item)

    assert mia.ask(item, key="k" * 64) == first
    assert len(rows_of(database, feedback)) == 2


def test_what_nobody_read_may_still_be_read(database: Database) -> None:
    (item,) = put_in_queue(database, [Item()])
    remark = Remark({"priority": "Low"}, "review", prediction_id=item, reviewer="leo", accepted_together=True)
    record(database, [remark], judge=JUDGE, keeps_text=True)

    Reviewer(database).judge(item)

    assert counting_label(database, item, "priority") == "High"


def test_who_takes_a_judgement_back_has_the_ticket_at_once(database: Database) -> None:
    first, second = put_in_queue(database, [Item(0), Item(1)])
    mia, leo = Reviewer(database), Reviewer(database, "leo")
    mia.take()
    said = mia.judge(first)

    assert leo.take_back(said) is None
    assert mia.take_back(new_id()) is None
    assert mia.take_back(said) == first

    assert leo.take(2) == [second]
    assert mia.take() == [first]
    item = take_item(database, mia.desk(), first)
    assert item is not None
    assert item.prediction_id == first
    assert take_item(database, leo.desk(), first) is None
    mia.judge(first, {"priority": "Low"})
    assert counting_label(database, first, "priority") == "Low"


def test_people_without_names_of_their_own_have_desks_of_their_own(database: Database) -> None:
    ids = put_in_queue(database, [Item(0), Item(1)])
    one, other = Reviewer(database, None, holder="admin 1"), Reviewer(database, None, holder="admin 2")

    assert (one.take(), other.take()) == (ids[:1], ids[1:])
    said = one.judge(ids[0])
    assert one.take_back(said) == ids[0]
    assert one.take() == ids[:1]


def test_a_ticket_that_is_put_back_comes_last(database: Database) -> None:
    ids = put_in_queue(database, [Item(-1.0), Item(-0.5)])
    mia = Reviewer(database)
    mia.take()

    assert put_back(database, mia.desk(), ids[0])
    assert mia.take(2) == ids[::-1]
    assert not put_back(database, mia.desk(), new_id())


def test_ten_reviewers_at_once_judge_every_ticket_once_and_some_twice(database: Database) -> None:
    n_items, n_reviewers = 300, 10
    put_in_queue(database, [Item(-(number % 97) / 97) for number in range(n_items)])
    start = threading.Barrier(n_reviewers)

    def work(number: int) -> list[str]:
        draws = iter(number % 3 == draw % 5 for draw in range(10_000))
        reviewer = Reviewer(database, f"reviewer-{number}", reads_again=lambda: next(draws))
        judged = []
        start.wait()
        while items := reviewer.take(3):
            for item in items:
                reviewer.judge(item)
                judged.append(item)
        return judged

    with ThreadPoolExecutor(n_reviewers) as threads:
        by_reviewer = list(threads.map(work, range(n_reviewers)))

    counts = Counter(item for judged in by_reviewer for item in judged)
    twice = {row["prediction_id"] for row in rows_of(database, second_readings) if not row["is_open"]}
    assert len(counts) == n_items
    assert {item for item, n in counts.items() if n == 2} == twice
    assert twice
    assert max(counts.values()) == 2
    assert all(len(set(judged)) == len(judged) for judged in by_reviewer)

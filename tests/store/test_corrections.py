"""What was taken for what, on either database: of each ticket that somebody read the latest judgement that stands."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from app.store.corrections import Correction, TakenFor, count_taken_for, latest_corrections
from app.store.database import Database
from app.store.tables import feedback
from tests.store.judged import JudgedStore, Said

if TYPE_CHECKING:
    from collections.abc import Iterator

HIGH = {"priority": Said("High", decision="suggest")}
BOTH = {"priority": Said("High", decision="suggest"), "department": Said("Sales")}


@pytest.fixture
def store(store_url: str) -> Iterator[JudgedStore]:
    with closing(JudgedStore(store_url)) as store:
        yield store


def counts(store: JudgedStore, *, since_ms: int = 0, most: int = 1_000) -> list[TakenFor]:
    with closing(Database(store.url)) as database:
        return count_taken_for(database, since_ms=since_ms, most=most)


def latest(store: JudgedStore, *, since_ms: int = 0, limit: int = 100) -> list[Correction]:
    with closing(Database(store.url)) as database:
        return latest_corrections(database, since_ms=since_ms, limit=limit)


def change(store: JudgedStore, feedback_id: str, **values: object) -> None:
    with closing(Database(store.url)) as database, database.writing() as connection:
        connection.execute(update(feedback).where(feedback.c.feedback_id == feedback_id).values(values))


def judge(store: JudgedStore, label: str, *, prediction_id: str | None = None, title: str | None = "a title") -> str:
    prediction_id = prediction_id or store.predict(HIGH)
    return store.judge(
        {"priority": label}, prediction_id=prediction_id, said=HIGH, ticket_id="T-1", title=title, reviewer="mia"
    )


def taken(predicted: str, label: str, n_tickets: int) -> TakenFor:
    return TakenFor("1.0.0", "priority", predicted, label, n_tickets)


def test_tickets_are_counted_by_answer_and_judgement_the_most_frequent_first(store: JudgedStore) -> None:
    for label in ("Low", "High", "Low", "Urgent"):
        judge(store, label)

    assert counts(store) == [taken("High", "Low", 2), taken("High", "High", 1), taken("High", "Urgent", 1)]
    assert [one.is_right for one in counts(store)] == [False, True, False]


def test_each_head_is_counted_by_itself(store: JudgedStore) -> None:
    store.judge({"priority": "Low", "department": "Billing"}, prediction_id=store.predict(BOTH), said=BOTH)

    assert {(one.head, one.predicted_label, one.label) for one in counts(store)} == {
        ("priority", "High", "Low"),
        ("department", "Sales", "Billing"),
    }


def test_the_latest_judgement_of_a_ticket_counts(store: JudgedStore) -> None:
    one = store.predict(HIGH)
    judge(store, "Low", prediction_id=one)
    judge(store, "Urgent", prediction_id=one)

    assert counts(store) == [taken("High", "Urgent", 1)]
    assert [correction.label for correction in latest(store)] == ["Urgent"]


def test_a_correction_that_somebody_called_right_after_all_is_none(store: JudgedStore) -> None:
    one = store.predict(HIGH)
    judge(store, "Low", prediction_id=one)
    judge(store, "High", prediction_id=one)

    assert counts(store) == [taken("High", "High", 1)]
    assert latest(store) == []


def test_what_is_taken_back_is_neither_counted_nor_shown_and_the_one_before_counts_again(store: JudgedStore) -> None:
    one = store.predict(HIGH)
    judge(store, "Low", prediction_id=one)
    change(store, judge(store, "Urgent", prediction_id=one), taken_back_ms=1)

    assert counts(store) == [taken("High", "Low", 1)]
    assert [correction.label for correction in latest(store)] == ["Low"]


def test_what_was_accepted_together_was_read_by_nobody(store: JudgedStore) -> None:
    one = store.predict(HIGH)
    judge(store, "Low", prediction_id=one)
    change(store, judge(store, "High", prediction_id=one), accepted_together=True)

    assert counts(store) == [taken("High", "Low", 1)]
    assert [correction.label for correction in latest(store)] == ["Low"]


def test_a_ticket_that_was_never_answered_was_taken_for_nothing(store: JudgedStore) -> None:
    store.judge({"priority": "Low"}, title="brought along")

    assert counts(store) == []
    assert latest(store) == []


def test_of_all_feedback_the_last_so_many_are_looked_at(store: JudgedStore) -> None:
    for label in ("Low", "Urgent", "High"):
        judge(store, label)

    assert counts(store, most=2) == [taken("High", "High", 1), taken("High", "Urgent", 1)]


def test_what_was_said_too_long_ago_is_left_out(store: JudgedStore) -> None:
    change(store, judge(store, "Low"), received_ms=999)
    judge(store, "Urgent")

    assert counts(store, since_ms=1_000) == [taken("High", "Urgent", 1)]
    assert [correction.label for correction in latest(store, since_ms=1_000)] == ["Urgent"]


def test_the_latest_corrections_come_first_with_what_is_known_of_them(store: JudgedStore) -> None:
    judge(store, "Low")
    judge(store, "High")
    judge(store, "Urgent", title=None)

    newest, before = latest(store)

    assert (newest.label, newest.title) == ("Urgent", None)
    assert (before.label, before.title, before.ticket_id, before.reviewer) == ("Low", "a title", "T-1", "mia")
    assert newest.received_ms >= before.received_ms
    assert [correction.label for correction in latest(store, limit=1)] == ["Urgent"]

"""What was answered on each day and checked of each week is counted alike on either database, and in bounded time."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, update

from app.store.database import Database
from app.store.live_counts import (
    DAY_MS,
    AnswersOfDay,
    AuditsOfWeek,
    count_answers_by_day,
    count_audits_by_week,
    monday_of,
    mondays,
)
from app.store.migration import upgrade
from app.store.tables import answer_counts, feedback, judgements
from tests.stored import id_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGEST = "0123456789ab"
# A Monday, 23 November 2026.
MONDAY = 20_780
THREE_WEEKS = mondays(until_day=MONDAY + 3, n_weeks=3)


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with closing(Database(store_url)) as database:
        upgrade(database)
        yield database


def count(database: Database, day: int, decision: str, n_answers: int, *, label: str = "High") -> None:
    row = {
        "day": day, "model_version": "1.0.0", "model_digest": DIGEST, "head": "priority", "label": label,
        "decision": decision, "n_answers": n_answers,
    }  # fmt: skip
    with database.writing() as connection:
        connection.execute(insert(answer_counts), row)


def judge_audit(
    database: Database,
    *,
    is_right: bool,
    answered_ms: int = MONDAY * DAY_MS,
    judged_ms: int | None = None,
    prediction_id: str | None = None,
    is_audit: bool = True,
    version: str = "1.0.0",
) -> str:
    """Judge an answer, and return its id."""
    prediction_id = prediction_id or id_of(answered_ms)
    feedback_id = id_of(judged_ms or answered_ms + DAY_MS)
    said = {"feedback_id": feedback_id, "prediction_id": prediction_id, "received_ms": 0, "source": "review"}
    judged = {
        "feedback_id": feedback_id, "head": "priority", "label": "High" if is_right else "Low",
        "predicted_label": "High", "predicted_decision": "auto", "model_version": version, "model_digest": DIGEST,
        "is_audit": is_audit, "asked_chance": 0.05,
    }  # fmt: skip
    with database.writing() as connection:
        connection.execute(insert(feedback), said)
        connection.execute(insert(judgements), judged)
    return prediction_id


def week(monday: int, n_audited: int, n_right: int, *, version: str = "1.0.0") -> AuditsOfWeek:
    return AuditsOfWeek(monday, version, "priority", "High", n_audited, n_right)


@given(st.integers(0, 100_000))
def test_a_week_begins_on_the_monday_before(day: int) -> None:
    monday = monday_of(day)

    assert 0 <= day - monday < 7
    assert (monday - MONDAY) % 7 == 0


def test_the_last_weeks_end_with_that_of_the_day() -> None:
    assert THREE_WEEKS == [MONDAY - 14, MONDAY - 7, MONDAY]


def test_answers_are_summed_over_labels_from_a_day_on(database: Database) -> None:
    count(database, MONDAY - 1, "auto", 100)
    count(database, MONDAY, "auto", 5)
    count(database, MONDAY, "auto", 2, label="Low")
    count(database, MONDAY + 1, "review", 3)

    assert count_answers_by_day(database, since_day=MONDAY) == [
        AnswersOfDay(MONDAY, "1.0.0", "priority", "auto", 7),
        AnswersOfDay(MONDAY + 1, "1.0.0", "priority", "review", 3),
    ]


def test_an_audit_belongs_to_the_week_of_its_answer_whenever_it_is_judged(database: Database) -> None:
    judge_audit(database, is_right=True, answered_ms=MONDAY * DAY_MS - 1, judged_ms=(MONDAY + 3) * DAY_MS)
    judge_audit(database, is_right=False, answered_ms=MONDAY * DAY_MS)

    assert count_audits_by_week(database, THREE_WEEKS) == [week(MONDAY - 7, 1, 1), week(MONDAY, 1, 0)]


def test_answers_of_before_the_first_week_are_not_counted_in_it(database: Database) -> None:
    judge_audit(database, is_right=False, answered_ms=(MONDAY - 14) * DAY_MS - 1, judged_ms=MONDAY * DAY_MS)
    judge_audit(database, is_right=True, answered_ms=(MONDAY - 14) * DAY_MS)

    assert count_audits_by_week(database, THREE_WEEKS) == [week(MONDAY - 14, 1, 1)]


def test_of_an_answer_the_latest_judgement_counts(database: Database) -> None:
    one = judge_audit(database, is_right=False, judged_ms=(MONDAY + 1) * DAY_MS)
    judge_audit(database, is_right=True, judged_ms=(MONDAY + 2) * DAY_MS, prediction_id=one)

    assert count_audits_by_week(database, THREE_WEEKS) == [week(MONDAY, 1, 1)]


def test_what_is_no_audit_or_taken_back_says_nothing(database: Database) -> None:
    judge_audit(database, is_right=False, is_audit=False)
    taken_back = judge_audit(database, is_right=False)
    with database.writing() as connection:
        of_it = feedback.c.prediction_id == taken_back
        connection.execute(update(feedback).where(of_it).values(taken_back_ms=1))

    assert count_audits_by_week(database, THREE_WEEKS) == []


def test_versions_are_told_apart(database: Database) -> None:
    judge_audit(database, is_right=True, version="1.0.0")
    judge_audit(database, is_right=False, version="2.0.0")

    assert count_audits_by_week(database, THREE_WEEKS) == [
        week(MONDAY, 1, 1, version="1.0.0"),
        week(MONDAY, 1, 0, version="2.0.0"),
    ]

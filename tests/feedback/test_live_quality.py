"""Counts of days and weeks add up: nothing is counted twice or lost, and few are said to be few."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from app.feedback.live_quality import (
    Checked,
    all_checked,
    checked_weeks,
    matrix_of,
    pairs,
    periods,
    totals,
)
from app.store.corrections import TakenFor
from app.store.live_counts import AnswersOfDay, AuditsOfWeek, mondays

TODAY = 20_783
MONDAYS = mondays(until_day=TODAY, n_weeks=26)

audits = st.builds(
    lambda monday, label, right, wrong: AuditsOfWeek(monday, "1.0.0", "priority", label, right + wrong, right),
    st.sampled_from(MONDAYS),
    st.sampled_from(["High", "Low"]),
    st.integers(0, 30),
    st.integers(0, 30),
)
answers = st.builds(
    lambda day, decision, n: AnswersOfDay(day, "1.0.0", "priority", decision, n),
    st.integers(MONDAYS[0], TODAY),
    st.sampled_from(["auto", "suggest", "review"]),
    st.integers(1, 1_000),
)


@given(st.lists(audits))
def test_weeks_add_up_to_all_that_was_checked(found: list[AuditsOfWeek]) -> None:
    weeks = checked_weeks(found, MONDAYS)

    assert all_checked(weeks) == Checked(sum(a.n_audited for a in found), sum(a.n_right for a in found))
    assert [week.monday for week in weeks] == MONDAYS[len(MONDAYS) - len(weeks) :]


def test_a_week_without_checks_is_there_and_knows_nothing() -> None:
    first, last = MONDAYS[-3], MONDAYS[-1]
    found = [AuditsOfWeek(monday, "1.0.0", "priority", "High", 2, 1) for monday in (first, last)]

    weeks = checked_weeks(found, MONDAYS)

    assert [week.checked.n_checked for week in weeks] == [2, 0, 2]
    assert weeks[1].checked.share is None
    assert (weeks[1].checked.low, weeks[1].checked.high) == (0, 1)


@given(st.lists(answers))
def test_periods_have_every_answer_once(found: list[AnswersOfDay]) -> None:
    shown = periods(found, MONDAYS, today=TODAY)

    assert totals(shown).total() == sum(answer.n_answers for answer in found)
    assert all(later.first_day == before.first_day + before.n_days for before, later in pairwise(shown))


def test_few_days_are_shown_one_by_one_and_many_by_week() -> None:
    recent = [AnswersOfDay(TODAY - 27, "1.0.0", "priority", "auto", 1)]
    long_ago = [AnswersOfDay(TODAY - 28, "1.0.0", "priority", "auto", 1)]

    assert {period.n_days for period in periods(recent, MONDAYS, today=TODAY)} == {1}
    assert {period.n_days for period in periods(long_ago, MONDAYS, today=TODAY)} == {7}


def test_a_period_without_answers_has_no_share() -> None:
    shown = periods([AnswersOfDay(TODAY - 1, "1.0.0", "priority", "auto", 3)], MONDAYS, today=TODAY)

    assert [period.share("auto") for period in shown] == [1.0, None]


def test_ten_are_enough_to_say_something() -> None:
    assert not Checked(9, 9).is_enough
    assert Checked(10, 10).is_enough


def test_what_was_taken_for_what_is_summed_over_versions() -> None:
    taken = [TakenFor(version, "priority", "High", "Low", n) for version, n in (("1.0.0", 2), ("1.1.0", 3))]

    assert pairs(taken) == Counter({("High", "Low"): 5})


def test_a_row_of_the_matrix_is_what_people_gave_and_a_column_what_was_answered() -> None:
    matrix = matrix_of({("High", "Low"): 5, ("Low", "Low"): 7}, ["High", "Low"])

    assert matrix.rows == ((0, 0), (5, 7))

"""Counts over time: what was answered on each day, what was checked of each week; what follows is left to others."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sqlalchemy import case, func, select

from app.store.promise_events import counting_audits
from app.store.tables import answer_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement

    from app.store.database import Database

DAY_MS: Final = 86_400_000
_DAYS_OF_A_WEEK: Final = 7
# The first day of 1970 was a Thursday.
_FIRST_MONDAY: Final = 4


@dataclass(frozen=True, slots=True)
class AnswersOfDay:
    """How many answers a head gave on a day, in days since 1970 (UTC), with one decision."""

    day: int
    model_version: str
    head: str
    decision: str
    n_answers: int


@dataclass(frozen=True, slots=True)
class AuditsOfWeek:
    """How many answers of a week that begins on ``monday``, in days since 1970, were checked blind, and were right."""

    monday: int
    model_version: str
    head: str
    label: str
    n_audited: int
    n_right: int


def monday_of(day: int) -> int:
    """Return the day on which the ISO week of ``day`` begins, both in days since 1970."""
    return day - (day - _FIRST_MONDAY) % _DAYS_OF_A_WEEK


def mondays(*, until_day: int, n_weeks: int) -> list[int]:
    """Return the first days of the last ``n_weeks``, the earliest first; that of ``until_day`` is the last."""
    last = monday_of(until_day)
    return [last - _DAYS_OF_A_WEEK * i for i in reversed(range(n_weeks))]


def count_answers_by_day(database: Database, *, since_day: int) -> list[AnswersOfDay]:
    """Return the counts of every day from ``since_day`` on, in order of days; raise ``StoreUnavailableError``."""
    columns = answer_counts.c
    kinds = (columns.day, columns.model_version, columns.head, columns.decision)
    query = (
        select(*kinds, func.sum(columns.n_answers)).where(columns.day >= since_day).group_by(*kinds).order_by(*kinds)
    )
    with database.reading() as connection:
        return [AnswersOfDay(*row[:-1], int(row[-1])) for row in connection.execute(query)]


def count_audits_by_week(database: Database, of_mondays: Sequence[int]) -> list[AuditsOfWeek]:
    """Return what audits say of the answers of each week; of an answer, the latest judgement that counts.

    A week has the answers that were given in it, whenever they were judged. Raise ``StoreUnavailableError``.
    """
    first_id = _first_id(of_mondays[0])
    # No answer is judged before it was given. Asked for the ids of answers in there, Postgres may plan it badly.
    audits = counting_audits(since_id=first_id)
    # Grouped from outside: Postgres does not see that two expressions with parameters are the same.
    counted = (
        select(
            _week_of(audits.c.prediction_id, of_mondays).label("monday"),
            audits.c.model_version,
            audits.c.head,
            audits.c.predicted_label,
            audits.c.is_right,
        )
        .where(audits.c.age == 1, audits.c.prediction_id >= first_id)
        .subquery()
    )
    kinds = (counted.c.monday, counted.c.model_version, counted.c.head, counted.c.predicted_label)
    n_right = func.count(case((counted.c.is_right, 1)))
    query = select(*kinds, func.count(), n_right).group_by(*kinds).order_by(*kinds)
    with database.reading() as connection:
        return [AuditsOfWeek(*row) for row in connection.execute(query)]


def _week_of(prediction_id: ColumnElement[str], of_mondays: Sequence[int]) -> ColumnElement[int]:
    """Return the Monday of an answer by its id, which begins with its time; a later one belongs to the last week."""
    earlier = [(prediction_id < _first_id(later), monday) for monday, later in pairwise(of_mondays)]
    return case(*earlier, else_=of_mondays[-1])


def _first_id(day: int) -> str:
    """Return what every id of ``day`` or later sorts after."""
    digits = f"{day * DAY_MS:012x}"
    return f"{digits[:8]}-{digits[8:]}"

"""How counts of days and weeks add up to what is shown of quality; pure: where they come from is left to others."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.feedback.share_interval import share_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.store.corrections import TakenFor
    from app.store.live_counts import AnswersOfDay, AuditsOfWeek

# Fewer are said to be too few: the interval of ten is already a third of all there is.
FEWEST_CHECKED: Final = 10
# So many days are shown one by one; more are summed up by week.
_MOST_DAYS: Final = 28


@dataclass(frozen=True, slots=True)
class Checked:
    """How many answers were checked, and how many were right; ``low`` and ``high`` bound the share of all answers."""

    n_checked: int
    n_right: int

    @property
    def share(self) -> float | None:
        return self.n_right / self.n_checked if self.n_checked else None

    @property
    def low(self) -> float:
        return share_interval(self.n_right, self.n_checked)[0]

    @property
    def high(self) -> float:
        return share_interval(self.n_right, self.n_checked)[1]

    @property
    def is_enough(self) -> bool:
        return self.n_checked >= FEWEST_CHECKED


@dataclass(frozen=True, slots=True)
class CheckedWeek:
    """What was checked of the answers of the week that begins on ``monday``, in days since 1970."""

    monday: int
    checked: Checked


@dataclass(frozen=True, slots=True)
class Period:
    """How many answers of a head had each decision, in ``n_days`` from ``first_day`` on."""

    first_day: int
    n_days: int
    counts: Mapping[str, int]

    @property
    def n_answers(self) -> int:
        return sum(self.counts.values())

    def share(self, decision: str) -> float | None:
        return self.counts.get(decision, 0) / self.n_answers if self.n_answers else None


@dataclass(frozen=True, slots=True)
class Matrix:
    """Judged tickets of a head: a row for each label that people gave, a column for each that was answered."""

    labels: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]


def checked_weeks(audits: Iterable[AuditsOfWeek], of_mondays: Sequence[int]) -> list[CheckedWeek]:
    """Return the sums of each week, from the first that has an audit to the last there is."""
    n_checked: Counter[int] = Counter()
    n_right: Counter[int] = Counter()
    for audit in audits:
        n_checked[audit.monday] += audit.n_audited
        n_right[audit.monday] += audit.n_right
    first = min(n_checked, default=None)
    return [
        CheckedWeek(monday, Checked(n_checked[monday], n_right[monday]))
        for monday in of_mondays
        if first is not None and monday >= first
    ]


def all_checked(weeks: Iterable[CheckedWeek]) -> Checked:
    """Return the sums of several weeks."""
    weeks = list(weeks)
    return Checked(sum(week.checked.n_checked for week in weeks), sum(week.checked.n_right for week in weeks))


def periods(answers: Iterable[AnswersOfDay], of_mondays: Sequence[int], *, today: int) -> list[Period]:
    """Return the answers of each day while there are few, else of each week, up to ``today``; none are left out."""
    by_day: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for answer in answers:
        by_day[answer.day][answer.decision] += answer.n_answers
    if not by_day:
        return []
    first = min(by_day)
    if today - first < _MOST_DAYS:
        return [Period(day, 1, by_day.get(day, Counter())) for day in range(first, today + 1)]
    weeks = [monday for monday in of_mondays if monday + 6 >= first]
    return [
        Period(monday, 7, sum((by_day[day] for day in range(monday, monday + 7) if day in by_day), Counter()))
        for monday in weeks
    ]


def totals(of_periods: Iterable[Period]) -> Counter[str]:
    """Return the sums over several periods, by decision."""
    return sum((Counter(period.counts) for period in of_periods), Counter())


def pairs(taken: Iterable[TakenFor]) -> Counter[tuple[str, str]]:
    """Return how many tickets were answered with the first label and given the second, of all versions together."""
    counts: Counter[tuple[str, str]] = Counter()
    for one in taken:
        counts[one.predicted_label, one.label] += one.n_tickets
    return counts


def matrix_of(counts: Mapping[tuple[str, str], int], labels: Sequence[str]) -> Matrix:
    """Return the counts as a table, with the labels in the order given."""
    rows = tuple(tuple(counts.get((answered, given), 0) for answered in labels) for given in labels)
    return Matrix(tuple(labels), rows)

"""The pictures of the quality page: checks over weeks, decisions over time, and a promise beside its interval."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from app.charts.drawing import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    Plot,
    circle,
    line,
    marks,
    picture,
    rectangle,
)
from app.charts.html import Html, element

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.feedback.live_quality import CheckedWeek, Period

DECISIONS: Final[Mapping[str, str]] = {
    "auto": "answered alone",
    "suggest": "suggested",
    "review": "left to a person",
}
_DAY_SECONDS: Final = 86_400
_MOST_DATES: Final = 5
# Of the row of a promise, from the lowest precision that it shows to 1.
_ROW_WIDTH: Final = 132.0
_ROW_HEIGHT: Final = 20.0
_ROW_MARGIN: Final = 6.0
ROW_FLOOR: Final = 0.5


def day_name(day: int, *, with_year: bool = False) -> str:
    """Return a day since 1970 as "24 Nov"."""
    return datetime.fromtimestamp(day * _DAY_SECONDS, UTC).strftime("%-d %b %Y" if with_year else "%-d %b")


def weeks_chart(weeks: Sequence[CheckedWeek], *, target: float | None, name: str) -> Html:
    """Return the share of right answers of each week with its interval, and the promised share as a dashed line."""
    shown = [(i, week.checked) for i, week in enumerate(weeks) if week.checked.n_checked]
    shares = [checked.n_right / checked.n_checked for _, checked in shown]
    lowest = min([*shares, *([] if target is None else [target])], default=1.0)
    floor = max(0.0, math.floor(lowest * 10 - 1) / 10)
    plot = Plot(-0.6, len(weeks) - 0.4, floor, 1)
    drawn = plot.rules(marks(floor, 1))
    if target is not None:
        drawn.append(plot.line("ideal", ((plot.x_from, target), (plot.x_to, target))))
    drawn.append(plot.line("curve", [(i, checked.n_right / checked.n_checked) for i, checked in shown]))
    for i, checked in shown:
        x, low, high = plot.x(i), plot.y(max(checked.low, floor)), plot.y(checked.high)
        drawn.append(line("whisker", x, low, x, high))
        drawn.append(circle("point", x, plot.y(checked.n_right / checked.n_checked), 4))
    drawn += plot.x_axis(_dates([week.monday for week in weeks]), "week of", at=plot.bottom)
    promised = "" if target is None else f"Promised: {100 * target:.0f} %. "
    spoken = promised + "; ".join(
        f"week of {day_name(week.monday)}: {week.checked.n_right} of {week.checked.n_checked} right" for week in weeks
    )
    return picture(f"Right answers of {name}, week by week", spoken, drawn)


def decisions_chart(periods: Sequence[Period], *, name: str) -> Html:
    """Return a bar for each day or week, divided by what was decided; those without answers are left empty."""
    plot = Plot(-0.6, len(periods) - 0.4, 0, 1)
    drawn = plot.rules((0, 0.25, 0.5, 0.75, 1))
    wide = (WIDTH - LEFT - RIGHT) / (len(periods) + 0.2) * 0.8
    # A single day would be a wall.
    wide = min(wide, 40.0)
    for i, period in enumerate(periods):
        below = 0.0
        for decision in DECISIONS:
            share = period.share(decision) or 0.0
            if share:
                top = plot.y(below + share)
                drawn.append(rectangle(f"is-{decision}", plot.x(i) - wide / 2, top, wide, plot.y(below) - top))
            below += share
    unit = "day" if periods[0].n_days == 1 else "week of"
    drawn += plot.x_axis(_dates([period.first_day for period in periods]), unit, at=HEIGHT - BOTTOM)
    spoken = "; ".join(
        f"{day_name(period.first_day)}: {period.n_answers} tickets, "
        f"{100 * (period.share('auto') or 0):.0f} % answered alone"
        for period in periods
        if period.n_answers
    )
    return picture(f"What became of tickets, {name}", spoken, drawn)


def promise_row(*, share: float | None, low: float, high: float, target: float) -> Html:
    """Return the interval as a bar, the measured share as a dot and the promise as a stroke; words stand beside it."""

    def x(value: float) -> float:
        inside = (max(value, ROW_FLOOR) - ROW_FLOOR) / (1 - ROW_FLOOR)
        return _ROW_MARGIN + inside * (_ROW_WIDTH - 2 * _ROW_MARGIN)

    middle = _ROW_HEIGHT / 2
    drawn = [line("axis", x(ROW_FLOOR), middle, x(1), middle)]
    if share is not None:
        drawn.append(rectangle("range", x(low), middle - 4, max(x(high) - x(low), 1), 8))
    drawn.append(line("promised", x(target), 2, x(target), _ROW_HEIGHT - 2))
    if share is not None:
        drawn.append(circle("point", x(share), middle, 4))
    attributes: dict[str, str | float] = {
        "aria-hidden": "true",
        "class": "row-picture",
        "viewBox": f"0 0 {_ROW_WIDTH:.0f} {_ROW_HEIGHT:.0f}",
    }
    return element("svg", *drawn, attributes=attributes)


def _dates(days: Sequence[int]) -> list[tuple[float, str]]:
    """Return at most a few dates to write below an axis, the last one always."""
    step = max(1, math.ceil(len(days) / _MOST_DATES))
    picked = range(len(days) - 1, -1, -step)
    return [(i, day_name(days[i])) for i in picked]

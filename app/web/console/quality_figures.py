"""What the store tells the page of quality, and what of it is shown of each head; imported where there is a store."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.charts.label_order import in_natural_order
from app.feedback.live_quality import (
    Checked,
    CheckedWeek,
    Matrix,
    Period,
    all_checked,
    checked_weeks,
    matrix_of,
    pairs,
    periods,
    totals,
)
from app.store.corrections import Correction, TakenFor, count_taken_for, latest_corrections
from app.store.live_counts import (
    DAY_MS,
    AnswersOfDay,
    AuditsOfWeek,
    count_answers_by_day,
    count_audits_by_week,
    mondays,
)
from app.store.second_readings import Pair, read_pairs
from app.web.console.quality_charts import decisions_chart, weeks_chart

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.charts.html import Html
    from app.store.database import Database

N_WEEKS: Final = 26
_RECENT_WEEKS: Final = 4
# Feedback that is looked at for what was taken for what, which bounds how long the page takes.
MOST_JUDGED: Final = 50_000
_MOST_CORRECTIONS: Final = 300
_MOST_LABELS_IN_A_MATRIX: Final = 8
_MOST_PAIRS: Final = 30
_MOST_EXAMPLES: Final = 3
_DARKEST_SHADE: Final = 5


@dataclass(frozen=True, slots=True)
class Figures:
    """All that the store has to say; days are counted from 1970, in UTC."""

    today: int
    mondays: Sequence[int]
    answers: Sequence[AnswersOfDay]
    audits: Sequence[AuditsOfWeek]
    taken: Sequence[TakenFor]
    corrections: Sequence[Correction]
    readings: Sequence[Pair]

    @property
    def versions(self) -> list[str]:
        found = {answer.model_version for answer in self.answers} | {audit.model_version for audit in self.audits}
        return sorted(found | {one.model_version for one in self.taken}, reverse=True)

    def of_version(self, version: str) -> Figures:
        """Return what belongs to one version."""
        return Figures(
            self.today,
            self.mondays,
            [answer for answer in self.answers if answer.model_version == version],
            [audit for audit in self.audits if audit.model_version == version],
            [one for one in self.taken if one.model_version == version],
            [correction for correction in self.corrections if correction.model_version == version],
            # Of people, whichever version answered.
            self.readings,
        )


@dataclass(frozen=True, slots=True)
class TakenRow:
    """One confusion, with the ids of its latest tickets."""

    answered: str
    given: str
    n_tickets: int
    examples: Sequence[str]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a matrix; ``shade`` is from 0 to 5, by its share of the row."""

    n_tickets: int
    shade: int
    is_right: bool


@dataclass(frozen=True, slots=True)
class TakenForWhat:
    """What people made of the answers of a head; no ``matrix`` of many labels."""

    n_judged: int
    n_wrong: int
    labels: Sequence[str]
    matrix: Sequence[Sequence[Cell]]
    rows: Sequence[TakenRow]
    n_left_out: int


@dataclass(frozen=True, slots=True)
class LiveHead:
    """What is shown of a head over time; ``label`` is the one that was chosen, empty for all of them."""

    head: str
    label: str
    labels: Sequence[str]
    target: float | None
    weeks: Sequence[CheckedWeek]
    recent: Checked
    weeks_picture: Html | None
    periods: Sequence[Period]
    counts: Mapping[str, int]
    decisions_picture: Html | None
    taken: TakenForWhat | None


def read_figures(database: Database, *, today: int) -> Figures:
    """Ask the store, which takes about a second with 200,000 answers; raise ``StoreUnavailableError``."""
    of_mondays = mondays(until_day=today, n_weeks=N_WEEKS)
    since_ms = of_mondays[0] * DAY_MS
    return Figures(
        today,
        of_mondays,
        count_answers_by_day(database, since_day=of_mondays[0]),
        count_audits_by_week(database, of_mondays),
        count_taken_for(database, since_ms=since_ms, most=MOST_JUDGED),
        latest_corrections(database, since_ms=since_ms, limit=_MOST_CORRECTIONS),
        read_pairs(database),
    )


def live_heads(
    figures: Figures, *, targets: Mapping[tuple[str, str], float], chosen: tuple[str, str]
) -> list[LiveHead]:
    """Return each head that anything is known of; ``chosen`` is a head and the label of it that is looked at."""
    heads = {answer.head for answer in figures.answers} | {one.head for one in figures.taken}
    heads |= {audit.head for audit in figures.audits}
    # As the promises above them, whose order is that of the model.
    first = list(dict.fromkeys(head for head, _ in targets))
    in_order = sorted(heads, key=lambda head: (first.index(head) if head in first else len(first), head))
    return [_live(figures, head, chosen[1] if head == chosen[0] else "", targets) for head in in_order]


def _live(figures: Figures, head: str, label: str, targets: Mapping[tuple[str, str], float]) -> LiveHead:
    audits = [audit for audit in figures.audits if audit.head == head]
    weeks = checked_weeks((audit for audit in audits if label in {"", audit.label}), figures.mondays)
    of_periods = periods(
        (answer for answer in figures.answers if answer.head == head), figures.mondays, today=figures.today
    )
    name = f"{head}, {label}" if label else head
    target = targets.get((head, label))
    n_checked: Counter[str] = Counter()
    for audit in audits:
        n_checked[audit.label] += audit.n_audited
    return LiveHead(
        head=head,
        label=label,
        labels=in_natural_order(n_checked),
        target=target,
        weeks=weeks,
        recent=all_checked(weeks[-_RECENT_WEEKS:]),
        weeks_picture=weeks_chart(weeks, target=target, name=name) if weeks else None,
        periods=of_periods,
        counts=totals(of_periods),
        decisions_picture=decisions_chart(of_periods, name=head) if of_periods else None,
        taken=_taken(figures, head),
    )


def _taken(figures: Figures, head: str) -> TakenForWhat | None:
    counts = pairs(one for one in figures.taken if one.head == head)
    if not counts:
        return None
    of_labels: Counter[str] = Counter()
    for (answered, given), n_tickets in counts.items():
        of_labels[answered] += n_tickets
        of_labels[given] += n_tickets
    labels = in_natural_order(of_labels)
    wrong = [((answered, given), n) for (answered, given), n in counts.most_common() if answered != given]
    examples = _examples(figures.corrections, head)
    shown = [TakenRow(*pair, n, examples.get(pair, ())) for pair, n in wrong[:_MOST_PAIRS]]
    is_small = 1 < len(labels) <= _MOST_LABELS_IN_A_MATRIX
    return TakenForWhat(
        n_judged=counts.total(),
        n_wrong=sum(n for _, n in wrong),
        labels=labels if is_small else (),
        matrix=_cells(matrix_of(counts, labels)) if is_small else (),
        rows=shown,
        n_left_out=len(wrong) - len(shown),
    )


def _examples(corrections: Iterable[Correction], head: str) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for one in corrections:
        if one.head == head:
            ids = found.setdefault((one.predicted_label, one.label), [])
            if one.ticket_id is not None and one.ticket_id not in ids and len(ids) < _MOST_EXAMPLES:
                ids.append(one.ticket_id)
    return found


def _cells(matrix: Matrix) -> list[list[Cell]]:
    return [
        [
            Cell(n_tickets, _shade(n_tickets, sum(row)), is_right=given == answered)
            for answered, n_tickets in zip(matrix.labels, row, strict=True)
        ]
        for given, row in zip(matrix.labels, matrix.rows, strict=True)
    ]


def _shade(n_tickets: int, n_of_row: int) -> int:
    """Return a step from 0 to 5, which every ticket makes at least 1."""
    return -(-_DARKEST_SHADE * n_tickets // n_of_row) if n_of_row else 0

"""What the quality page says in plain words: of promises, of drift, and of who made a correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from app.feedback.live_quality import FEWEST_CHECKED
from app.web.console.quality_charts import promise_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.charts.html import Html
    from app.feedback.keeper import Report
    from app.feedback.standing import Standing
    from app.insights.drift_report import DriftReport, FeatureDrift, Level
    from app.store.promise import PromiseState

# Of a head with more labels, the others are shown when they are asked for; what is broken is always shown.
_MOST_LABELS: Final = 12
_ORDER: Final[Mapping[PromiseState, int]] = {"broken": 0, "kept": 1, "unproven": 2}
_STATES: Final[Mapping[PromiseState, tuple[str, str]]] = {
    "broken": ("Broken", "bad"),
    "kept": ("Kept", "good"),
    "unproven": ("Not yet proven", ""),
}
_LEVELS: Final[Mapping[Level, tuple[str, str]]] = {
    "ok": ("As at training", "good"),
    "watch": ("Somewhat different", "doubt"),
    "act": ("Very different", "bad"),
}
_FEATURES: Final[Mapping[str, str]] = {
    "text_length": "Length of tickets",
    "unknown_share": "Share of words that the model does not know",
    "label": "what is answered",
    "confidence": "how sure the answers are",
}
SOURCES: Final[Mapping[str, str]] = {"review": "review", "helpdesk": "helpdesk", "api": "another program"}


@dataclass(frozen=True, slots=True)
class PromiseRow:
    """A promise as people read it; ``label`` is empty for the head as a whole."""

    head: str
    label: str
    target: float
    n_auto: int
    n_checked: int
    n_right: int
    share: float | None
    low: float
    high: float
    state: PromiseState
    state_name: str
    kind: str
    meaning: str
    since_ms: int | None
    picture: Html


@dataclass(frozen=True, slots=True)
class PromisesOfHead:
    """The promises of a head: itself and its labels, of many the rest apart, and the names of those never checked."""

    head: str
    rows: Sequence[PromiseRow]
    more: Sequence[PromiseRow]
    unchecked: Sequence[str]


@dataclass(frozen=True, slots=True)
class DriftRow:
    """One thing that is compared with training, and what of it changed most."""

    name: str
    level_name: str
    kind: str
    changed: str
    share_then: float
    share_now: float


def promises_in_words(report: Report, *, acts: bool) -> list[PromisesOfHead]:
    """Return the promises of each head: broken ones first, those with the most checks before others."""
    by_head: dict[str, list[Standing]] = {}
    for standing in report.standings:
        by_head.setdefault(standing.promise.of.head, []).append(standing)
    return [_of_head(head, standings, report, acts=acts) for head, standings in by_head.items()]


def _of_head(head: str, standings: Sequence[Standing], report: Report, *, acts: bool) -> PromisesOfHead:
    in_order = sorted(
        standings,
        key=lambda one: (bool(one.promise.of.label), _ORDER[one.state], -one.verdict.n_audited, one.promise.of.label),
    )
    is_long = len(in_order) > _MOST_LABELS + 1
    unchecked = [one for one in in_order if is_long and one.promise.of.label and _is_untouched(one)]
    left_out = {one.promise.of for one in unchecked}
    rows = [_row(one, report, acts=acts) for one in in_order if one.promise.of not in left_out]
    n_shown = max(_MOST_LABELS + 1, sum(row.state == "broken" for row in rows) + 1)
    return PromisesOfHead(head, rows[:n_shown], rows[n_shown:], [one.promise.of.label for one in unchecked])


def _is_untouched(standing: Standing) -> bool:
    return standing.state == "unproven" and not standing.verdict.n_audited


def _row(standing: Standing, report: Report, *, acts: bool) -> PromiseRow:
    verdict, of = standing.verdict, standing.promise.of
    name, kind = _STATES[standing.state]
    low, high = verdict.interval.low, verdict.interval.high
    return PromiseRow(
        head=of.head,
        label=of.label,
        target=standing.promise.target,
        n_auto=report.n_auto.get(of, 0),
        n_checked=verdict.n_audited,
        n_right=verdict.n_right,
        share=verdict.precision,
        low=low,
        high=high,
        state=standing.state,
        state_name=name,
        kind=kind,
        meaning=_meaning(standing, acts=acts),
        since_ms=standing.since_ms,
        picture=promise_row(share=verdict.precision, low=low, high=high, target=standing.promise.target),
    )


def _meaning(standing: Standing, *, acts: bool) -> str:
    n_checked = standing.verdict.n_audited
    if standing.state == "kept":
        return "Enough answers were checked to be sure."
    if standing.state == "broken":
        if not acts:
            return "Too many checked answers were wrong. It is only shown here: answers go out as before."
        what = "These answers are" if standing.promise.of.label else "All answers of it are"
        return f"Too many checked answers were wrong. {what} only suggested now, and a person decides."
    if not n_checked:
        return "No answer was checked yet."
    if n_checked < FEWEST_CHECKED:
        checked = "1 checked answer is" if n_checked == 1 else f"{n_checked} checked answers are"
        return f"{checked} too few to say."
    return "Nothing speaks against it, but more checks are needed to be sure."


def drift_in_words(report: DriftReport) -> list[DriftRow]:
    """Return what is compared with training, what changed most first."""
    order: tuple[Level, ...] = ("act", "watch", "ok")
    return [_drift_row(feature) for feature in _by_level(report.features, order)]


def level_in_words(level: Level) -> str:
    return _LEVELS[level][0]


def _by_level(features: Iterable[FeatureDrift], order: Sequence[Level]) -> list[FeatureDrift]:
    return sorted(features, key=lambda feature: order.index(feature.level))


def _drift_row(feature: FeatureDrift) -> DriftRow:
    level_name, kind = _LEVELS[feature.level]
    name = _FEATURES.get(feature.feature, feature.feature)
    most = max(feature.expected, key=lambda bin_: abs(feature.observed.get(bin_, 0) - feature.expected[bin_]))
    return DriftRow(
        name=f"{feature.head}: {name}" if feature.head else name,
        level_name=level_name,
        kind=kind,
        changed=_bin_in_words(feature.feature, most),
        share_then=feature.expected[most],
        share_now=feature.observed.get(most, 0.0),
    )


def _bin_in_words(feature: str, name: str) -> str:
    if feature == "label":
        return name
    sign, _, edge = name.rpartition(" ")
    if not sign:
        return name
    amount = f"{float(edge):,.0f} characters" if feature == "text_length" else f"{100 * float(edge):.4g} %"
    return f"{'up to' if sign == '<=' else 'more than'} {amount}"

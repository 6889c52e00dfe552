"""What is said of drift: tickets of late beside those at training, by a population stability index for each feature.

The index of shares p now and q at training is the sum over the bins of (p - q) ln(p / q). Its customary thresholds,
0.1 and 0.25, are those of N. Siddiqi, Credit Risk Scorecards, 2006. Small samples exceed them by chance: without any
drift the index of n tickets and m at training is about (1/n + 1/m) times a chi-squared variable with one degree of
freedom fewer than bins (B. Yurdakul, Statistical Properties of Population Stability Index, 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from app.models.reference import Histogram, Reference

WATCH_INDEX: Final = 0.1
ACT_INDEX: Final = 0.25
MIN_TICKETS: Final = 200
# Features of a ticket rather than of an answer belong to no head.
NO_HEAD: Final = ""

Level = Literal["ok", "watch", "act"]

# Of the standard normal distribution, for what 999 of 1,000 windows without drift stay below: there are many features
# and windows, and an alarm by chance costs trust.
_Z_999: Final = 3.0902


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """The index of one feature; ``chance`` is what 999 of 1,000 windows stay below when nothing has changed.

    ``expected`` and ``observed`` are shares by bin. ``level`` is ``ok`` also while the index may be chance.
    """

    head: str
    feature: str
    index: float
    chance: float
    level: Level
    expected: Mapping[str, float]
    observed: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The last ``n_tickets`` that were classified, against training; no features while they are too few.

    Drift that is not available is not measured: the model has nothing to compare with, or too many labels to count.
    """

    is_available: bool
    n_tickets: int = 0
    features: tuple[FeatureDrift, ...] = ()

    @property
    def level(self) -> Level | None:
        """The worst level of any feature; None while there is nothing to judge by."""
        levels: tuple[Level, ...] = ("act", "watch", "ok")
        return next((level for level in levels if any(drift.level == level for drift in self.features)), None)


@dataclass(frozen=True, slots=True)
class Feature:
    """What is compared; ``first`` is the place of its first bin among those of all features."""

    head: str
    name: str
    bins: tuple[str, ...]
    expected: tuple[int, ...]
    first: int


def features_of(reference: Reference) -> list[Feature]:
    """Return every feature that a model has a histogram of; those of the ticket come first, text length before all."""
    features: list[Feature] = []

    def append(head: str, name: str, bins: tuple[str, ...], expected: tuple[int, ...]) -> None:
        first = features[-1].first + len(features[-1].bins) if features else 0
        features.append(Feature(head, name, bins, expected, first))

    append(NO_HEAD, "text_length", _bin_names(reference.text_length), reference.text_length.counts)
    append(NO_HEAD, "unknown_share", _bin_names(reference.unknown_share), reference.unknown_share.counts)
    for name, head in reference.heads.items():
        append(name, "label", head.labels.labels, head.labels.counts)
        append(name, "confidence", _bin_names(head.confidence), head.confidence.counts)
    return features


def report_of(features: Sequence[Feature], counts: Sequence[float]) -> DriftReport:
    """Compare ``counts``, one for each bin of all ``features``, with those at training."""
    # Every ticket has a length.
    n_tickets = int(sum(counts[: len(features[0].bins)]))
    if n_tickets < MIN_TICKETS:
        return DriftReport(is_available=True, n_tickets=n_tickets)
    drifts = (_drift(feature, counts[feature.first : feature.first + len(feature.bins)]) for feature in features)
    return DriftReport(is_available=True, n_tickets=n_tickets, features=tuple(drifts))


def stability_index(expected: Sequence[float], observed: Sequence[float]) -> float:
    """Return the population stability index of two sequences of counts; an empty bin counts as half a ticket."""
    n_expected, n_observed = max(sum(expected), 1), max(sum(observed), 1)
    index = 0.0
    for at_training, now in zip(expected, observed, strict=True):
        if at_training or now:
            share_then, share_now = max(at_training, 0.5) / n_expected, max(now, 0.5) / n_observed
            index += (share_now - share_then) * math.log(share_now / share_then)
    return index


def chance_index(n_bins: int, *, n_expected: float, n_observed: float) -> float:
    """Return what the index stays below in 999 of 1,000 cases when both samples are of one population.

    The quantile of the chi-squared distribution is that of Wilson and Hilferty, 1931.
    """
    freedom = n_bins - 1
    if freedom < 1:
        return 0.0
    spread = 2 / (9 * freedom)
    quantile = freedom * (1 - spread + _Z_999 * math.sqrt(spread)) ** 3
    return quantile * (1 / n_expected + 1 / n_observed)


def _bin_names(histogram: Histogram) -> tuple[str, ...]:
    last = f"> {histogram.edges[-1]:g}" if histogram.edges else "all"
    return (*(f"<= {edge:g}" for edge in histogram.edges), last)


def _drift(feature: Feature, observed: Sequence[float]) -> FeatureDrift:
    n_expected, n_observed = sum(feature.expected), max(sum(observed), 1)
    index = stability_index(feature.expected, observed)
    n_bins = sum(1 for pair in zip(feature.expected, observed, strict=True) if any(pair))
    chance = chance_index(n_bins, n_expected=n_expected, n_observed=n_observed)
    return FeatureDrift(
        head=feature.head,
        feature=feature.name,
        index=index,
        chance=chance,
        level=_level(index, chance),
        expected={name: count / n_expected for name, count in zip(feature.bins, feature.expected, strict=True)},
        observed={name: count / n_observed for name, count in zip(feature.bins, observed, strict=True)},
    )


def _level(index: float, chance: float) -> Level:
    if index < WATCH_INDEX or index <= chance:
        return "ok"
    return "watch" if index < ACT_INDEX else "act"

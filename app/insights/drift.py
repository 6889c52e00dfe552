"""How far tickets and answers of late are from those at training: a population stability index for each feature.

The index of shares p now and q at training is the sum over the bins of (p - q) ln(p / q). Its customary thresholds,
0.1 and 0.25, are those of N. Siddiqi, Credit Risk Scorecards, 2006. Small samples exceed them by chance: without any
drift the index of n tickets and m at training is about (1/n + 1/m) times a chi-squared variable with one degree of
freedom fewer than bins (B. Yurdakul, Statistical Properties of Population Stability Index, 2018).
"""

from __future__ import annotations

import logging
import math
import zlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import TYPE_CHECKING, Final, Literal

from app.metrics.shared_values import MAX_ADJOINING, Key

if TYPE_CHECKING:
    from app.metrics.shared_values import SharedValues
    from app.models.classifier import Prediction
    from app.models.reference import Histogram, Reference

logger = logging.getLogger(__name__)

WATCH_INDEX: Final = 0.1
ACT_INDEX: Final = 0.25
MIN_TICKETS: Final = 200
N_BLOCKS: Final = 10
# Features of a ticket rather than of an answer belong to no head.
NO_HEAD: Final = ""

Level = Literal["ok", "watch", "act"]

# Of the standard normal distribution, for what 999 of 1,000 windows without drift stay below: there are many features
# and windows, and an alarm by chance costs trust.
_Z_999: Final = 3.0902
_MODEL: Final = Key("drift_model", lasting=False)


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
    """The last ``n_tickets`` that were classified, against training; no features while they are too few."""

    is_available: bool
    n_tickets: int
    features: tuple[FeatureDrift, ...]

    @property
    def level(self) -> Level | None:
        """The worst level of any feature; None while there is nothing to judge by."""
        levels: tuple[Level, ...] = ("act", "watch", "ok")
        return next((level for level in levels if any(drift.level == level for drift in self.features)), None)


@dataclass(frozen=True, slots=True)
class _Feature:
    """One feature; its bins begin at ``first`` in each block."""

    head: str
    name: str
    bins: tuple[str, ...]
    expected: tuple[int, ...]
    first: int


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """Where to count what, for one reference; ``blocks`` are the first slots of each block."""

    fingerprint: float
    features: tuple[_Feature, ...]
    n_bins: int
    blocks: tuple[int, ...]
    length_edges: tuple[float, ...]
    unknown_first: int
    unknown_edges: tuple[float, ...]
    # By head: the positions of its labels in a block, the first of its confidences, and the edges of those.
    heads: tuple[tuple[str, dict[str, int], int, tuple[float, ...]], ...]


class DriftMonitor:
    """Counts the last tickets of this process; reports on those of all processes that serve the same model.

    The window is a ring of ``N_BLOCKS`` blocks of counters: a ticket only ever adds to the newest, and when that is
    full, the oldest is emptied. So it holds the last ``window`` tickets, less up to a tenth.
    """

    def __init__(self, values: SharedValues, *, window: int) -> None:
        self._values = values
        self._block_tickets = max(window // N_BLOCKS, 1)
        self._numbers = values.numbers
        self._plan: _Plan | None = None
        self._block = 0
        self._start = 0
        self._n_in_block = 0
        self._model_slot = values.slot(_MODEL)

    def use(self, reference: Reference | None) -> None:
        """Begin a new window, unless ``reference`` is the present one; None where a model has none.

        Not while another thread is in ``observe``.
        """
        plan = None if reference is None else self._plan_for(reference)
        if plan is not None and self._plan is not None and plan.fingerprint == self._plan.fingerprint:
            return
        self._plan = plan
        self._numbers[self._model_slot] = 0 if plan is None else plan.fingerprint
        if plan is not None:
            for block in range(N_BLOCKS):
                self._empty(plan, block)

    def observe(self, prediction: Prediction, *, n_characters: int) -> None:
        """Count one classified ticket; for one thread at a time."""
        plan = self._plan
        if plan is None:
            return
        if self._n_in_block == self._block_tickets:
            self._empty(plan, (self._block + 1) % N_BLOCKS)
        self._n_in_block += 1
        numbers, start, answers = self._numbers, self._start, prediction.heads
        n_tokens = prediction.n_tokens
        # The same as `unknown_share`, whose call would cost as much as the counting.
        share = prediction.n_unknown_tokens / n_tokens if n_tokens else 1.0
        numbers[start + bisect_left(plan.length_edges, n_characters)] += 1
        numbers[start + plan.unknown_first + bisect_left(plan.unknown_edges, share)] += 1
        for head, labels, confidences, edges in plan.heads:
            answer = answers.get(head)
            if answer is not None and answer.label in labels:
                numbers[start + labels[answer.label]] += 1
                numbers[start + confidences + bisect_left(edges, answer.confidence)] += 1

    def report(self) -> DriftReport:
        """Compare the windows of all processes that serve the model of this one with its reference."""
        plan = self._plan
        if plan is None:
            return DriftReport(is_available=False, n_tickets=0, features=())
        counts = [0.0] * plan.n_bins
        keys = [_block_key(block, plan.n_bins) for block in range(N_BLOCKS)]
        for process in self._values.processes():
            if process.pid is not None and process.numbers.get(_MODEL) == (plan.fingerprint,):
                for key in keys:
                    counts = list(map(add, counts, process.numbers[key]))
        n_tickets = int(sum(counts[: len(plan.length_edges) + 1]))
        if n_tickets < MIN_TICKETS:
            return DriftReport(is_available=True, n_tickets=n_tickets, features=())
        drifts = (
            _drift(feature, counts[feature.first : feature.first + len(feature.bins)]) for feature in plan.features
        )
        return DriftReport(is_available=True, n_tickets=n_tickets, features=tuple(drifts))

    def _empty(self, plan: _Plan, block: int) -> None:
        """Make ``block`` the newest one, with nothing in it."""
        self._block, self._start, self._n_in_block = block, plan.blocks[block], 0
        for slot in range(self._start, self._start + plan.n_bins):
            self._numbers[slot] = 0

    def _plan_for(self, reference: Reference) -> _Plan | None:
        features = _features_of(reference)
        n_bins = sum(len(feature.bins) for feature in features)
        if n_bins > MAX_ADJOINING:
            logger.warning("drift is not measured: the model has too many labels", extra={"bins": n_bins})
            return None
        by_name = {(feature.head, feature.name): feature for feature in features}
        heads = []
        for name, head in reference.heads.items():
            first = by_name[name, "label"].first
            labels = {label: first + i for i, label in enumerate(head.labels.labels)}
            heads.append((name, labels, by_name[name, "confidence"].first, head.confidence.edges))
        return _Plan(
            # Never 0, which stands for no model.
            fingerprint=float(zlib.crc32(reference.to_bytes()) + 1),
            features=tuple(features),
            n_bins=n_bins,
            blocks=tuple(self._values.slot(_block_key(block, n_bins), n_bins) for block in range(N_BLOCKS)),
            length_edges=reference.text_length.edges,
            unknown_first=by_name[NO_HEAD, "unknown_share"].first,
            unknown_edges=reference.unknown_share.edges,
            heads=tuple(heads),
        )


def _block_key(block: int, n_bins: int) -> Key:
    # Models with other bins must not share slots.
    return Key("drift", (str(block), str(n_bins)), lasting=False)


def _features_of(reference: Reference) -> list[_Feature]:
    features: list[_Feature] = []

    def append(head: str, name: str, bins: tuple[str, ...], expected: tuple[int, ...]) -> None:
        first = features[-1].first + len(features[-1].bins) if features else 0
        features.append(_Feature(head, name, bins, expected, first))

    append(NO_HEAD, "text_length", _bin_names(reference.text_length), reference.text_length.counts)
    append(NO_HEAD, "unknown_share", _bin_names(reference.unknown_share), reference.unknown_share.counts)
    for name, head in reference.heads.items():
        append(name, "label", head.labels.labels, head.labels.counts)
        append(name, "confidence", _bin_names(head.confidence), head.confidence.counts)
    return features


def _bin_names(histogram: Histogram) -> tuple[str, ...]:
    last = f"> {histogram.edges[-1]:g}" if histogram.edges else "all"
    return (*(f"<= {edge:g}" for edge in histogram.edges), last)


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


def _drift(feature: _Feature, observed: Sequence[float]) -> FeatureDrift:
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

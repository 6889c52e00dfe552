"""Counts the tickets and answers of late for drift, in numbers that processes share; judging is left to the report."""

from __future__ import annotations

import logging
import threading
import zlib
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass
from operator import add, sub
from typing import TYPE_CHECKING, Final, NamedTuple

from app.insights.drift_report import NO_HEAD, DriftReport, Feature, features_of, report_of
from app.metrics.shared_values import DISCARDED, MAX_ADJOINING, Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.metrics.shared_values import SharedValues
    from app.models.classifier import Prediction
    from app.models.reference import Reference

logger = logging.getLogger(__name__)

N_BLOCKS: Final = 10

_MODEL: Final = Key("drift_model", lasting=False)
# As wide as they can be for every model, so that one model's place is the next one's.
_OLDER: Final = Key("drift_older", lasting=False)
_NEWEST: Final = Key("drift_newest", lasting=False)
_NAMES: Final = frozenset({_MODEL.name, _OLDER.name, _NEWEST.name})


class _HeadPlan(NamedTuple):
    """A tuple, because it is taken apart for every ticket."""

    name: str
    labels: dict[str, int]
    confidence_first: int
    confidence_edges: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """Where to count what for one reference, as places among the bins of all features."""

    fingerprint: float
    features: tuple[Feature, ...]
    n_bins: int
    length_edges: tuple[float, ...]
    unknown_first: int
    unknown_edges: tuple[float, ...]
    heads: tuple[_HeadPlan, ...]


class DriftMonitor:
    """Counts the last tickets of this process; reports on those of all processes that serve the same model.

    The window is ``N_BLOCKS`` blocks: a ticket only ever adds to the newest; when that is full, it is added to the
    older ones, and the oldest of those is taken off. So it holds the last ``window`` tickets, less up to a tenth.
    """

    def __init__(self, values: SharedValues, *, window: int) -> None:
        self._values = values
        self._block_tickets = max(window // N_BLOCKS, 1)
        self._numbers = values.numbers
        self._model = values.slot(_MODEL)
        self._older = values.slot(_OLDER, MAX_ADJOINING)
        self._newest = values.slot(_NEWEST, MAX_ADJOINING)
        # Batches are counted in threads, and models are changed in another.
        self._lock = threading.Lock()
        self._plan: _Plan | None = None
        self._blocks: deque[Sequence[float]] = deque(maxlen=N_BLOCKS - 1)
        self._n_in_newest = 0

    def use(self, reference: Reference | None) -> None:
        """Begin a new window, unless ``reference`` is the present one; None where a model has none."""
        plan = None if reference is None else self._plan_for(reference)
        if plan is not None and self._plan is not None and plan.fingerprint == self._plan.fingerprint:
            return
        with self._lock:
            self._plan = plan
            # Counts for one model are never to be seen beside the fingerprint of another.
            self._numbers[self._model] = 0
            if plan is not None:
                self._blocks.extend([0.0] * plan.n_bins for _ in range(N_BLOCKS - 1))
                self._write(self._older, [0.0] * plan.n_bins)
                self._begin_block(plan)
                self._numbers[self._model] = plan.fingerprint

    def observe(self, prediction: Prediction, *, n_characters: int) -> None:
        """Count one classified ticket, of so many characters in title and description."""
        plan = self._plan
        if plan is None:
            return
        if self._n_in_newest >= self._block_tickets:
            self._turn(plan)
        # Without the lock, which would cost as much as three of these additions: what two threads do to each other in
        # the middle of one is a ticket more or less.
        self._n_in_newest += 1
        numbers, start, answers = self._numbers, self._newest, prediction.heads
        n_tokens = prediction.n_tokens
        # The same as `unknown_share`, whose call would cost as much as the counting.
        share = prediction.n_unknown_tokens / n_tokens if n_tokens else 1.0
        numbers[start + bisect_left(plan.length_edges, n_characters)] += 1
        numbers[start + plan.unknown_first + bisect_left(plan.unknown_edges, share)] += 1
        for head, labels, confidence_first, edges in plan.heads:
            answer = answers.get(head)
            if answer is not None and (place := labels.get(answer.label)) is not None:
                numbers[start + place] += 1
                numbers[start + confidence_first + bisect_left(edges, answer.confidence)] += 1

    def report(self) -> DriftReport:
        """Compare the windows of all processes that serve the model of this one with its reference."""
        plan = self._plan
        if plan is None:
            return DriftReport(is_available=False)
        counts = [0.0] * plan.n_bins
        for process in self._values.processes(_NAMES):
            if process.pid is not None and process.numbers.get(_MODEL) == (plan.fingerprint,):
                counts = list(map(add, counts, map(add, process.numbers[_OLDER], process.numbers[_NEWEST])))
        return report_of(plan.features, counts)

    def _turn(self, plan: _Plan) -> None:
        with self._lock:
            if plan is not self._plan or self._n_in_newest < self._block_tickets:
                return
            full = self._numbers[self._newest : self._newest + plan.n_bins].tolist()
            older = self._numbers[self._older : self._older + plan.n_bins].tolist()
            # In this order whoever reads in between misses the block, but never has it twice.
            self._begin_block(plan)
            self._write(self._older, list(map(add, map(sub, older, self._blocks[0]), full)))
            self._blocks.append(full)

    def _begin_block(self, plan: _Plan) -> None:
        self._n_in_newest = 0
        self._write(self._newest, [0.0] * plan.n_bins)

    def _write(self, first: int, counts: Sequence[float]) -> None:
        for slot, count in enumerate(counts, first):
            self._numbers[slot] = count

    def _plan_for(self, reference: Reference) -> _Plan | None:
        features = features_of(reference)
        n_bins = sum(len(feature.bins) for feature in features)
        if n_bins > MAX_ADJOINING or DISCARDED in (self._model, self._older, self._newest):
            logger.warning("drift is not measured: there is no room for so many labels", extra={"bins": n_bins})
            return None
        first = {(feature.head, feature.name): feature.first for feature in features}
        heads = (
            _HeadPlan(
                name,
                {label: i for i, label in enumerate(head.labels.labels, first[name, "label"])},
                first[name, "confidence"],
                head.confidence.edges,
            )
            for name, head in reference.heads.items()
        )
        return _Plan(
            # Never 0, which stands for no model.
            fingerprint=float(zlib.crc32(reference.to_bytes()) + 1),
            features=tuple(features),
            n_bins=n_bins,
            length_edges=reference.text_length.edges,
            unknown_first=first[NO_HEAD, "unknown_share"],
            unknown_edges=reference.unknown_share.edges,
            heads=tuple(heads),
        )

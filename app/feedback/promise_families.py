"""What ``/metrics`` shows of promises, as families of prometheus-client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.metrics_core import Metric

    from app.feedback.keeper import PromiseKeeper
    from app.store.promise import PromiseState

_STATES: Final[Mapping[PromiseState, int]] = {"broken": -1, "unproven": 0, "kept": 1}
_LABELS: Final = ("head", "label")


class PromiseCollector(Collector):
    """Shows promises to Prometheus as the worker that is asked knows them; an empty label is the head as a whole."""

    def __init__(self, keeper: PromiseKeeper) -> None:
        self._keeper = keeper

    def collect(self) -> Iterator[Metric]:
        state = _family("ticket_promise_state", "The promise: 1 kept, 0 unproven, -1 broken.")
        target = _family("ticket_promise_target", "The precision of auto that is promised.")
        audits = _family("ticket_promise_audits", "Audits that count for the promise.")
        precision = _family("ticket_promise_precision", "The share of these audits that were right.")
        lower = _family("ticket_promise_precision_lower", "The lower end of the precision's interval.")
        upper = _family("ticket_promise_precision_upper", "The upper end of the precision's interval.")
        e_value = _family("ticket_promise_e_value", "The evidence against the promise.")
        for standing in self._keeper.standings():
            of, verdict = standing.promise.of, standing.verdict
            # Of a version with thousands of labels, those that nobody has judged yet are no news.
            if of.label and not verdict.n_audited and standing.since_ms is None:
                continue
            labels = (of.head, of.label)
            state.add_metric(labels, _STATES[standing.state])
            target.add_metric(labels, standing.promise.target)
            audits.add_metric(labels, verdict.n_audited)
            if verdict.precision is not None:
                precision.add_metric(labels, verdict.precision)
            lower.add_metric(labels, verdict.interval.low)
            upper.add_metric(labels, verdict.interval.high)
            e_value.add_metric(labels, verdict.e_value)
        yield from (state, target, audits, precision, lower, upper, e_value)


def _family(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=_LABELS)

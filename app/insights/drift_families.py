"""What ``/metrics`` shows of drift, as families of prometheus-client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.metrics_core import Metric

    from app.insights.drift import DriftMonitor

_LEVELS: Final = {"ok": 0, "watch": 1, "act": 2}


class DriftCollector(Collector):
    """Shows drift to Prometheus, as it is each time it is asked."""

    def __init__(self, drift: DriftMonitor) -> None:
        self._drift = drift

    def collect(self) -> Iterator[Metric]:
        report = self._drift.report()
        yield GaugeMetricFamily(
            "ticket_drift_measured", "1 when drift is measured for the model.", value=report.is_available
        )
        yield GaugeMetricFamily(
            "ticket_drift_window_tickets", "Tickets that drift is computed from.", value=report.n_tickets
        )
        labels = ("head", "feature")
        indexes = GaugeMetricFamily(
            "ticket_drift_stability_index", "Population stability index against training.", labels=labels
        )
        levels = GaugeMetricFamily("ticket_drift_level", "Drift: 0 none, 1 to watch, 2 to act on.", labels=labels)
        for drift in report.features:
            indexes.add_metric((drift.head, drift.feature), drift.index)
            levels.add_metric((drift.head, drift.feature), _LEVELS[drift.level])
        yield indexes
        yield levels

"""What ``/metrics`` shows: the numbers of all processes, summed and named, as families of prometheus-client."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from app.errors import (
    BODY_TOO_LARGE,
    MALFORMED_JSON,
    OVERLOADED,
    RATE_LIMITED,
    UNSUPPORTED_CONTENT_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_FAILED,
)

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from app.metrics.shared_values import ProcessValues, SharedValues

REQUEST_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
INFERENCE_SECONDS: Final = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)
CONFIDENCES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

_BODY_ERRORS: Final = (
    BODY_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
    UNSUPPORTED_CONTENT_ENCODING,
    MALFORMED_JSON,
    VALIDATION_FAILED,
)

# By label values; counters and gauges have one number, histograms one a bucket and the sum.
_Samples = Mapping[tuple[str, ...], Sequence[float]]


@dataclass(frozen=True, slots=True)
class _Shown:
    """``bounds`` are those of a histogram; ``merge`` makes one gauge of those of the processes that run."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    merge: Callable[[Iterable[float]], float] = max


_COUNTERS: Final = (
    _Shown("http_requests", "Answers by route, method and status.", ("route", "method", "status")),
    _Shown("http_errors", "Error answers by the slug of the catalogue.", ("error",)),
    _Shown("ticket_predictions", "Predictions by head, label and decision.", ("head", "label", "decision")),
    _Shown("ticket_tokens", "Words in classified tickets."),
    _Shown("ticket_unknown_tokens", "Words in classified tickets that the model does not know."),
    _Shown("ticket_model_reloads", "Attempts at loading a version while the service runs.", ("result",)),
    _Shown("ticket_audits_drawn", "Answers that were drawn to be checked by a person."),
    _Shown(
        "connector_events",
        "Deliveries of helpdesks, and tickets that a look found, by what became of them.",
        ("connector", "way", "outcome"),
    ),
    _Shown("connector_attempts", "Attempts at what is to be done at helpdesks, by result.", ("connector", "result")),
    _Shown("store_records_written", "Answers that are in the store."),
    _Shown("store_records_dropped", "Answers that the store will never have, by reason.", ("reason",)),
)
_HISTOGRAMS: Final = (
    _Shown(
        "http_request_duration_seconds",
        "Time from the end of a request's head to the end of its answer.",
        ("route",),
        REQUEST_SECONDS,
    ),
    _Shown("ticket_prediction_confidence", "Confidence of the predicted label.", ("head",), CONFIDENCES),
    _Shown(
        "ticket_inference_duration_seconds",
        "Time to score one request's tickets, one or a batch; the request's share where several were scored together.",
        bounds=INFERENCE_SECONDS,
    ),
)
_GAUGES: Final = (
    _Shown("ticket_model_info", "1 for a version that is loaded.", ("version",)),
    _Shown("ticket_model_loaded", "1 when every worker has a model.", merge=min),
    _Shown("ticket_model_degraded", "1 when a version that should serve was refused, by any worker."),
    _Shown("rate_limit_storage_info", "1 for where requests are counted for the rate limit.", ("storage",)),
    _Shown(
        "rate_limit_storage_degraded",
        "1 when RATE_LIMIT_STORAGE fails for any worker, so that it counts requests by itself.",
    ),
    _Shown("store_reachable", "1 when the store answers every worker.", merge=min),
    _Shown("store_queue_records", "Answers that wait to be stored.", merge=sum),
    _Shown("connector_waiting_jobs", "What is still to be done at a helpdesk.", ("connector",)),
)
_NAMES: Final = frozenset(metric.name for metrics in (_COUNTERS, _HISTOGRAMS, _GAUGES) for metric in metrics)


class ServiceCollector(Collector):
    """Reads the numbers of all processes each time it is asked."""

    def __init__(self, values: SharedValues) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        processes = list(self._values.processes(_NAMES))
        lasting = _summed(processes)
        for counter in _COUNTERS:
            yield _counter_family(counter, lasting[counter.name])
        yield from _refusals({labels[0]: numbers[0] for labels, numbers in lasting["http_errors"].items()})
        for histogram in _HISTOGRAMS:
            yield _histogram_family(histogram, lasting[histogram.name])
        running = [process for process in processes if process.pid is not None]
        for gauge in _GAUGES:
            yield _gauge_family(gauge, running)
        yield from _process_families(running)


def _summed(processes: Iterable[ProcessValues]) -> dict[str, dict[tuple[str, ...], list[float]]]:
    sums: defaultdict[str, dict[tuple[str, ...], list[float]]] = defaultdict(dict)
    for process in processes:
        for key, numbers in process.numbers.items():
            if key.lasting:
                before = sums[key.name].get(key.labels)
                total = list(numbers) if before is None else [a + b for a, b in zip(before, numbers, strict=True)]
                sums[key.name][key.labels] = total
    return sums


def _counter_family(counter: _Shown, samples: _Samples) -> Metric:
    family = CounterMetricFamily(counter.name, counter.meaning, labels=counter.labels)
    for labels, numbers in samples.items():
        family.add_metric(labels, numbers[0])
    return family


def _refusals(errors: Mapping[str, float]) -> Iterator[Metric]:
    """Yield what is asked for most often about errors under a name of its own, there from the start."""
    yield CounterMetricFamily(
        "http_requests_limited", "Requests beyond the rate limit (429).", value=errors.get(RATE_LIMITED.slug, 0)
    )
    yield CounterMetricFamily(
        "http_requests_shed",
        "Requests refused because too many were waiting (503).",
        value=errors.get(OVERLOADED.slug, 0),
    )
    refused = CounterMetricFamily("http_request_bodies_refused", "Bodies refused, by reason.", labels=("reason",))
    for kind in _BODY_ERRORS:
        refused.add_metric((kind.slug,), errors.get(kind.slug, 0))
    yield refused


def _histogram_family(histogram: _Shown, samples: _Samples) -> Metric:
    family = HistogramMetricFamily(histogram.name, histogram.meaning, labels=histogram.labels)
    names = [*map(str, histogram.bounds), "+Inf"]
    for labels, numbers in samples.items():
        family.add_metric(labels, list(zip(names, accumulate(numbers[:-1]), strict=True)), sum_value=numbers[-1])
    return family


def _gauge_family(gauge: _Shown, running: Iterable[ProcessValues]) -> Metric:
    found: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    for process in running:
        for key, numbers in process.numbers.items():
            if key.name == gauge.name:
                found[key.labels].append(numbers[0])
    family = GaugeMetricFamily(gauge.name, gauge.meaning, labels=gauge.labels)
    for labels, values in found.items():
        # With labels, such as versions, only what is so is shown.
        if not gauge.labels or any(values):
            family.add_metric(labels, gauge.merge(values))
    return family


def _process_families(running: Sequence[ProcessValues]) -> Iterator[Metric]:
    """Yield memory, processor time and open files of each worker, as the client library names them."""
    yield GaugeMetricFamily("service_workers", "Processes that serve.", value=len(running))
    families: dict[str, Metric] = {}
    for process in running:
        for own in ProcessCollector(pid=partial(int, process.pid or 0), registry=None).collect():
            family = families.setdefault(own.name, own)
            samples = [sample._replace(labels={"worker": str(process.position)}) for sample in own.samples]
            family.samples = samples if family is own else family.samples + samples
    yield from families.values()

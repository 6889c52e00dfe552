"""Every metric: counted here at the cost of an array element, and shown through prometheus-client.

Label values are routes, methods, slugs, versions and labels of models, never what a client has sent. With a directory,
every process counts in a file of its own there, and whichever is asked shows the sums of all.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import TYPE_CHECKING, Final, Literal

from prometheus_client import CollectorRegistry, generate_latest

from app.metrics.families import CONFIDENCES, INFERENCE_SECONDS, REQUEST_SECONDS, ServiceCollector
from app.metrics.shared_values import Key, SharedValues

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from app.models.classifier import Prediction

UNMATCHED_ROUTE: Final = "unmatched"
METRICS_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_OTHER_METHOD: Final = "other"


class Metrics:
    """The metrics of one process; slots are looked up once and kept, so that counting is all that a request pays."""

    def __init__(self, values: SharedValues | None = None) -> None:
        values = self._values = SharedValues() if values is None else values
        self._numbers = values.numbers
        self._registry = CollectorRegistry()
        self.show(ServiceCollector(values))
        # Batches are counted in threads; requests are completed in the event loop alone.
        self._lock = threading.Lock()
        self._request_slots: dict[tuple[str, str, int], tuple[int, int]] = {}
        self._prediction_slots: dict[tuple[str, str, str], tuple[int, int]] = {}
        self._tokens = values.slot(Key("ticket_tokens"))
        self._unknown_tokens = values.slot(Key("ticket_unknown_tokens"))
        self._inference = self._histogram("ticket_inference_duration_seconds", (), INFERENCE_SECONDS)
        self._version: int | None = None
        self._model_loaded = values.slot(Key("ticket_model_loaded", lasting=False))
        self._model_degraded = values.slot(Key("ticket_model_degraded", lasting=False))
        self._storage_degraded = values.slot(Key("rate_limit_storage_degraded", lasting=False))

    def show(self, collector: Collector) -> None:
        """Let the exposition have also what ``collector`` collects."""
        self._registry.register(collector)

    def request_completed(self, *, route: str, method: str, status: int, seconds: float, error: str | None) -> None:
        """Count one answer; ``route`` must be a known path or ``UNMATCHED_ROUTE``."""
        slots = self._request_slots.get((route, method, status))
        if slots is None:
            slots = self._find_request_slots(route, method, status)
        numbers, durations = self._numbers, slots[1]
        numbers[slots[0]] += 1
        numbers[durations + bisect_left(REQUEST_SECONDS, seconds)] += 1
        numbers[durations + len(REQUEST_SECONDS) + 1] += seconds
        if error is not None:
            numbers[self._values.slot(Key("http_errors", (error,)))] += 1

    def predicted(self, prediction: Prediction) -> None:
        """Count one classified ticket."""
        numbers = self._numbers
        with self._lock:
            for head, answer in prediction.heads.items():
                slots = self._prediction_slots.get((head, answer.label, answer.decision))
                if slots is None:
                    slots = self._find_prediction_slots(head, answer.label, answer.decision)
                counter, confidences = slots
                confidence = answer.confidence
                numbers[counter] += 1
                numbers[confidences + bisect_left(CONFIDENCES, confidence)] += 1
                numbers[confidences + len(CONFIDENCES) + 1] += confidence
            numbers[self._tokens] += prediction.n_tokens
            numbers[self._unknown_tokens] += prediction.n_unknown_tokens

    def scored(self, seconds: float, n_requests: int = 1) -> None:
        """Record how long the model took for one request, or for each of some that it answered together."""
        with self._lock:
            self._numbers[self._inference + bisect_left(INFERENCE_SECONDS, seconds)] += n_requests
            self._numbers[self._inference + len(INFERENCE_SECONDS) + 1] += seconds * n_requests

    def model_changed(self, version: str | None, *, degraded: bool) -> None:
        """Say which version is loaded from now on."""
        if self._version is not None:
            self._numbers[self._version] = 0
        self._version = None
        if version is not None:
            self._version = self._values.slot(Key("ticket_model_info", (version,), lasting=False))
            self._numbers[self._version] = 1
        self._numbers[self._model_loaded] = version is not None
        self._numbers[self._model_degraded] = degraded

    def model_reloaded(self, result: Literal["changed", "unchanged", "refused"]) -> None:
        """Count one attempt at loading a version while the service runs."""
        self._numbers[self._values.slot(Key("ticket_model_reloads", (result,)))] += 1

    def rate_limit_storage_is(self, storage: Literal["memory", "redis"]) -> None:
        """Say where requests are counted for the rate limit."""
        self._numbers[self._values.slot(Key("rate_limit_storage_info", (storage,), lasting=False))] = 1

    def rate_limit_storage_changed(self, *, degraded: bool) -> None:
        """Say whether the storage that processes share has failed."""
        self._numbers[self._storage_degraded] = degraded

    def store_changed(self, status: Literal["sqlite", "postgresql", "unreachable"]) -> None:
        """Say whether the store answers."""
        self._numbers[self._values.slot(Key("store_reachable", lasting=False))] = status != "unreachable"

    def connector_event(self, connector: str, way: Literal["delivery", "look"], outcome: str) -> None:
        """Count a delivery of a helpdesk, or a ticket that a look at it found, by what became of it."""
        self._numbers[self._values.slot(Key("connector_events", (connector, way, outcome)))] += 1

    def connector_attempt(self, connector: str, result: Literal["done", "failed", "given_up"]) -> None:
        """Count an attempt at something that is to be done at a helpdesk."""
        self._numbers[self._values.slot(Key("connector_attempts", (connector, result)))] += 1

    def connector_waiting(self, connector: str, n_jobs: int) -> None:
        """Say how much is still to be done at a helpdesk."""
        self._numbers[self._values.slot(Key("connector_waiting_jobs", (connector,), lasting=False))] = n_jobs

    def audits_drawn(self, n_audits: int) -> None:
        """Count answers that were drawn to be checked by a person."""
        with self._lock:
            self._numbers[self._values.slot(Key("ticket_audits_drawn"))] += n_audits

    def records_waiting(self, n_records: int) -> None:
        """Say how many answers wait to be stored."""
        self._numbers[self._values.slot(Key("store_queue_records", lasting=False))] = n_records

    def records_written(self, n_records: int) -> None:
        """Count answers that are in the store."""
        with self._lock:
            self._numbers[self._values.slot(Key("store_records_written"))] += n_records

    def records_dropped(self, reason: Literal["queue_full", "refused", "shutdown"], n_records: int) -> None:
        """Count answers that the store will never have."""
        with self._lock:
            self._numbers[self._values.slot(Key("store_records_dropped", (reason,)))] += n_records

    def exposition(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

    def _find_request_slots(self, route: str, method: str, status: int) -> tuple[int, int]:
        known = method if method in _METHODS else _OTHER_METHOD
        counter = self._values.slot(Key("http_requests", (route, known, str(status))))
        slots = counter, self._histogram("http_request_duration_seconds", (route,), REQUEST_SECONDS)
        if known is method:
            self._request_slots[route, method, status] = slots
        return slots

    def _find_prediction_slots(self, head: str, label: str, decision: str) -> tuple[int, int]:
        counter = self._values.slot(Key("ticket_predictions", (head, label, decision)))
        slots = counter, self._histogram("ticket_prediction_confidence", (head,), CONFIDENCES)
        self._prediction_slots[head, label, decision] = slots
        return slots

    def _histogram(self, name: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> int:
        # One number for each bound, one for what is above all of them, and the sum.
        return self._values.slot(Key(name, labels), len(bounds) + 2)

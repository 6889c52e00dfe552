"""``python -m benchmarks.counting``: counting one request to ``/classify``, by our shared values and by the library's.

prometheus-client has a mode for several processes, too. It gets the same counters and histograms, whose children are
looked up once as ours are, and files in memory as ours are. Drift is left out: it would be counted by our own values
in either case.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, values

from app.metrics.families import CONFIDENCES, INFERENCE_SECONDS, REQUEST_SECONDS
from app.metrics.service_metrics import Metrics
from app.metrics.shared_values import SharedValues
from app.models.classifier import Prediction, TicketClassifier
from benchmarks.http_path import TICKET
from benchmarks.measuring import ROOT, Figure, take_turns
from benchmarks.results import Origin, add_keep_option
from benchmarks.tables import figure_table

_CALLS = 500
_TURNS = 20
_MEMORY = "/dev/shm"  # noqa: S108 - where the service has its own


def _by_shared_values(directory: Path, prediction: Prediction) -> Callable[[], None]:
    metrics = Metrics(SharedValues(directory))

    def count() -> None:
        metrics.scored(0.0002)
        metrics.predicted(prediction)
        metrics.request_completed(route="/classify", method="POST", status=200, seconds=0.001, error=None)

    return count


def _by_library(directory: Path, prediction: Prediction) -> Callable[[], None]:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    # What the library does by itself where the variable is set before its import.
    vars(values)["ValueClass"] = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    requests = Counter("http_requests", "requests", ("route", "method", "status"), registry=registry)
    durations = Histogram("http_duration", "seconds", ("route",), buckets=REQUEST_SECONDS, registry=registry)
    predictions = Counter("predictions", "predictions", ("head", "label", "decision"), registry=registry)
    confidences = Histogram("confidence", "confidence", ("head",), buckets=CONFIDENCES, registry=registry)
    tokens = Counter("tokens", "words", registry=registry)
    unknown_tokens = Counter("unknown_tokens", "unknown words", registry=registry)
    inference = Histogram("inference", "seconds", buckets=INFERENCE_SECONDS, registry=registry)
    request_children = {
        ("/classify", "POST", 200): (requests.labels("/classify", "POST", "200"), durations.labels("/classify"))
    }
    answer_children = {
        (head, answer.label, answer.decision): (
            predictions.labels(head, answer.label, answer.decision),
            confidences.labels(head),
        )
        for head, answer in prediction.heads.items()
    }

    def count() -> None:
        inference.observe(0.0002)
        for head, answer in prediction.heads.items():
            counter, histogram = answer_children[head, answer.label, answer.decision]
            counter.inc()
            histogram.observe(answer.confidence)
        tokens.inc(prediction.n_tokens)
        unknown_tokens.inc(prediction.n_unknown_tokens)
        counter, histogram = request_children["/classify", "POST", 200]
        counter.inc()
        histogram.observe(0.001)

    return count


def _measure(model: Path, *, rounds: int) -> list[Figure]:
    prediction = TicketClassifier.load(model).predict(TICKET["title"], TICKET["description"])
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as ours, tempfile.TemporaryDirectory(dir=memory) as theirs:
        contestants = {
            "our shared values": _repeated(_by_shared_values(Path(ours), prediction)),
            "prometheus-client's mode for several processes": _repeated(_by_library(Path(theirs), prediction)),
        }
        seconds = take_turns(contestants, rounds=rounds * _TURNS)
    return [
        Figure(
            f"count a request: {name}",
            "µs",
            tuple(min(values[i : i + _TURNS]) / _CALLS * 1e6 for i in range(0, len(values), _TURNS)),
        )
        for name, values in seconds.items()
    ]


def _repeated(work: Callable[[], None]) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(_CALLS):
            work()

    return repeat


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.counting", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "v1.0.0")
    add_keep_option(parser)
    arguments = parser.parse_args(argv)
    origin = Origin.now()
    figures = _measure(arguments.model, rounds=arguments.rounds)
    measured = {"rounds": arguments.rounds, "figures": [figure.as_document() for figure in figures]}
    print(figure_table(measured))
    if arguments.keep:
        origin.keep(arguments.keep, "counting", measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())

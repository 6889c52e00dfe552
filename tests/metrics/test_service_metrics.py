"""What is counted, shown and shared."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import timeit
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from app.insights.drift import DriftMonitor
from app.metrics.service_metrics import Metrics
from app.metrics.shared_values import SharedValues
from app.models.classifier import HeadPrediction, Prediction
from app.models.reference import HeadReference, Histogram, LabelCounts, Reference
from tests.in_process import TICKET
from tests.processes import ROOT

if TYPE_CHECKING:
    from tests.conftest import StartProcess
    from tests.in_process import Service
    from tests.processes import ServiceProcess

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: str) -> Samples:
    """Return every sample of an exposition; each may be there once."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def shown_by(metrics: Metrics) -> Samples:
    return parse(metrics.exposition().decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, tuple(sorted(labels.items()))]


def total(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of ``name`` that have at least these labels."""
    return sum(v for (n, found), v in samples.items() if n == name and labels.items() <= dict(found).items())


def prediction(label: str = "High", confidence: float = 0.8) -> Prediction:
    return Prediction({"priority": HeadPrediction(label, confidence, "auto", (), ())}, 10, 3)


def complete(metrics: Metrics, *, route: str = "/classify", status: int = 200, error: str | None = None) -> None:
    metrics.request_completed(route=route, method="POST", status=status, seconds=0.003, error=error)


def test_a_request_is_counted_by_route_method_and_status() -> None:
    metrics = Metrics()

    complete(metrics)
    complete(metrics)
    complete(metrics, status=429, error="rate_limited")

    samples = shown_by(metrics)
    assert value(samples, "http_requests_total", route="/classify", method="POST", status="200") == 2
    assert value(samples, "http_requests_total", route="/classify", method="POST", status="429") == 1
    assert value(samples, "http_errors_total", error="rate_limited") == 1
    assert value(samples, "http_requests_limited_total") == 1
    assert value(samples, "http_requests_shed_total") == 0


def test_durations_are_a_cumulative_histogram_in_seconds() -> None:
    metrics = Metrics()

    complete(metrics)
    metrics.request_completed(route="/classify", method="POST", status=200, seconds=0.005, error=None)
    metrics.request_completed(route="/classify", method="POST", status=200, seconds=99.0, error=None)

    samples = shown_by(metrics)
    buckets = {
        dict(labels)["le"]: count
        for (name, labels), count in samples.items()
        if name == "http_request_duration_seconds_bucket"
    }
    assert buckets["0.0025"] == 0
    assert buckets["0.005"] == 2
    assert buckets["10.0"] == 2
    assert buckets["+Inf"] == 3
    assert value(samples, "http_request_duration_seconds_count", route="/classify") == 3
    assert value(samples, "http_request_duration_seconds_sum", route="/classify") == pytest.approx(99.008)


def test_predictions_are_counted_by_head_label_and_decision() -> None:
    metrics = Metrics()

    metrics.predicted(prediction())
    metrics.predicted(prediction(label="Low", confidence=0.3))
    metrics.scored(0.0002)

    samples = shown_by(metrics)
    assert value(samples, "ticket_predictions_total", head="priority", label="High", decision="auto") == 1
    assert value(samples, "ticket_predictions_total", head="priority", label="Low", decision="auto") == 1
    assert value(samples, "ticket_prediction_confidence_bucket", head="priority", le="0.5") == 1
    assert value(samples, "ticket_tokens_total") == 20
    assert value(samples, "ticket_unknown_tokens_total") == 6
    assert value(samples, "ticket_inference_duration_seconds_count") == 1


def test_only_the_version_that_is_loaded_is_shown() -> None:
    metrics = Metrics()
    metrics.model_changed("1.0.0", degraded=False)
    metrics.model_changed("1.1.0", degraded=True)
    metrics.model_reloaded("changed")

    samples = shown_by(metrics)

    assert [key for key in samples if key[0] == "ticket_model_info"] == [("ticket_model_info", (("version", "1.1.0"),))]
    assert value(samples, "ticket_model_degraded") == 1
    assert value(samples, "ticket_model_loaded") == 1
    assert value(samples, "ticket_model_reloads_total", result="changed") == 1


def test_the_storage_of_the_rate_limit_is_shown() -> None:
    metrics = Metrics()
    metrics.rate_limit_storage_is("redis")
    metrics.rate_limit_storage_changed(degraded=True)

    samples = shown_by(metrics)

    assert value(samples, "rate_limit_storage_info", storage="redis") == 1
    assert value(samples, "rate_limit_storage_degraded") == 1


def test_processes_that_share_a_directory_show_the_same_sums(tmp_path: Path) -> None:
    first, second = Metrics(SharedValues(tmp_path)), Metrics(SharedValues(tmp_path))
    for metrics in (first, second):
        complete(metrics)
        metrics.predicted(prediction())
        metrics.model_changed("1.0.0", degraded=False)
    second.model_changed("1.1.0", degraded=True)

    for samples in (shown_by(first), shown_by(second)):
        assert value(samples, "http_requests_total", route="/classify", method="POST", status="200") == 2
        assert value(samples, "ticket_tokens_total") == 20
        assert value(samples, "http_request_duration_seconds_count", route="/classify") == 2
        assert value(samples, "ticket_model_info", version="1.0.0") == 1
        assert value(samples, "ticket_model_info", version="1.1.0") == 1
        assert value(samples, "ticket_model_degraded") == 1
        assert value(samples, "service_workers") == 2
        assert value(samples, "process_resident_memory_bytes", worker="1") > 1_000_000


def test_what_a_killed_process_counted_stays_and_its_states_go(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from app.metrics.service_metrics import Metrics
from app.metrics.shared_values import SharedValues
metrics = Metrics(SharedValues(Path(sys.argv[1])))
metrics.request_completed(route="/classify", method="POST", status=200, seconds=0.003, error=None)
metrics.model_changed("9.9.9", degraded=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    survivor = Metrics(SharedValues(tmp_path))
    survivor.model_changed("1.0.0", degraded=False)

    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=False)
        assert killed.returncode == -signal.SIGKILL

    samples = shown_by(survivor)
    assert value(samples, "http_requests_total", route="/classify", method="POST", status="200") == 2
    assert value(samples, "ticket_model_degraded") == 0
    assert [dict(labels)["version"] for (name, labels) in samples if name == "ticket_model_info"] == ["1.0.0"]
    assert value(samples, "service_workers") == 1
    # The second process went on with the file of the first.
    assert len(list(tmp_path.iterdir())) == 2


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PROPFIND", "CANARY"]) | st.text("ABCDEFGHIJ", min_size=1, max_size=20),
    path=st.text(max_size=50).map(lambda text: f"/canary{text}"),
    headers=st.lists(st.tuples(st.binary(min_size=1, max_size=20), st.binary(max_size=50)), max_size=5),
    body=st.binary(max_size=200) | st.sampled_from([b'{"title": "canary", "description": "canary"}']),
)
def test_nothing_that_a_client_sends_becomes_a_label(
    service: Service, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    service.ask_raw(method, path, query=b"canary", headers=headers, body=body)
    service.ask_raw("POST", "/classify", query=b"canary", headers=headers, body=body)

    text = service.get("/metrics").text

    assert "canary" not in text.lower()
    assert {dict(labels).get("method", "GET") for _, labels in parse(text)} <= {"GET", "POST", "other"} | {
        "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT",
    }  # fmt: skip


def test_the_number_of_samples_does_not_grow_with_what_is_sent(service: Service) -> None:
    def ask(i: int) -> None:
        service.ask_raw(f"METHOD{i}", f"/path/{i}", query=b"", headers=[(b"x-header", str(i).encode())], body=b"")
        service.classify({"title": f"title {i}", "description": f"word{i}"})

    ask(0)
    before = len(parse(service.get("/metrics").text))
    for i in range(1, 200):
        ask(i)

    # Other tickets may have other labels, and so other decisions, but no more than the model has.
    assert len(parse(service.get("/metrics").text)) <= before + 4 * 3 + 3 * 3


def test_counting_a_request_costs_no_more_than_a_hundred_additions(tmp_path: Path) -> None:
    values = SharedValues(tmp_path)
    metrics, drift = Metrics(values), DriftMonitor(values, window=1000)
    bins = Histogram((0.25, 0.5, 0.75), (10,) * 4)
    heads = {name: HeadReference(LabelCounts(("High", "Low"), (20, 20)), bins) for name in ("priority", "department")}
    drift.use(Reference(bins, bins, heads))
    answered = Prediction({name: HeadPrediction("High", 0.8, "auto", (), ()) for name in heads}, 10, 3)
    numbers = memoryview(bytearray(80)).cast("d")

    def count() -> None:
        for _ in range(20):
            metrics.scored(0.0002)
            metrics.predicted(answered)
            drift.observe(answered, n_characters=300)
            complete(metrics)

    def add() -> None:
        for _ in range(20 * 100):
            numbers[3] += 1

    # The least of many short turns, taken in turn, is what each costs when nothing else runs.
    costs = [(timeit.timeit(count, number=1), timeit.timeit(add, number=1)) for _ in range(200)]
    assert min(cost for cost, _ in costs) < min(cost for _, cost in costs)


def ask_workers(process: ServiceProcess, n_requests: int) -> None:
    """Send requests on connections of their own, so that the workers share them."""
    for _ in range(n_requests):
        assert httpx.post(f"{process.base_url}/classify", json=dict(TICKET)).status_code == 200


def scrape(process: ServiceProcess) -> Samples:
    return parse(httpx.get(f"{process.base_url}/metrics").text)


def classified(samples: Samples) -> float:
    return total(samples, "http_requests_total", route="/classify", status="200")


def test_two_workers_show_the_requests_of_both_also_after_one_was_killed(start_process: StartProcess) -> None:
    process = start_process("--workers", "2", DRAIN_SECONDS="0")
    process.wait_for(lambda: value(scrape(process), "service_workers") == 2)
    directory = metrics_directory(worker_pids(process)[0])

    ask_workers(process, 40)
    counts = {classified(scrape(process)) for _ in range(10)}
    pids = worker_pids(process)
    os.kill(pids[0], signal.SIGKILL)
    process.wait_for(lambda: len(worker_pids(process)) == 3 and value(scrape(process), "service_workers") == 2)
    ask_workers(process, 10)

    assert counts == {40}
    assert {classified(scrape(process)) for _ in range(10)} == {50}
    samples = scrape(process)
    assert total(samples, "ticket_predictions_total", head="priority") == 50
    assert value(samples, "ticket_model_loaded") == 1
    assert {dict(labels)["worker"] for name, labels in samples if name == "process_open_fds"} == {"0", "1"}
    assert len(list(directory.iterdir())) == 2
    process.stop()
    assert not directory.exists()


def test_workers_whose_parent_was_killed_leave_nothing_in_memory(start_process: StartProcess) -> None:
    process = start_process("--workers", "2", DRAIN_SECONDS="0")
    process.wait_for(lambda: value(scrape(process), "service_workers") == 2)
    workers = [psutil.Process(pid) for pid in worker_pids(process)]
    directory = metrics_directory(workers[0].pid)

    process.process.kill()
    process.process.wait()

    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    assert not directory.exists()


def metrics_directory(pid: int) -> Path:
    """Return where the files are that the process has mapped for its metrics."""
    mapped = re.findall(r"/\S*/ticket-classifier-metrics-[^/\s]+(?=/)", Path(f"/proc/{pid}/maps").read_text())
    (directory,) = set(mapped)
    return Path(directory)


def worker_pids(process: ServiceProcess) -> list[int]:
    starts = [re.search(r"Started server process \[(\d+)\]", record["message"]) for record in process.log_records()]
    return [int(found[1]) for found in starts if found]


def test_a_directory_of_ones_own_is_used_and_kept(start_process: StartProcess, tmp_path: Path) -> None:
    directory = tmp_path / "metrics"
    process = start_process(METRICS_DIR=str(directory), DRAIN_SECONDS="0")
    ask_workers(process, 3)
    process.stop()

    again = start_process(METRICS_DIR=str(directory), DRAIN_SECONDS="0")

    assert classified(scrape(again)) == 3

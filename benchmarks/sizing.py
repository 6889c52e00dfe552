"""What a running service takes besides its processor and memory: bytes of log, of shared memory, of a scrape."""

from __future__ import annotations

import http.client
import tempfile
import time
from pathlib import Path

from benchmarks.measuring import Figure, Subject
from benchmarks.service import running_service

_N_TICKETS = 500
# What a file takes, which has holes, is told in blocks of this size.
_BLOCK = 512


def measure(subject: Subject) -> list[Figure]:
    log_bytes, shared_bytes, scrape_bytes, scrape_ms = [], [], [], []
    for _ in range(subject.rounds):
        with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as metrics:
            environment = {"LOG_LEVEL": "INFO", "METRICS_DIR": metrics}
            models_dir = subject.model_directory.parent
            with running_service(models_dir, environment=environment, stdout=log.fileno()) as service:
                before = log.seek(0, 2)
                for i in range(_N_TICKETS):
                    ticket = subject.tickets[i % len(subject.tickets)]
                    service.classify(ticket.title[:300], ticket.description[:20_000])
                log_bytes.append((log.seek(0, 2) - before) / _N_TICKETS)
                shared_bytes.append(float(sum(path.stat().st_blocks * _BLOCK for path in Path(metrics).iterdir())))
                started = time.perf_counter()
                scrape_bytes.append(float(_scrape(service.port)))
                scrape_ms.append((time.perf_counter() - started) * 1000)
    return [
        Figure("log, a request", "bytes", tuple(log_bytes)),
        Figure("shared memory for metrics, a worker", "KB", tuple(n / 1000 for n in shared_bytes)),
        Figure("a scrape of /metrics", "KB", tuple(n / 1000 for n in scrape_bytes)),
        Figure("a scrape of /metrics takes", "ms", tuple(scrape_ms)),
    ]


def _scrape(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    answer = connection.getresponse().read()
    connection.close()
    return len(answer)

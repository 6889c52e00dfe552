"""The service as a process of its own, on a free port, until the measurement has what it wants."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from benchmarks.measuring import ROOT

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Service:
    """A service that is ready; ``seconds_to_ready`` is from the start of its process."""

    process_id: int
    port: int
    seconds_to_ready: float

    def classify(self, title: str, description: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        body = json.dumps({"title": title, "description": description})
        connection.request("POST", "/classify", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != http.client.OK:
            raise RuntimeError(f"/classify answered {answer.status}")


@contextmanager
def running_service(
    models_dir: Path,
    *,
    program: Sequence[str] = ("-m", "app"),
    before: Sequence[str] = (),
    workers: int = 1,
    environment: Mapping[str, str] = MappingProxyType({}),
    stdout: int = subprocess.DEVNULL,
) -> Iterator[Service]:
    """Start the service without request log lines, a limit or a store, or as ``environment`` says.

    ``program`` are the interpreter's arguments before the address, ``before`` a command that becomes the interpreter.
    ``stdout`` is the descriptor that the log goes to.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    whole_environment = {
        **{name: value for name, value in os.environ.items() if name != "MODEL_VERSION"},
        "MODELS_BASE_DIR": str(models_dir.resolve()),
        "RATE_LIMIT_REQUESTS": "1000000",
        "LOG_LEVEL": "WARNING",
        "STORE_URL": "off",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **environment,
    }
    command = [*before, sys.executable, *program, "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    started_at = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=whole_environment, stdout=stdout)
    try:
        _wait_until_ready(process, port)
        yield Service(process.pid, port, time.perf_counter() - started_at)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == http.client.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"the service was not ready after {_START_SECONDS:.0f} s")

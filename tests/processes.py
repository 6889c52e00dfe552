"""The service as a process of its own, for tests of sockets, signals and exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from app.config import Settings

ROOT = Path(__file__).parent.parent
_START_SECONDS = 30
STOP_SECONDS = 30


@dataclass
class ServiceProcess:
    """``python -m app`` as a process of its own, with its output in a file."""

    process: subprocess.Popen[bytes]
    log_path: Path
    base_url: str = ""
    clients: list[httpx.Client] = field(default_factory=list)

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8")

    def log_records(self) -> list[dict[str, Any]]:
        """Return the log; every line must be a JSON object."""
        return [json.loads(line) for line in self.log().splitlines()]

    def wait_for(self, condition: Callable[[], bool], *, seconds: float = _START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not so within {seconds} s:\n{self.log()}"
            assert self.process.poll() is None, f"the process ended:\n{self.log()}"
            time.sleep(0.02)

    def wait_until_live(self) -> None:
        # One client: making one reads the system's certificates, which takes longer than the pause between looks.
        with httpx.Client(timeout=2) as client:

            def is_live() -> bool:
                try:
                    return client.get(f"{self.base_url}/health/live").status_code == httpx.codes.OK
                except httpx.TransportError:
                    return False

            self.wait_for(is_live)

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def end(self) -> None:
        """Have it ended, however long it takes to end by itself."""
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """End it and its workers at once, as a power cut would."""
        processes = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(STOP_SECONDS)


def clean_environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without the service's settings, and with ``variables``.

    The service does not drain unless they say so, since nobody waits for it to be taken out of service.
    """
    names = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in names}
    return kept | {"DRAIN_SECONDS": "0"} | variables


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch_service(
    log_path: Path,
    *arguments: str,
    command: tuple[str, ...] = ("-m", "app"),
    port: int | None = None,
    **variables: str,
) -> ServiceProcess:
    """Start ``python -m app``, on a free port if need be; it limits nobody and keeps nothing unless told to."""
    port = port or free_port()
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command, "--host", "127.0.0.1", "--port", str(port), *arguments],
            cwd=ROOT,
            env=clean_environment(**{"RATE_LIMIT_REQUESTS": "1000000", "STORE_URL": "off", **variables}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    return ServiceProcess(process, log_path, f"http://127.0.0.1:{port}")

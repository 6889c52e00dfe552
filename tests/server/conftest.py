"""A service to attack, and the connections to do it with."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.in_process import TICKET
from tests.processes import ROOT, STOP_SECONDS, ServiceProcess, clean_environment, free_port

BODY = json.dumps(dict(TICKET)).encode()


@dataclass(frozen=True)
class Exchange:
    """What came back on a connection: the raw bytes, and whether the server closed in an orderly way."""

    received: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        return [int(part[:3]) for part in self.received.split(b"HTTP/1.1 ")[1:]]

    @property
    def head(self) -> str:
        return self.received.partition(b"\r\n\r\n")[0].decode("latin-1").lower()

    @property
    def body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]


def post(
    body: bytes = BODY, *, path: str = "/classify", headers: bytes = b"", declare: bool = True, version: str = "1.1"
) -> bytes:
    """Return a request as bytes; ``headers`` are complete lines."""
    length = b"Content-Length: %d\r\n" % len(body) if declare else b""
    head = f"POST {path} HTTP/{version}\r\nHost: service\r\nContent-Type: application/json\r\n".encode()
    return head + headers + length + b"\r\n" + body


def get(path: str, *, method: str = "GET", headers: bytes = b"", version: str = "1.1") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: service\r\n".encode() + headers + b"\r\n"


def port_of(process: ServiceProcess) -> int:
    return int(process.base_url.rsplit(":", 1)[1])


def connect(process: ServiceProcess, *, timeout: float = 10) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port_of(process)), timeout=timeout)


def exchange(process: ServiceProcess, data: bytes, *, n_answers: int = 1, half_close: bool = False) -> Exchange:
    """Send ``data``, then read until the server closes, or until so many answers have come and it has not closed."""
    with connect(process) as connection:
        connection.sendall(data)
        if half_close:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while chunk := connection.recv(65_536):
                received += chunk
                if received.count(b"HTTP/1.1 ") >= n_answers:
                    # What would be closed is closed at once.
                    connection.settimeout(0.3)
        except TimeoutError:
            return Exchange(received, closed=False)
    return Exchange(received, closed=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[ServiceProcess]:
    """One ``python -m app`` for a whole file of tests that leave it as they found it."""
    log_path = tmp_path_factory.mktemp("server") / "service.log"
    port = free_port()
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=clean_environment(
                MODELS_BASE_DIR=str(models_dir),
                RATE_LIMIT_REQUESTS="1000000",
                STORE_URL=f"sqlite:///{log_path.with_name('store.db')}",
            ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    service = ServiceProcess(process, log_path, f"http://127.0.0.1:{port}")
    try:
        service.wait_until_live()
        yield service
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)

"""What tests of the commands share: running one as its users do, and one service for all that only read."""

from __future__ import annotations

import csv
import http.server
import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest

from tests.processes import ROOT, clean_environment, launch_service

RunScript = Callable[..., subprocess.CompletedProcess[str]]
WriteTickets = Callable[..., Path]
_TIMEOUT_SECONDS = 60
# A status, headers and a body for the request that comes next.
Reply = tuple[int, Mapping[str, str], object]


@pytest.fixture
def run_script() -> RunScript:
    """Run ``python scripts/NAME.py ARGUMENTS`` from the root of the project, without the caller's settings."""

    def run(name: str, *arguments: str | Path, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *map(str, arguments)],
            cwd=cwd,
            env=clean_environment(**variables),
            capture_output=True,
            encoding="utf-8",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )

    return run


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> RunScript:
    """Do the same in this process, which spares the imports of one of its own; what a process does is then not seen."""

    def run(name: str, *arguments: str | Path, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(argument) for argument in arguments]
        main = importlib.import_module(f"scripts.{name}").main
        capsys.readouterr()
        with monkeypatch.context() as context:
            for variable in os.environ.keys() - clean_environment().keys():
                context.delenv(variable)
            for variable, value in variables.items():
                context.setenv(variable, value)
            context.chdir(cwd)
            try:
                code = main(command)
            except SystemExit as stopped:
                code = stopped.code
        output = capsys.readouterr()
        return subprocess.CompletedProcess(command, code, output.out, output.err)

    return run


@pytest.fixture(scope="session")
def base_url(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a service runs that limits nobody; tests must not change its state."""
    service = launch_service(tmp_path_factory.mktemp("service") / "log", MODELS_BASE_DIR=str(models_dir))
    try:
        service.wait_until_live()
        yield service.base_url
    finally:
        service.stop()


@pytest.fixture
def write_csv(tmp_path: Path) -> WriteTickets:
    """Write rows under a header to ``tickets.csv`` and return its path."""

    def write(header: Sequence[str], rows: Sequence[Sequence[str]], name: str = "tickets.csv") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        return path

    return write


class ScriptedService:
    """A real HTTP server that gives each POST the next of ``replies``, the last one again and again.

    ``metadata`` is what it says of its model.
    """

    def __init__(self, replies: Sequence[Reply], *, metadata: object = None) -> None:
        self.requests: list[dict[str, object]] = []
        self.headers: list[dict[str, str]] = []
        scripted = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._reply(200, {}, {"model_metadata": metadata})

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                reply = replies[min(len(scripted.requests), len(replies) - 1)]
                scripted.requests.append(json.loads(content))
                scripted.headers.append({name.lower(): value for name, value in self.headers.items()})
                self._reply(*reply)

            def _reply(self, status: int, headers: Mapping[str, str], body: object) -> None:
                content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

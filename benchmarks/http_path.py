"""``/classify`` over HTTP with everything on, against servers that only echo: requests a second under the same load.

The load comes from wrk (``apt-get install wrk``), which needs a fraction of the processor that any server here needs.
All servers run all the time; in each round each is loaded in turn.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

from benchmarks.measuring import ROOT, Figure, Subject, ratios
from benchmarks.service import running_service

N_CONNECTIONS = 16
TICKET = {"title": "Server is down", "description": "Main server offline, all users"}
EVERYTHING_ON = MappingProxyType({"LOG_LEVEL": "INFO", "RATE_LIMIT_REQUESTS": "1000000"})
_SECONDS_A_TURN = 3
_LUA = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[%s]==]
"""
_START_SECONDS = 30.0
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    process_id: int
    url: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What one server did under load: its rate, and its own processor time for each request."""

    requests_per_second: float
    microseconds_per_request: float


def measure(subject: Subject) -> list[Figure]:
    """Return nothing but a message where wrk is not installed."""
    if shutil.which("wrk") is None:
        print("http_path is left out: it needs wrk (Debian, Ubuntu: apt-get install wrk)", file=sys.stderr)
        return []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        script = write_script(directory)
        environment = {**EVERYTHING_ON, "STORE_URL": f"sqlite:///{directory}/store.db"}
        service = stack.enter_context(running_service(subject.model_directory.parent, environment=environment))
        raw = stack.enter_context(_uvicorn("benchmarks.echo_servers:raw"))
        fastapi = stack.enter_context(_uvicorn("benchmarks.echo_servers:fastapi_echo"))
        servers = [
            Server("raw ASGI echo", raw.pid, raw.url),
            Server("FastAPI echo", fastapi.pid, fastapi.url),
            Server("FastAPI, an answer as long", fastapi.pid, fastapi.url.replace("/classify", "/answer")),
            Server("the service", service.process_id, f"http://127.0.0.1:{service.port}/classify"),
        ]
        turns: dict[str, list[Turn]] = {server.name: [] for server in servers}
        for server in servers:
            load(server, script, seconds=1)
        for _ in range(subject.rounds):
            for server in servers:
                turns[server.name].append(load(server, script, seconds=_SECONDS_A_TURN))
    return [*_figures(turns)]


def _figures(turns: dict[str, list[Turn]]) -> Iterator[Figure]:
    rates = {name: tuple(turn.requests_per_second for turn in of_name) for name, of_name in turns.items()}
    for name, of_server in rates.items():
        yield Figure(f"/classify: {name}", "requests/s", of_server)
    for name, its_turns in turns.items():
        yield Figure(f"/classify: {name}, processor", "µs", tuple(turn.microseconds_per_request for turn in its_turns))
    ours = rates["the service"]
    yield Figure("/classify: service / raw ASGI echo", "times", ratios(ours, rates["raw ASGI echo"]))
    yield Figure("/classify: service / FastAPI echo", "times", ratios(ours, rates["FastAPI echo"]), at_least=1.1)
    longer = rates["FastAPI, an answer as long"]
    yield Figure("/classify: service / FastAPI, an answer as long", "times", ratios(ours, longer), at_least=1.0)


def write_script(directory: Path) -> Path:
    """Write what tells wrk to send the ticket."""
    script = directory / "ticket.lua"
    script.write_text(_LUA % json.dumps(TICKET), encoding="utf-8")
    return script


def load(server: Server, script: Path, *, seconds: int) -> Turn:
    """Keep the server busy with 16 connections for so long."""
    before = _processor_seconds(server.process_id)
    options = {
        "--threads": "1",
        "--connections": str(N_CONNECTIONS),
        "--duration": f"{seconds}s",
        "--script": str(script),
    }
    done = subprocess.run(
        ["wrk", *chain.from_iterable(options.items()), server.url],
        capture_output=True,
        text=True,
        timeout=seconds + 30,
        check=True,
    )
    used = _processor_seconds(server.process_id) - before
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"{server.name} failed under load:\n{done.stdout}")
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s|m)", done.stdout)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
    if found is None or rate is None:
        raise RuntimeError(f"wrk printed no rate:\n{done.stdout}")
    return Turn(float(rate[1]), used / int(found[1]) * 1e6)


def _processor_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK_TICKS


@dataclass(frozen=True, slots=True)
class _Echo:
    pid: int
    url: str


@contextmanager
def _uvicorn(application: str) -> Iterator[_Echo]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", application, "--port", str(port), "--loop", "uvloop"]
    command += ["--http", "httptools", "--no-access-log", "--log-level", "warning", "--lifespan", "off"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        _wait_until_it_listens(process, port)
        yield _Echo(process.pid, f"http://127.0.0.1:{port}/classify")
    finally:
        process.terminate()
        process.wait(_START_SECONDS)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("an echo server did not start")

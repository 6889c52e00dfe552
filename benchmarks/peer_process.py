"""A peer as processes of its own: its virtual environment, its start, and its end with all its children."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.http_path import TICKET, Server
from benchmarks.measuring import ROOT

ENVIRONMENTS = ROOT / "benchmarks/.venvs"
# The joblib parts are pickles: they want what they were written with.
_LOCKED = ("numpy", "scipy", "scikit-learn", "joblib")
_INSTALL_SECONDS = 600.0
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.2


class PeerError(Exception):
    """A peer that cannot be measured; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another model server: what to install, and how it is started and asked.

    ``command`` takes the directory of the environment's commands and a port; ``environment`` takes three ports and a
    directory for what the server writes; ``body`` is the ticket as this server's protocol has it; ``pins`` are versions
    of its dependencies that it works with and does not ask for itself.
    """

    name: str
    version: str
    command: Callable[[Path, int], list[str]]
    environment: Callable[[tuple[int, ...], Path], Mapping[str, str]]
    path: str
    body: Mapping[str, object]
    pins: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        return ENVIRONMENTS / self.name

    @property
    def requirements(self) -> list[str]:
        return [f"{self.name}=={self.version}", *self.pins, *(f"{name}=={version(name)}" for name in _LOCKED)]


def _one_field(name: str) -> dict[str, object]:
    return {"name": name, "shape": [1], "datatype": "BYTES", "data": [TICKET[name]]}


_SERVERS = "benchmarks.peer_servers"
PEERS = {
    peer.name: peer
    for peer in (
        Peer(
            "mlserver",
            "1.7.1",
            lambda commands, _: [str(commands / "mlserver"), "start", "."],
            lambda ports, _: {
                "MLSERVER_HOST": "127.0.0.1",
                "MLSERVER_HTTP_PORT": str(ports[0]),
                "MLSERVER_GRPC_PORT": str(ports[1]),
                "MLSERVER_METRICS_PORT": str(ports[2]),
                "MLSERVER_DEBUG": "false",
                "MLSERVER_MODEL_NAME": "tickets",
                "MLSERVER_MODEL_IMPLEMENTATION": f"{_SERVERS}.mlserver_runtime.TicketRuntime",
            },
            "/v2/models/tickets/infer",
            {"inputs": [_one_field("title"), _one_field("description")]},
            # Its workers ask for an event loop before there is one, which later versions refuse.
            pins=("uvloop==0.21.0",),
        ),
        Peer(
            "bentoml",
            "1.4.39",
            lambda commands, port: [
                *(str(commands / "bentoml"), "serve", f"{_SERVERS}.bentoml_server:TicketService"),
                *("--working-dir", str(ROOT), "--host", "127.0.0.1", "--port", str(port)),
            ],
            lambda _, directory: {"BENTOML_HOME": str(directory), "BENTOML_DO_NOT_TRACK": "true"},
            "/classify",
            TICKET,
        ),
        Peer(
            "litserve",
            "0.2.19",
            lambda commands, port: [str(commands / "python"), "-m", f"{_SERVERS}.litserve_server", str(port)],
            lambda _, __: {},
            "/classify",
            TICKET,
        ),
    )
}


def install(peer: Peer) -> None:
    """Make the environment of a peer, unless it has what is asked for.

    Raises:
        PeerError: where the installer says no.

    """
    done_with = peer.directory / "requirements.txt"
    wanted = "\n".join(peer.requirements) + "\n"
    if done_with.exists() and done_with.read_text(encoding="utf-8") == wanted:
        return
    python = str(peer.directory / "bin/python")
    for command in (
        [sys.executable, "-m", "venv", str(peer.directory)],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.requirements],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        except subprocess.CalledProcessError as error:
            raise PeerError(f"cannot be installed: {_last_line(error.stderr or error.stdout)}") from error
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"cannot be installed within {_INSTALL_SECONDS:.0f} s") from error
    done_with.write_text(wanted, encoding="utf-8")


@contextmanager
def running_peer(peer: Peer, model_directory: Path, directory: Path, labels: Sequence[str]) -> Iterator[Server]:
    """Start a peer in ``directory`` and wait until it answers the ticket with ``labels``, one for each head.

    Raises:
        PeerError: where it does not start in time, or answers something else.

    """
    directory.mkdir()
    ports = _free_ports(3)
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PEER_MODEL": str(model_directory.resolve()),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **peer.environment(ports, directory),
    }
    log = directory / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            peer.command(peer.directory / "bin", ports[0]),
            cwd=directory,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        answer = _first_answer(peer, process, ports[0], log)
        if missing := [label for label in labels if f'"{label}"' not in answer]:
            raise PeerError(f"did not answer with the labels {missing}: {answer[:200]}")
        yield Server(peer.name, process.pid, f"http://127.0.0.1:{ports[0]}{peer.path}")
    finally:
        _end(process)


def _first_answer(peer: Peer, process: subprocess.Popen[bytes], port: int, log: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    last = "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("POST", peer.path, json.dumps(peer.body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status == http.client.OK:
                return text
            last = f"status {answer.status}, {text[:200]}"
        except (OSError, http.client.HTTPException) as error:
            last = str(error)
        finally:
            connection.close()
        time.sleep(_POLL_SECONDS)
    state = "still runs" if process.poll() is None else f"ended with code {process.returncode}"
    raise PeerError(
        f"cannot be started: {state}; {last}; {_last_line(log.read_text(encoding='utf-8', errors='replace'))}"
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # Workers that outlived it; the group is its own.


def _free_ports(count: int) -> tuple[int, ...]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return tuple(probe.getsockname()[1] for probe in probes)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"

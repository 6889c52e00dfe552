"""Several processes that serve on one socket: started, replaced when they die, and stopped together."""

from __future__ import annotations

import gc
import importlib
import logging
import multiprocessing
import os
import signal
import time
from typing import TYPE_CHECKING, Final

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from app.server.server import DrainingServer

if TYPE_CHECKING:
    import socket

    from app.server.config import ServerConfig

logger = logging.getLogger(__name__)

_FORK: Final = multiprocessing.get_context("fork")
# What the parent does at these is not what a worker does, and a worker sets its own handlers when it serves.
_PARENTS_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGTTIN, signal.SIGTTOU)
# Everything that ``app.main`` imports. Importing that itself would make an application, which belongs to one process.
_PRELOADED: Final = (
    "app.web.api.classify",
    "app.web.api.documentation",
    "app.web.middleware.authentication",
    "app.web.middleware.body_limit",
    "app.web.middleware.cors",
    "app.web.middleware.rate_limit",
    "app.web.middleware.request_context",
    "app.serving.model_updates",
    "app.serving.registry",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.httptools_impl",
)
_TICK_SECONDS: Final = 0.1
# A dead process is seen at every tick; whether a living one hangs is asked less often, since that may take a while.
_PING_EVERY_SECONDS: Final = 2.0
# Until then a worker may still be importing, and answers nothing.
_START_SECONDS: Final = 30.0
# Beyond what a worker takes for draining and stopping; one that still runs is killed.
_MARGIN_SECONDS: Final = 2


def _preload() -> None:
    """Import what the workers need, and keep the collector's marks off it, which would unshare its memory."""
    # A process with threads of its own cannot be copied safely, and one ticket's sums need none.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


class Worker(Process):
    """One process that serves; uvicorn's, with our server in it."""

    config: ServerConfig

    def __init__(self, config: ServerConfig, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        # uvicorn's processes begin with an empty interpreter; these share the memory of what the parent has imported.
        self.process = _FORK.Process(target=self._run, args=(sockets,))  # type: ignore[assignment]
        self._started_at = time.monotonic()

    def _run(self, sockets: list[socket.socket]) -> None:
        for number in _PARENTS_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self.target(sockets)

    @property
    def server(self) -> DrainingServer:
        if self._server is None:
            self._server = DrainingServer(self.config)
        return self._server  # type: ignore[return-value]

    def hangs(self) -> bool:
        """Ask the worker for a sign of life; waits for it for some seconds."""
        is_young = time.monotonic() - self._started_at < _START_SECONDS
        return not is_young and not self.ping(timeout=self.config.timeout_worker_healthcheck)

    def send_signal(self, number: int) -> None:
        if self.process.exitcode is None and self.process.pid is not None:
            os.kill(self.process.pid, number)


class Supervisor(Multiprocess):
    """uvicorn's, which passes signals on at once, and leaves no worker behind.

    SIGTERM, SIGINT and SIGHUP go to every worker, each time that they arrive.
    """

    config: ServerConfig
    processes: list[Worker]  # type: ignore[assignment]

    def __init__(self, config: ServerConfig, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self.has_failed = False
        self._ping_at = 0.0

    def init_processes(self) -> None:
        _preload()
        for _ in range(self.processes_num):
            self.processes.append(self._start_worker())

    def run(self) -> None:
        """Serve until a signal says to stop, or until a worker cannot even start."""
        self.init_processes()
        while not self.should_exit.is_set():
            time.sleep(_TICK_SECONDS)
            self.handle_signals()
            self.keep_subprocess_alive()
        # While this process holds the socket, the system completes connections that nobody would answer any more.
        for listener in self.sockets:
            listener.close()
        self._wait_for_workers()

    def keep_subprocess_alive(self) -> None:
        asks = time.monotonic() >= self._ping_at
        if asks:
            self._ping_at = time.monotonic() + _PING_EVERY_SECONDS
        for position, worker in enumerate(self.processes):
            if self.should_exit.is_set() or (worker.process.is_alive() and not (asks and worker.hangs())):
                continue
            worker.kill()
            worker.join()
            if worker.exitcode == STARTUP_FAILURE:
                logger.error("a worker failed to start", extra={"pid": worker.pid})
                self.has_failed = True
                self._stop(signal.SIGTERM)
                return
            logger.error("a worker died and is replaced", extra={"pid": worker.pid, "exit_code": worker.exitcode})
            self.processes[position] = self._start_worker()

    def handle_int(self) -> None:
        self._stop(signal.SIGINT)

    def handle_term(self) -> None:
        self._stop(signal.SIGTERM)

    def handle_hup(self) -> None:
        for worker in self.processes:
            worker.send_signal(signal.SIGHUP)

    def handle_ttin(self) -> None:
        """Keep the number of workers."""

    def handle_ttou(self) -> None:
        """Keep the number of workers."""

    def _start_worker(self) -> Worker:
        worker = Worker(self.config, self.sockets)
        worker.start()
        return worker

    def _stop(self, number: int) -> None:
        self.should_exit.set()
        for worker in self.processes:
            worker.send_signal(number)

    def _wait_for_workers(self) -> None:
        stop_seconds = self.config.timeout_graceful_shutdown or 0
        deadline = time.monotonic() + self.config.drain_seconds + stop_seconds + _MARGIN_SECONDS
        while any(worker.process.is_alive() for worker in self.processes):
            if time.monotonic() > deadline:
                logger.error("workers did not stop in time and are killed")
                for worker in self.processes:
                    worker.kill()
                deadline = float("inf")
            time.sleep(_TICK_SECONDS / 2)
            self.handle_signals()

"""Several processes that serve on one socket: started, replaced when they die, and stopped together."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import mmap
import multiprocessing
import os
import shutil
import signal
import time
from typing import TYPE_CHECKING, Final

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from app.server.server import DrainingServer

if TYPE_CHECKING:
    import socket
    from pathlib import Path

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
_BEAT_SECONDS: Final = 0.5
# A dead process is seen at every tick. One that lives hangs when its loop gives no beat for this many looks:
# looks are counted, not seconds, so that a machine that was suspended does not lose all of its workers.
_LOOK_SECONDS: Final = 2.0
_LOOKS: Final = 3
# Beyond what a worker takes for draining and stopping; one that still runs is killed.
_MARGIN_SECONDS: Final = 4


def _preload() -> None:
    """Import what the workers need, and keep the collector's marks off it, which would unshare its memory."""
    # A process with threads of its own cannot be copied safely, and one ticket's sums need none.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


class _BeatingServer(DrainingServer):
    """A server whose event loop counts ``beats`` from the end of its start, until the process ends."""

    def __init__(self, config: ServerConfig, beats: memoryview) -> None:
        super().__init__(config)
        self._beats = beats
        self._beating: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._beating = asyncio.get_running_loop().create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            self._beats[0] += 1
            await asyncio.sleep(_BEAT_SECONDS)


class Worker(Process):
    """One process that serves; uvicorn's, with our server in it."""

    config: ServerConfig

    def __init__(self, config: ServerConfig, sockets: list[socket.socket], scratch: Path | None) -> None:
        super().__init__(config, sockets)
        self._parent_pid = os.getpid()
        self._scratch = scratch
        # uvicorn's processes begin with an empty interpreter; these share the memory of what the parent has imported.
        self.process = _FORK.Process(target=self._run, args=(sockets,))  # type: ignore[assignment]
        # A page that the process shares with its parent.
        self._beats = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        self._seen_beats = 0
        self._looks_without_beat = 0

    def _run(self, sockets: list[socket.socket]) -> None:
        for number in _PARENTS_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self.server.run(sockets)
        if self._scratch is not None and os.getppid() != self._parent_pid:
            shutil.rmtree(self._scratch, ignore_errors=True)

    @property
    def server(self) -> DrainingServer:
        if self._server is None:
            self._server = _BeatingServer(self.config, self._beats)
        return self._server  # type: ignore[return-value]

    def hangs(self) -> bool:
        """Look whether the event loop runs; one that still starts is not expected to."""
        beats = self._beats[0]
        is_still = beats > 0 and beats == self._seen_beats
        self._seen_beats, self._looks_without_beat = beats, self._looks_without_beat + 1 if is_still else 0
        return self._looks_without_beat >= _LOOKS

    def send_signal(self, number: int) -> None:
        if self.process.exitcode is None and self.process.pid is not None:
            os.kill(self.process.pid, number)


class Supervisor(Multiprocess):
    """uvicorn's, which passes signals on at once, and leaves no worker behind.

    SIGTERM, SIGINT and SIGHUP go to every worker, each time that they arrive. ``scratch`` is a directory of the parent,
    which workers remove at their end if the parent was killed and cannot.
    """

    config: ServerConfig
    processes: list[Worker]  # type: ignore[assignment]

    def __init__(self, config: ServerConfig, sockets: list[socket.socket], *, scratch: Path | None = None) -> None:
        super().__init__(config, sockets)
        self._scratch = scratch
        self.has_failed = False
        self._look_at = 0.0

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
        looks = time.monotonic() >= self._look_at
        if looks:
            self._look_at = time.monotonic() + _LOOK_SECONDS
        for position, worker in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if worker.process.is_alive():
                if not (looks and worker.hangs()):
                    continue
                logger.error("a worker hangs and is killed", extra={"pid": worker.pid})
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

    handle_ttou = handle_ttin

    def _start_worker(self) -> Worker:
        worker = Worker(self.config, self.sockets, self._scratch)
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

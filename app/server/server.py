"""The server of one process: uvicorn's, which drains before it stops and watches over slow connections."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import time
from typing import TYPE_CHECKING, Final, cast

from uvicorn import Server
from uvicorn.config import STARTUP_FAILURE

from app.server.config import ServerConfig
from app.server.listener import Listener, url_of
from app.server.protocol import Connection
from app.server.state import ConnectionState

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from types import FrameType

logger = logging.getLogger(__name__)

_SWEEP_SECONDS: Final = 0.25
_HANDSHAKE_SECONDS: Final = 0.1
_STOP_SWEEP_SECONDS: Final = 0.05
# At the end a request may be on its way on a connection that looks idle; after this time it is not.
_QUIET_SECONDS: Final = 0.5
# A process manager may signal a whole group, whose parent then signals its workers too: that is one request to stop.
_SAME_SIGNAL_SECONDS: Final = 1.0
_HASTY_STOP_SECONDS: Final = 1.0
# Where thousands of connections have requests under way, the interpreter's usual 700 would have it look for cycles in
# every turn, among what is alive. Nothing here makes cycles, save for failures with tracebacks.
OBJECTS_BETWEEN_COLLECTIONS: Final = 20_000
_HANDLED_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class DrainingServer(Server):
    """SIGTERM makes it not ready at once; it serves on for ``drain_seconds``, then answers what it has, and ends.

    SIGINT skips the serving on. A second signal shortens the rest to a second. Connections are closed after their next
    answer meanwhile, so that clients look for another replica.
    """

    config: ServerConfig
    server_state: ConnectionState

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self.server_state = ConnectionState()
        self._parent_pid = os.getppid()
        self._drain_until = float("inf")
        self._told_to_stop_at = 0.0
        self._stop_seconds: float = config.timeout_graceful_shutdown or 0
        self._sweeper: asyncio.Task[None] | None = None
        self._listeners: list[Listener] = []

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals without raising them again at the end, which would make an orderly stop look like a crash."""
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            # Until the application listens to it, it must not end the process.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        originals = {number: signal.signal(number, self.handle_exit) for number in _HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in originals.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature of a handler
        now = time.monotonic()
        if not self.started:
            self.should_exit = True
        elif not self._told_to_stop_at:
            self._told_to_stop_at = now
            self._drain_until = now + (self.config.drain_seconds if sig == signal.SIGTERM else 0)
            self.server_state.draining = True
            # Every request gets a copy of this state, so readiness says no from now on.
            self.lifespan.state["draining"] = True
        elif sig == signal.SIGINT or now - self._told_to_stop_at > _SAME_SIGNAL_SECONDS:
            self._drain_until = now
            self._stop_seconds = _HASTY_STOP_SECONDS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the application, then listen on ``sockets``, which are bound already."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise SystemExit(STARTUP_FAILURE)
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())
        try:
            self._listeners = [
                Listener(bound, self._new_connection, backlog=self.config.backlog) for bound in sockets or []
            ]
        except OSError as error:
            logger.error("cannot listen: %s", error.strerror)  # noqa: TRY400 - the reason says all
            await self.lifespan.shutdown()
            raise SystemExit(STARTUP_FAILURE) from error
        # What was made up to here stays, so the collector need not stop everything to look at it.
        gc.freeze()
        gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
        self.started = True
        for bound in sockets or []:
            logger.info("running on %s", url_of(bound))

    def _new_connection(self) -> Connection:
        return Connection(self.config, self.server_state, self.lifespan.state)

    async def on_tick(self, counter: int) -> bool:
        is_over = await super().on_tick(counter)
        headers = self.server_state.default_headers
        self.server_state.head_lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        if self.config.workers > 1 and os.getppid() != self._parent_pid and not self._told_to_stop_at:
            logger.error("the parent process is gone, so this worker stops")
            self.handle_exit(signal.SIGTERM, None)
        return is_over or time.monotonic() >= self._drain_until

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - they are the listeners'
        """Stop listening, answer the requests that are there, and close every connection."""
        logger.info("stopping", extra={"connections": len(self.server_state.connections)})
        self.server_state.draining = True
        for listener in self._listeners:
            listener.turn_away()
        # What has begun to connect may still be on its way.
        await asyncio.sleep(_HANDSHAKE_SECONDS)
        for listener in self._listeners:
            listener.close()
        started = time.monotonic()
        while self.server_state.connections and time.monotonic() - started < self._stop_seconds:
            if time.monotonic() - started > min(_QUIET_SECONDS, self._stop_seconds):
                for connection in self._connections():
                    connection.shutdown()
            await asyncio.sleep(_STOP_SWEEP_SECONDS)
        await self._abandon()
        await self.lifespan.shutdown()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _abandon(self) -> None:
        """Close the connections that are left, and cancel their requests."""
        for connection in self._connections():
            connection.transport.abort()
        tasks = list(self.server_state.tasks)
        if tasks:
            logger.warning("requests cancelled", extra={"requests": len(tasks)})
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_HASTY_STOP_SECONDS)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            for connection in self._connections():
                connection.check_time(now)

    def _connections(self) -> list[Connection]:
        return cast("list[Connection]", list(self.server_state.connections))

"""HTTP/1.1 connections: uvicorn's, with deadlines, with bounds, and with every refusal in the one error shape.

What is refused here is still answered by the application, whose outermost middleware finds the kind of the error in the
request's state: so every answer has its request id, its log line and its metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.errors import OVERLOADED, REQUEST_TIMEOUT, ErrorKind
from app.server.cycle import RequestCycle
from app.server.reader import Phase, RefusedError, RequestReader

if TYPE_CHECKING:
    import asyncio

    from app.server.config import ServerConfig
    from app.server.state import ConnectionState

# From the first byte of a request, or the opening of its connection, to its last byte.
REQUEST_SECONDS: Final = 10.0
# Time and bytes granted to a client that is still sending when it is answered. Closing at once would reset the
# connection, and a client that writes first and reads then would never see the answer.
LINGER_SECONDS: Final = 5.0
_LINGER_BYTES: Final = 32 << 20
# The rest of a body that is answered early is skipped if it is at most this long; else the connection is closed.
_SKIPPED_BYTES: Final = 65_536
# A client that was refused and asks again at once is read after this time, which those who are answered use better.
_REST_SECONDS: Final = 0.1


class Connection(RequestReader):
    """One client's connection: requests are answered one after the other, in the order in which they came.

    ``check_time`` must be called a few times a second: one sweep over all connections is cheaper than a timer for each
    request.
    """

    def __init__(
        self,
        config: ServerConfig,
        server_state: ConnectionState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._answering: RequestCycle | None = None
        self._taken: RequestCycle | None = None
        self._has_ended = False
        self._ignored_bytes = 0
        self._write_stalled_since = 0.0
        self._rests_until = 0.0

    # What the transport calls

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.IGNORED:
            self._ignored_bytes += len(data)
            if self._ignored_bytes > _LINGER_BYTES:
                self._hold(held=True)
        elif self._rests_until and (seconds := self._rests_until - self.loop.time()) > 0:
            self._unparsed += data
            self._hold(held=True)
            self.loop.call_later(seconds, self._end_rest)
        else:
            super().data_received(data)

    def _end_rest(self) -> None:
        self._rests_until = 0.0
        if not self.transport.is_closing():
            self._parse_pieces()
            if not self.pipeline:
                self.flow.resume_reading()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keep the connection open for answers to requests that have arrived in full."""
        self._has_ended = True
        if self.phase is Phase.BODY:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.pipeline:
                self.pipeline.popleft()
        self.phase = Phase.IGNORED
        if self._answering is None or self._answering.disconnected:
            return False
        last = self.pipeline[0][0] if self.pipeline else self._answering
        last.keep_alive = False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._write_stalled_since = 0.0

    # Answering

    def _take(self, cycle: RequestCycle) -> None:
        if self._answering is None:
            self.cycle = self._answering = self._taken = cycle
        elif self.cycle.keep_alive:
            self.cycle = cycle
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))
        else:
            # Nothing is answered after a request that said it was the last one.
            raise RefusedError(None)

    def _begin(self) -> None:
        cycle, self._taken = self._taken, None
        if cycle is None:
            return
        task = self.loop.create_task(cycle.run_asgi(self.app))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _refuse(self, kind: ErrorKind | None) -> None:
        phase, self.phase = self.phase, Phase.IGNORED
        self.since = self.loop.time()
        if kind is None or phase is Phase.IGNORED:
            return
        if phase is Phase.BODY:
            self.cycle.keep_alive = False
            if self.cycle.response_complete:
                self._close()
            else:
                self.cycle.refuse(kind)
            return
        if self._answering is not None and not self.cycle.keep_alive:
            return
        if not self._has_begun:
            self.on_message_begin()
        scope: Any = self.scope
        for name, missing in (("method", ""), ("path", self.url.partition(b"?")[0].decode("latin-1"))):
            scope.setdefault(name, missing)
        scope.setdefault("raw_path", b"")
        scope.setdefault("query_string", b"")
        cycle = RequestCycle(self, self.server_state, scope, keep_alive=False, expects_continue=False)
        cycle.more_body = False
        cycle.refuse(kind)
        self._take(cycle)

    def on_response_complete(self) -> None:
        cycle, self._answering = self._answering, None
        self.server_state.total_requests += 1
        if cycle is None or self.transport.is_closing():
            return
        if self.pipeline and cycle.keep_alive:
            self._answering = self._taken = self.pipeline.pop()[0]  # type: ignore[assignment]  # only our own are there
            self._begin()
        elif not cycle.keep_alive or (self.phase is Phase.BODY and not _is_short(cycle)):
            self._close()
            return
        elif self.phase is Phase.IDLE:
            self.since = self.loop.time()
        if cycle.scope["state"].get("error") == OVERLOADED.slug:
            self._rests_until = self.loop.time() + _REST_SECONDS
        if self._unparsed:
            self._parse_pieces()
        if not self.pipeline:
            self.flow.resume_reading()

    def _close(self) -> None:
        """Close after the last answer; what the client is still sending is read and thrown away for a while."""
        self.pipeline.clear()
        self._unparsed = b""
        self._hold(held=False)
        if self.phase is Phase.IDLE or self._has_ended:
            self.transport.close()
        else:
            self.transport.write_eof()
            self.flow.resume_reading()
        self.phase = Phase.IGNORED
        self.since = self.loop.time()

    # What the server calls

    def check_time(self, now: float) -> None:
        """Close the connection if its client is too slow at what it is doing, or idle for too long."""
        if self._write_stalled_since and now - self._write_stalled_since > REQUEST_SECONDS:
            self.transport.abort()
        seconds = now - self.since
        if self.phase is Phase.HEAD or self.phase is Phase.BODY:
            if self.flow.read_paused:
                # The wait is for us.
                self.since = now
            elif seconds > REQUEST_SECONDS:
                self._time_out()
        elif self._answering is not None:
            return
        elif self.phase is Phase.IGNORED:
            if seconds > LINGER_SECONDS:
                self.transport.abort()
        elif seconds > self.timeout_keep_alive:
            self._close_quietly()

    def _time_out(self) -> None:
        if self.phase is Phase.BODY and not self.cycle.response_complete:
            self._refuse(REQUEST_TIMEOUT)
        elif self._answering is not None:
            self._refuse(None)
            self.cycle.keep_alive = False
        else:
            self._close_quietly()

    def _close_quietly(self) -> None:
        if self.transport.get_write_buffer_size():
            # The client does not read, so closing would wait for it.
            self.transport.abort()
        else:
            self.phase = Phase.IGNORED
            self.transport.close()

    def shutdown(self) -> None:
        """Close the connection if nothing is being received or answered on it."""
        is_quiet = self.phase is Phase.IDLE or not self._has_begun
        if is_quiet and self._answering is None and not self.transport.is_closing():
            self._close_quietly()


def _is_short(cycle: RequestCycle) -> bool:
    lengths = [value for name, value in cycle.scope["headers"] if name == b"content-length"]
    return len(lengths) == 1 and int(lengths[0]) <= _SKIPPED_BYTES

"""One request and its answer on a connection."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from app.errors import ErrorKind, ServiceError
from app.logging_utils import describe_exception

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from app.server.state import ConnectionState

logger = logging.getLogger(__name__)

_NO_HEADERS: Final[list[tuple[bytes, bytes]]] = []
_BODILESS_STATUSES: Final = frozenset({204, 304})


class RequestCycle(RequestResponseCycle):
    """uvicorn's, which can be refused on its way, and writes the head and the body of an answer at once."""

    def __init__(
        self,
        connection: HttpToolsProtocol,
        shared: ConnectionState,
        scope: Any,  # noqa: ANN401 - ASGI's
        *,
        keep_alive: bool,
        expects_continue: bool,
    ) -> None:
        super().__init__(
            scope,
            connection.transport,
            connection.flow,
            connection.logger,
            connection.access_logger,
            False,  # noqa: FBT003 - by position, because each name would cost
            _NO_HEADERS,
            asyncio.Event(),
            expects_continue,
            keep_alive,
            connection.on_response_complete,
        )
        self.refusal: ErrorKind | None = None
        self._shared = shared
        self._pipeline = connection.pipeline
        self._head = b""

    def refuse(self, kind: ErrorKind) -> None:
        """Have the application answer with ``kind`` instead, if it has not answered yet."""
        self.refusal = kind
        # The outermost middleware reads this if it has not run yet; what waits for the body meets it in `receive`.
        self.scope["state"]["refusal"] = kind
        self.message_event.set()

    async def run_asgi(self, app: Any) -> None:  # noqa: ANN401 - ASGI's
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            # Only the end of the process cancels requests.
            self.transport.abort()
        except Exception as error:  # noqa: BLE001 - the application answers its own errors; this is for faults of it
            logger.error("the application failed to answer", extra={"traceback": describe_exception(error)})  # noqa: TRY400
            self.transport.abort()
        else:
            if not self.response_complete and not self.disconnected:
                self.transport.abort()
        finally:
            self.on_response = _nothing

    async def receive(self) -> Any:  # noqa: ANN401 - ASGI's
        if self.refusal is None and not self.disconnected and not self.response_complete:
            if self.waiting_for_100_continue:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                self.waiting_for_100_continue = False
            self.flow.resume_reading()
            if not self.message_event.is_set():
                await self.message_event.wait()
            self.message_event.clear()
        if self.refusal is not None and not self.response_started:
            raise ServiceError(self.refusal)
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body = bytes(self.body)
        self.body = bytearray()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Any) -> None:  # noqa: ANN401 - ASGI's
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body" and self.response_started and not self.response_complete:
            self._continue(message.get("body", b""), more_body=message.get("more_body", False))
        else:
            raise RuntimeError(f"{message['type']} was not expected at this point of the answer")

    def _start(self, status: int, headers: Any) -> None:  # noqa: ANN401 - ASGI's
        parts = [STATUS_LINE[status], self._shared.head_lines]
        for name, value in headers:
            if name == b"content-length":
                self.expected_content_length = int(value)
                self.chunked_encoding = False
            elif name == b"connection":
                self.keep_alive = self.keep_alive and value.lower() != b"close"
                continue
            parts += (name, b": ", value, b"\r\n")
        # A client that waits for 100 (Continue) may or may not send its body now, so what follows is ambiguous.
        if self.waiting_for_100_continue or (self._shared.draining and not self._pipeline):
            self.keep_alive = False
        n_lines = len(parts) // 4 + parts[1].count(b"\n") + 1
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
            n_lines += 1
        is_bodiless = status in _BODILESS_STATUSES or self.scope["method"] == "HEAD"
        if self.chunked_encoding is None and not is_bodiless and self.scope["http_version"] == "1.1":
            self.chunked_encoding = True
            parts.append(b"transfer-encoding: chunked\r\n")
            n_lines += 1
        parts.append(b"\r\n")
        self._head = b"".join(parts)
        if self._head.count(b"\n") != n_lines + 1 or self._head.count(b"\r") != n_lines + 1:
            raise RuntimeError("a header of the answer has a line break")
        self.response_started = True
        self.waiting_for_100_continue = False

    def _continue(self, body: bytes, *, more_body: bool) -> None:
        if self.scope["method"] == "HEAD":
            content = b""
            self.expected_content_length = 0
        elif self.chunked_encoding:
            content = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more_body:
                content += b"0\r\n\r\n"
        else:
            content = body
            if self.chunked_encoding is not None:
                self.expected_content_length -= len(body)
        self.transport.write(self._head + content if self._head else content)
        self._head = b""
        if not more_body:
            if self.expected_content_length != 0:
                raise RuntimeError("the answer has not the length that its head says")
            self.response_complete = True
            self.message_event.set()
            self.on_response()


def _nothing() -> None:
    return

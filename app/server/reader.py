"""What arrives on a connection, read as HTTP/1.1 within bounds; answering it is left to ``Connection``."""

from __future__ import annotations

from abc import abstractmethod
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.config import MAX_HEAD_BYTES, MAX_HEADERS
from app.errors import HEAD_TOO_LARGE, MALFORMED_REQUEST, ErrorKind
from app.server.cycle import RequestCycle

if TYPE_CHECKING:
    import asyncio

    from app.server.config import ServerConfig
    from app.server.state import ConnectionState

# Reads are parsed in pieces of this size, so that one read cannot put thousands of pipelined requests into a queue.
_PIECE_BYTES: Final = 16_384
_HEADER_OVERHEAD_BYTES: Final = 4
_FRAMING_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})


class Phase(Enum):
    """What the client is sending."""

    IDLE = auto()  # nothing: the last request is complete, and the next one has not begun
    HEAD = auto()
    BODY = auto()
    IGNORED = auto()  # whatever it is, it is not read as HTTP any more


class RefusedError(Exception):
    """Leaves a callback of the parser; ``kind`` is None where nothing is to be answered."""

    def __init__(self, kind: ErrorKind | None) -> None:
        super().__init__()
        self.kind = kind


class _Flow(FlowControl):
    """Stays paused while ``held``: bytes that were read already wait to be parsed."""

    held = False

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


class RequestReader(HttpToolsProtocol):
    """Feeds the parser, and hands over requests when their heads are complete.

    ``since`` is when the client's present phase began, by the loop's clock.
    """

    config: ServerConfig
    server_state: ConnectionState
    cycle: RequestCycle
    flow: _Flow

    def __init__(
        self,
        config: ServerConfig,
        server_state: ConnectionState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.since = self.loop.time()
        # A connection on which nothing arrives is a head that does not arrive.
        self.phase = Phase.HEAD
        self._asgi = {"version": self.asgi_version, "spec_version": "2.3"}
        self._has_begun = False
        self._asks_for_upgrade = False
        self._unparsed = b""
        self._piece_bytes = 0
        self._head_bytes = 0
        self._barren_bytes = 0

    @abstractmethod
    def _take(self, cycle: RequestCycle) -> None:
        """Answer a request whose head is complete, after those before it; raise ``RefusedError`` if it cannot be."""

    @abstractmethod
    def _begin(self) -> None:
        """Start answering what was taken, now that no more of it is at hand."""

    @abstractmethod
    def _refuse(self, kind: ErrorKind | None) -> None:
        """Answer what is being received with ``kind``, after the requests before it, and read no further."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport)

    def data_received(self, data: bytes) -> None:
        if self.phase is Phase.IDLE:
            self._begin_head()
        if self._unparsed or self.pipeline or len(data) > _PIECE_BYTES:
            self._unparsed += data
            self._parse_pieces()
        else:
            self._parse(data)

    def _parse_pieces(self) -> None:
        """Parse what was read, as far as requests in it need not wait for others."""
        data, start = self._unparsed, 0
        self._unparsed = b""
        while start < len(data) and not self.pipeline and self.phase is not Phase.IGNORED:
            self._parse(data[start : start + _PIECE_BYTES])
            start += _PIECE_BYTES
        self._unparsed = b"" if self.phase is Phase.IGNORED else data[start:]
        self._hold(held=bool(self._unparsed))

    def _hold(self, *, held: bool) -> None:
        self.flow.held = held
        if held:
            self.flow.pause_reading()

    def _parse(self, piece: bytes) -> None:
        self._piece_bytes = len(piece)
        self._barren_bytes += len(piece)
        rest = None
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as pause:
            rest = piece[pause.args[0] :]
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.kind if isinstance(cause, RefusedError) else MALFORMED_REQUEST)
        else:
            self._check_bounds()
        if rest is None:
            # Also after a refusal: what came before it is answered.
            self._begin()
        else:
            self._read_on(rest)

    def _read_on(self, rest: bytes) -> None:
        """Stay with HTTP/1.1 after a request that asks for another protocol: the parser ends, and skips its body.

        Common clients ask for HTTP/2 in this way with their first request, whatever it is.
        """
        headers = self.cycle.scope["headers"]
        framing = [b"%b: %b\r\n" % header for header in headers if header[0] in _FRAMING_HEADERS]
        self.parser = httptools.HttpRequestParser(self)
        self._parse(b"POST / HTTP/1.1\r\n" + b"".join(framing) + b"\r\n")
        if rest and self.phase is not Phase.IGNORED:
            if self.phase is Phase.IDLE:
                self._begin_head()
            self._parse(rest)

    def _check_bounds(self) -> None:
        if self.phase is Phase.HEAD:
            self._head_bytes += self._piece_bytes
            # The head may have begun inside a piece.
            if self._head_bytes > MAX_HEAD_BYTES + _PIECE_BYTES:
                self._refuse(HEAD_TOO_LARGE)
        elif self.phase is Phase.BODY and self._barren_bytes > MAX_HEAD_BYTES:
            # Chunk extensions or trailers without end.
            self._refuse(MALFORMED_REQUEST)

    def _begin_head(self) -> None:
        self.phase = Phase.HEAD
        self.since = self.loop.time()
        self._head_bytes = 0

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._asks_for_upgrade:
            return
        if self.phase is Phase.IDLE:
            self._begin_head()
        self._has_begun = True
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.scope = {  # type: ignore[typeddict-item]  # completed with the head
            "type": "http",
            "asgi": self._asgi,  # type: ignore[typeddict-item]
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item]
            "root_path": "",
            "headers": self.headers,
            "state": self.app_state.copy(),
        }

    def on_headers_complete(self) -> None:
        if self._asks_for_upgrade:
            self._asks_for_upgrade = False
            return
        parser, scope, target = self.parser, self.scope, self.url
        scope["method"] = parser.get_method().decode("ascii")
        self._check_head()
        http_version = parser.get_http_version()
        if http_version != "1.1":
            if http_version != "1.0":
                raise RefusedError(MALFORMED_REQUEST)
            scope["http_version"] = http_version
        raw_path, _, scope["query_string"] = (target if target[:1] == b"/" else _origin_form(target)).partition(b"?")
        scope["raw_path"] = raw_path
        path = raw_path.decode("ascii")
        scope["path"] = unquote(path) if "%" in path else path
        # Trailers would otherwise become headers after those had been looked at.
        self.headers = []
        self.phase = Phase.BODY
        self._barren_bytes = 0
        self._asks_for_upgrade = parser.should_upgrade()
        is_current = http_version == "1.1"
        self._take(
            RequestCycle(
                self,
                self.server_state,
                scope,
                keep_alive=is_current and parser.should_keep_alive(),
                expects_continue=is_current and self.expect_100_continue,
            )
        )

    def _check_head(self) -> None:
        if len(self.headers) > MAX_HEADERS:
            raise RefusedError(HEAD_TOO_LARGE)
        if self._head_bytes + self._piece_bytes > MAX_HEAD_BYTES:
            n_bytes = sum([len(name) + len(value) + _HEADER_OVERHEAD_BYTES for name, value in self.headers])
            if len(self.url) + n_bytes > MAX_HEAD_BYTES:
                raise RefusedError(HEAD_TOO_LARGE)

    def on_body(self, body: bytes) -> None:
        self._barren_bytes = 0
        cycle = self.cycle
        if cycle.response_complete or cycle.refusal is not None:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        if self._asks_for_upgrade:
            return
        cycle = self.cycle
        self.phase = Phase.IDLE
        self.since = self.loop.time()
        self._has_begun = False
        cycle.more_body = False
        if not cycle.response_complete:
            cycle.message_event.set()


def _origin_form(target: bytes) -> bytes:
    """Return path and query of a request target in absolute form; raise for one of CONNECT."""
    if target == b"*":
        return target
    try:
        parsed = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as error:
        raise RefusedError(MALFORMED_REQUEST) from error
    if not parsed.schema:
        raise RefusedError(MALFORMED_REQUEST)
    query = b"?" + parsed.query if parsed.query else b""
    return (parsed.path or b"/") + query

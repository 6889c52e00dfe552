"""A helpdesk on loopback that a test can look into: what every server here shares.

A file beside this one speaks the REST dialect of one helpdesk: it subclasses `Dialect`, says who may come in
and has `routes`. This file leaves tickets and their words to it and has what is the same everywhere: HTTP, the log
of requests, the number of requests that are left, and the troubles that a test puts before the next requests.

    helpdesk = SomeDialect(token="t0ken")
    with running(helpdesk) as url:
        helpdesk.give(rate_limited(retry_after_seconds=2), method="PUT")
        ...
        assert [request.path for request in helpdesk.requests] == [...]
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HTML_PAGE = b"<!DOCTYPE html><html><head><title>Sorry</title></head><body><h1>We will be back soon</h1></body></html>"
TOO_LARGE_BYTES = 3_000_000


@dataclass(frozen=True)
class Request:
    """A request as it came; names of headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """Return the last value of each parameter."""
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def json(self) -> Any:  # noqa: ANN401  # each helpdesk knows what it expects
        return json.loads(self.body)

    def basic(self) -> tuple[str, str] | None:
        """Return name and password of HTTP Basic, or None."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return name, password

    def bearer(self) -> str | None:
        """Return the token of `Authorization: Bearer`, or None."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else None


@dataclass(frozen=True)
class Reply:
    """An answer: `content` is sent as JSON, or as it is when it is bytes; None has no body."""

    status: int = 200
    content: object = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        if self.content is None:
            return b""
        return self.content if isinstance(self.content, bytes) else json.dumps(self.content).encode()


@dataclass(frozen=True)
class Trouble:
    """What happens to one request instead of its answer.

    With `carried_out` the helpdesk does what was asked and only its answer is lost: the case for which every write
    has to be idempotent. With neither `reply` nor `closes` the request is answered as ever, after `delay_seconds`
    and after `meanwhile`: what somebody else does at the very last moment.
    """

    reply: Reply | None = None
    delay_seconds: float = 0.0
    closes: bool = False
    carried_out: bool = False
    meanwhile: Callable[[], None] | None = None
    method: str | None = None  # None: any
    path: str = ""  # a regular expression, searched for in the path

    def meets(self, request: Request) -> bool:
        return self.method in (None, request.method) and re.search(self.path, request.path) is not None


def refused(status: int, content: object = None) -> Trouble:
    return Trouble(Reply(status, content if content is not None else {"error": f"status {status}"}))


def rate_limited(retry_after_seconds: int) -> Trouble:
    return Trouble(Reply(429, {"error": "too many requests"}, {"Retry-After": str(retry_after_seconds)}))


def html_page(status: int = 503) -> Trouble:
    return Trouble(Reply(status, HTML_PAGE, {"Content-Type": "text/html; charset=utf-8"}))


def slow(seconds: float) -> Trouble:
    return Trouble(delay_seconds=seconds)


def meanwhile(happens: Callable[[], None]) -> Trouble:
    return Trouble(meanwhile=happens)


def too_large(status: int = 200) -> Trouble:
    return Trouble(Reply(status, {"padding": "x" * TOO_LARGE_BYTES}))


def redirect(location: str, status: int = 302) -> Trouble:
    return Trouble(Reply(status, None, {"Location": location}))


def closed() -> Trouble:
    return Trouble(closes=True)


def closed_after_it_was_done() -> Trouble:
    return Trouble(closes=True, carried_out=True)


@dataclass(frozen=True)
class Route:
    """One endpoint; named groups of `pattern`, which matches the whole path, are the handler's arguments."""

    method: str
    pattern: str
    handler: Callable[..., Reply]


class Dialect(ABC):
    """What a helpdesk holds and how it answers; requests are answered one at a time, so handlers need no lock."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.requests_left: int | None = None  # None: no limit
        self._troubles: list[Trouble] = []
        self._lock = threading.Lock()

    @abstractmethod
    def routes(self) -> tuple[Route, ...]: ...

    @abstractmethod
    def is_authenticated(self, request: Request) -> bool: ...

    def unauthenticated(self) -> Reply:
        return Reply(401, {"error": "unauthenticated"})

    def no_requests_left(self) -> Reply:
        return Reply(429, {"error": "too many requests"}, {"Retry-After": "1"})

    def not_found(self) -> Reply:
        return Reply(404, {"error": "not found"})

    def give(self, *troubles: Trouble, method: str | None = None, path: str = "") -> None:
        """Put troubles before the next requests (of this method, to a path like this), each for one request."""
        with self._lock:
            self._troubles += [replace(trouble, method=method, path=path) for trouble in troubles]

    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.method != "GET"]

    def trouble_for(self, request: Request) -> Trouble | None:
        """Log the request; return the trouble that meets it, which is thereby used up."""
        with self._lock:
            self.requests.append(request)
            trouble = next((trouble for trouble in self._troubles if trouble.meets(request)), None)
            if trouble is not None:
                self._troubles.remove(trouble)
            return trouble

    def answer(self, request: Request) -> Reply:
        with self._lock:
            if not self.is_authenticated(request):
                return self.unauthenticated()
            if self.requests_left is not None:
                if self.requests_left == 0:
                    return self.no_requests_left()
                self.requests_left -= 1
            for route in self.routes():
                matched = re.fullmatch(route.pattern, request.path)
                if route.method == request.method and matched:
                    return route.handler(request, **matched.groupdict())
            return self.not_found()


class HelpdeskServer(ThreadingHTTPServer):
    """Serves a dialect; remembers its connections, so that stopping it looks like a machine that went away."""

    daemon_threads = True

    def __init__(self, dialect: Dialect, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.dialect = dialect
        self.connections: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.shutdown()
        self._thread.join(timeout=5)
        self.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running(dialect: Dialect, port: int = 0) -> Iterator[str]:
    """Serve the dialect and yield its URL; with the same `port` it comes back where it was, with what it holds."""
    server = HelpdeskServer(dialect, port)
    try:
        yield server.url
    finally:
        server.stop()


class _Handler(BaseHTTPRequestHandler):
    server: HelpdeskServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # the client may give up on a slow or a large answer
            super().handle()

    def log_message(self, *_args: object) -> None:
        """Keep quiet: `Dialect.requests` is the log."""

    def _handle(self) -> None:
        n_bytes = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(n_bytes)
        if len(body) < n_bytes:
            # Who sent it is gone, and nothing is done of what arrived in half.
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        dialect = self.server.dialect
        trouble = dialect.trouble_for(request) or Trouble()
        time.sleep(trouble.delay_seconds)
        if trouble.meanwhile is not None:
            trouble.meanwhile()
        reply = trouble.reply
        if trouble.carried_out or (reply is None and not trouble.closes):
            carried_out = dialect.answer(request)
            reply = reply or carried_out
        if trouble.closes or reply is None:
            self.close_connection = True
            return
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        body = reply.encoded()
        headers = {"Content-Type": "application/json; charset=utf-8"} | dict(reply.headers)
        self.send_response(reply.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815  # the names that http.server looks for

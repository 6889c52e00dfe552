"""What stands between the service and a helpdesk, passes everything on, and sees what was asked and answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Self

import httpx

_PASSED_ON = ("authorization", "content-type", "if-match")
_PASSED_BACK = ("content-type", "etag")


@dataclass(frozen=True)
class Call:
    """What was asked, under which condition, and the status of the answer."""

    method: str
    path: str
    if_match: str | None
    status: int


class Between:
    """On a free port of the loopback address; ``calls`` are in the order answered.

    ``meanwhile`` is done once, right before the next write is passed on: by somebody who is faster. The answer to the
    next call by the method ``loses`` is lost on its way back.
    """

    def __init__(self, target: str) -> None:
        self.calls: list[Call] = []
        self.meanwhile: Callable[[], None] | None = None
        self.loses: str | None = None
        self._target = httpx.Client(base_url=target, timeout=60)
        between = self

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                between._pass_on(self)

            do_GET = do_PUT = do_POST = _pass_on  # noqa: N815 - names that http.server looks for

            def log_message(self, *_: object) -> None:
                """Say nothing: the tests look at what was kept."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._target.close()

    def writes(self) -> list[Call]:
        return [call for call in self.calls if call.method != "GET"]

    def _pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", "0")))
        if handler.command != "GET" and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        headers = {name: handler.headers[name] for name in _PASSED_ON if name in handler.headers}
        try:
            answer = self._target.request(handler.command, handler.path, content=body, headers=headers)
        except httpx.TransportError:
            answer = httpx.Response(httpx.codes.BAD_GATEWAY)
        condition = handler.headers.get("if-match")
        self.calls.append(Call(handler.command, handler.path.partition("?")[0], condition, answer.status_code))
        if handler.command == self.loses:
            self.loses = None
            handler.close_connection = True
            return
        handler.send_response(answer.status_code)
        for name in _PASSED_BACK:
            if name in answer.headers:
                handler.send_header(name, answer.headers[name])
        handler.send_header("Content-Length", str(len(answer.content)))
        handler.end_headers()
        handler.wfile.write(answer.content)

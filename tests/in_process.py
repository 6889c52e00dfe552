"""The service in this process, over ASGI, for tests that need no socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self, TypeVar

import httpx
from starlette.types import Receive, Scope, Send

from app.config import Settings
from app.main import create_app

Result = TypeVar("Result")
TICKET = MappingProxyType({"title": "Server is down", "description": "Main server offline all users impacted"})


class Service:
    """The application in this process, over ASGI, with its lifespan."""

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()
        self.state: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._runner.__enter__()
        lifespan = self.app.router.lifespan_context(self.app)
        self.state = dict(self._runner.run(self._stack.enter_async_context(lifespan)) or {})
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        peer: tuple[str, int] = ("192.0.2.1", 5000),
        root_path: str = "",
        **kwargs: object,
    ) -> httpx.Response:
        """Send one request; ``root_path`` is the server's, other arguments are as for ``httpx.request``."""

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await self.app({**scope, "state": dict(self.state)}, receive, send)

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(with_state, raise_app_exceptions=False, client=peer, root_path=root_path)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, path, **kwargs)

        return self.run(send())

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do ``work`` in the event loop of the service, whose own tasks go on meanwhile."""
        return self._runner.run(work)

    def request_together(self, n_requests: int, method: str, path: str, **kwargs: object) -> list[httpx.Response]:
        """Send the same request so many times at once."""

        async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
            await self.app({**scope, "state": dict(self.state)}, receive, send)

        async def send() -> list[httpx.Response]:
            transport = httpx.ASGITransport(with_state, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                requests = [client.request(method, path, **kwargs) for _ in range(n_requests)]
                return list(await asyncio.gather(*requests))

        return self._runner.run(send())

    def ask_raw(
        self, method: str, path: str, *, query: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes
    ) -> httpx.Response:
        """Send what no HTTP client would: any method, path, query and headers, as a server would hand them on."""
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "scheme": "http",
            "headers": list(headers),
            "client": ("192.0.2.1", 5000),
            "server": ("service", 80),
            "state": dict(self.state),
        }
        sent: list[Any] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's messages
            sent.append(message)

        self._runner.run(self.app(scope, receive, send))
        content = b"".join(message.get("body", b"") for message in sent[1:])
        return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=content)

    def get(self, path: str, **kwargs: object) -> httpx.Response:
        return self.request("GET", path, **kwargs)

    def classify(self, ticket: object = TICKET, **kwargs: object) -> httpx.Response:
        content = json.dumps(dict(ticket) if isinstance(ticket, Mapping) else ticket)
        return self.classify_bytes(content.encode(), **kwargs)

    def classify_bytes(self, content: bytes, **kwargs: object) -> httpx.Response:
        headers = {"Content-Type": "application/json", **kwargs.pop("headers", {})}
        return self.request("POST", kwargs.pop("path", "/classify"), content=content, headers=headers, **kwargs)

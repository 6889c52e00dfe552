"""Bounds the memory that all large bodies take together, while they arrive and until their requests are answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.errors import OVERLOADED, ServiceError
from app.web.middleware.route_path import route_path

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BUFFERED_BYTES: Final = 32 << 20


class BodyMemoryMiddleware:
    """Answers 503 to a request for one of ``paths`` when its body would not fit in ``max_bytes`` beside the others.

    What has arrived is counted, not what was announced, so that clients who announce much and send little take little.
    """

    def __init__(self, app: ASGIApp, *, paths: AbstractSet[str], max_bytes: int = MAX_BUFFERED_BYTES) -> None:
        self._app = app
        self._paths = paths
        self._max_bytes = max_bytes
        self._n_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or route_path(scope) not in self._paths:
            await self._app(scope, receive, send)
            return
        n_own_bytes = 0

        async def receive_counted() -> Message:
            nonlocal n_own_bytes
            message = await receive()
            n_new_bytes = len(message.get("body", b""))
            if self._n_bytes + n_new_bytes > self._max_bytes:
                raise ServiceError(OVERLOADED, headers={"Connection": "close"})
            self._n_bytes += n_new_bytes
            n_own_bytes += n_new_bytes
            return message

        try:
            await self._app(scope, receive_counted, send)
        finally:
            self._n_bytes -= n_own_bytes

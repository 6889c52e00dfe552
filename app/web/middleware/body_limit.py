"""Refuses heads and bodies that are too large: declared bodies before they are read, others at the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException

from app.config import MAX_HEAD_BYTES, MAX_HEADERS
from app.errors import BAD_REQUEST, BODY_TOO_LARGE, HEAD_TOO_LARGE
from app.web.error_handlers import send_error
from app.web.middleware.route_path import route_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What is left of a refused body is not worth reading, so the connection cannot be used again.
_CLOSE: Final = {"Connection": "close"}
_MAX_LENGTH_DIGITS: Final = 20
_AMBIGUOUS: Final = "The length of the body is ambiguous."


class BodyLimitMiddleware:
    """Limits bodies to ``max_bytes``, or to what ``max_bytes_by_path`` says of the path."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, max_bytes_by_path: Mapping[str, int]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_bytes_by_path = max_bytes_by_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        lengths = []
        codings = []
        n_head_bytes = 0
        headers = scope["headers"]
        for name, value in headers:
            n_head_bytes += len(name) + len(value)
            if name == b"content-length":
                lengths.append(value)
            elif name == b"transfer-encoding":
                codings.append(value.lower())
        if len(headers) > MAX_HEADERS or n_head_bytes > MAX_HEAD_BYTES:
            # Our own server has not let these through; others may.
            await send_error(scope, send, HEAD_TOO_LARGE, headers=_CLOSE)
            return
        max_bytes = self._max_bytes_by_path.get(route_path(scope), self._max_bytes)
        if codings and (lengths or codings != [b"chunked"]):
            await send_error(scope, send, BAD_REQUEST, detail=_AMBIGUOUS, headers=_CLOSE)
        elif not lengths:
            await self._app(scope, _counted(receive, max_bytes), send)
        elif len(lengths) > 1 or not lengths[0].isdigit():
            await send_error(scope, send, BAD_REQUEST, detail=_AMBIGUOUS, headers=_CLOSE)
        # More digits than any limit has need no conversion, which would be slow for thousands of them.
        elif len(lengths[0]) > _MAX_LENGTH_DIGITS or int(lengths[0]) > max_bytes:
            await send_error(scope, send, BODY_TOO_LARGE, detail=_too_large(max_bytes), headers=_CLOSE)
        else:
            await self._app(scope, receive, send)


def _counted(receive: Receive, max_bytes: int) -> Receive:
    n_bytes = 0

    async def receive_counted() -> Message:
        nonlocal n_bytes
        message = await receive()
        if message["type"] == "http.request":
            n_bytes += len(message.get("body", b""))
            if n_bytes > max_bytes:
                # Any other exception raised while a body is read becomes a 400 in the framework.
                raise HTTPException(BODY_TOO_LARGE.status, headers=_CLOSE)
        return message

    return receive_counted


def _too_large(max_bytes: int) -> str:
    return f"The request body is larger than the {max_bytes} bytes that this path takes."

"""Refuses heads and bodies that are too large: declared bodies before they are read, others at the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.config import MAX_HEAD_BYTES, MAX_HEADERS
from app.errors import BAD_REQUEST, BODY_TOO_LARGE, HEAD_TOO_LARGE, OVERLOADED, ServiceError
from app.web.error_handlers import send_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What all bodies take together, while they arrive and until their requests are answered.
MAX_BUFFERED_BYTES: Final = 64 << 20

# What is left of a refused body is not worth reading, so the connection cannot be used again.
_CLOSE: Final = {"Connection": "close"}
_MAX_LENGTH_DIGITS: Final = 20
_AMBIGUOUS: Final = "The length of the body is ambiguous."


class BodyLimitMiddleware:
    """Limits bodies to ``max_bytes``, or to what ``max_bytes_by_path`` says of the path, and all of them together.

    Answers 503 to a request whose body would not fit in ``max_buffered_bytes`` beside the others. What has arrived is
    counted there, not what was announced, so that clients who announce much and send little take little.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        max_bytes_by_path: Mapping[str, int],
        max_buffered_bytes: int = MAX_BUFFERED_BYTES,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_bytes_by_path = max_bytes_by_path
        self._max_buffered_bytes = max_buffered_bytes
        self._n_buffered_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        max_bytes = self._max_bytes_by_path.get(scope["state"]["route"], self._max_bytes)
        is_length_plain = not lengths or (len(lengths) == 1 and lengths[0].isdigit())
        if not is_length_plain or (codings and (lengths or codings != [b"chunked"])):
            await send_error(scope, send, BAD_REQUEST, detail=_AMBIGUOUS, headers=_CLOSE)
        # More digits than any limit has need no conversion, which would be slow for thousands of them.
        elif lengths and (len(lengths[0]) > _MAX_LENGTH_DIGITS or int(lengths[0]) > max_bytes):
            await send_error(scope, send, BODY_TOO_LARGE, detail=_too_large(max_bytes), headers=_CLOSE)
        else:
            await self._count_body(scope, receive, send, max_bytes)

    async def _count_body(self, scope: Scope, receive: Receive, send: Send, max_bytes: int) -> None:
        n_bytes = 0

        async def receive_counted() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_new_bytes = len(message.get("body", b""))
            if self._n_buffered_bytes + n_new_bytes > self._max_buffered_bytes:
                raise ServiceError(OVERLOADED, headers=_CLOSE)
            n_bytes += n_new_bytes
            self._n_buffered_bytes += n_new_bytes
            if n_bytes > max_bytes:
                raise ServiceError(BODY_TOO_LARGE, _too_large(max_bytes), headers=_CLOSE)
            return message

        try:
            await self._app(scope, receive_counted, send)
        finally:
            self._n_buffered_bytes -= n_bytes


def _too_large(max_bytes: int) -> str:
    return f"The request body is larger than the {max_bytes} bytes that this path takes."

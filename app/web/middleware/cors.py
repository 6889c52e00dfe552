"""Cross-origin requests from allowed web pages, with refusals in the one error shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware

from app.errors import CORS_REFUSED
from app.web.error_handlers import error_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

_ALLOWED_METHODS = ("GET", "HEAD", "POST")
_ALLOWED_HEADERS = ("Authorization", "Content-Type", "X-API-Key", "X-Request-ID")
_EXPOSED_HEADERS = ("RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID")


class CrossOriginMiddleware(CORSMiddleware):
    """Starlette's, without credentials: keys travel in headers that the page sets itself, never in cookies."""

    def __init__(self, app: ASGIApp, *, allow_origins: Sequence[str]) -> None:
        super().__init__(
            app,
            allow_origins=allow_origins,
            allow_methods=_ALLOWED_METHODS,
            allow_headers=_ALLOWED_HEADERS,
            expose_headers=_EXPOSED_HEADERS,
            allow_credentials=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            headers = dict(scope["headers"])
            if b"origin" in headers and b"access-control-request-method" in headers:
                await self._answer_preflight(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    async def _answer_preflight(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.datastructures import Headers  # noqa: PLC0415

        response = self.preflight_response(request_headers=Headers(scope=scope))
        if response.status_code == CORS_REFUSED.status:
            response = error_response(scope, CORS_REFUSED, headers={"Vary": "Origin"})
        await response(scope, receive, send)

"""Cross-origin requests from allowed web pages, with refusals in the one error shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware

from app.errors import CORS_REFUSED
from app.web.error_handlers import error_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

_PREFLIGHT_METHOD: Final = "OPTIONS"
_ALLOWED_METHODS: Final = ("DELETE", "GET", "HEAD", "POST")
_ALLOWED_HEADERS: Final = ("Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", "X-Request-ID")
_EXPOSED_HEADERS: Final = ("RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID")


class CrossOriginPolicy(CORSMiddleware):
    """Starlette's rules, without credentials: keys travel in headers that the page sets itself, never in cookies."""

    def __init__(self, allow_origins: Sequence[str]) -> None:
        super().__init__(
            _nothing,
            allow_origins=allow_origins,
            allow_methods=_ALLOWED_METHODS,
            allow_headers=_ALLOWED_HEADERS,
            expose_headers=_EXPOSED_HEADERS,
            allow_credentials=False,
        )

    def answer_headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """Return what lets a page of an allowed origin read the answer to ``scope``, whatever the answer is."""
        if scope["method"] == _PREFLIGHT_METHOD:
            return []
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin is None or not self.is_allowed_origin(origin.decode("latin-1")):
            return []
        if self.allow_all_origins:
            origin_headers = [(b"access-control-allow-origin", b"*")]
        else:
            origin_headers = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        return [*origin_headers, (b"access-control-expose-headers", ", ".join(_EXPOSED_HEADERS).encode())]


class PreflightMiddleware:
    """Answers browsers that ask what ``policy`` allows before they send a request."""

    def __init__(self, app: ASGIApp, *, policy: CrossOriginPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == _PREFLIGHT_METHOD:
            headers = Headers(scope=scope)
            if "origin" in headers and "access-control-request-method" in headers:
                response = self._policy.preflight_response(request_headers=headers)
                if response.status_code == CORS_REFUSED.status:
                    response = error_response(scope, CORS_REFUSED, headers={"Vary": "Origin"})
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Stand where Starlette's class wants an application: only its rules are used."""

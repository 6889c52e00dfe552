"""Counts every request that is not exempt towards its client, and answers 429 to those beyond the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.errors import RATE_LIMITED
from app.web.error_handlers import send_error

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.limits.clients import ClientIdentifier
    from app.limits.local import RateLimiter

# The policy's name; the fields are those of draft-ietf-httpapi-ratelimit-headers-11: t says when there will be more.
_POLICY: Final = b"default"


class RateLimitMiddleware:
    """Leaves the client in ``scope["state"]["client"]`` for the middleware that asks for API keys."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        limiter: RateLimiter,
        clients: ClientIdentifier,
        limit: int,
        window_seconds: int,
        exempt_paths: AbstractSet[str],
    ) -> None:
        self._app = app
        self._limiter = limiter
        self._clients = clients
        self._exempt_paths = exempt_paths
        self._policy = b"ratelimit-policy", b'"%b";q=%d;w=%d' % (_POLICY, limit, window_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        if state["route"] in self._exempt_paths:
            await self._app(scope, receive, send)
            return
        if "client" in state:
            # Somebody who has signed in to the console, where what is dear has bounds of its own.
            await self._app(scope, receive, send)
            return
        client = state["client"] = self._clients.identify(scope["headers"], scope.get("client"))
        quota = await self._limiter.hit(client.identity)
        service_limit = b'"%b";r=%d;t=%d' % (_POLICY, quota.remaining, quota.reset_seconds)
        state["response_headers"] += (self._policy, (b"ratelimit", service_limit))
        if quota.allowed:
            await self._app(scope, receive, send)
        else:
            await send_error(scope, send, RATE_LIMITED, headers={"Retry-After": str(quota.reset_seconds)})

"""Asks for an API key on the paths that need one; who the client is was found by the rate limit, further out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import ADMIN_DISABLED, ADMIN_KEY_REQUIRED, INVALID_API_KEY
from app.web.error_handlers import send_error

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.errors import ErrorKind
    from app.limits.clients import Client


class AuthenticationMiddleware:
    """Answers 401 to a request without an accepted key for ``protected_paths`` or ``admin_paths``.

    For the latter another key than an admin's is answered 403, and every one while ``is_admin_enabled`` is false.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        protected_paths: AbstractSet[str],
        admin_paths: AbstractSet[str],
        is_admin_enabled: bool,
    ) -> None:
        self._app = app
        self._guarded_paths = protected_paths | admin_paths
        self._admin_paths = admin_paths
        self._is_admin_enabled = is_admin_enabled

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        route = state["route"]
        refusal = self._refusal(route, state["client"]) if route in self._guarded_paths else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            headers = {"WWW-Authenticate": "Bearer"} if refusal is INVALID_API_KEY else {}
            await send_error(scope, send, refusal, headers=headers)

    def _refusal(self, route: str, client: Client) -> ErrorKind | None:
        is_admin_path = route in self._admin_paths
        if is_admin_path and not self._is_admin_enabled:
            return ADMIN_DISABLED
        if not client.has_valid_key:
            return INVALID_API_KEY
        return ADMIN_KEY_REQUIRED if is_admin_path and not client.is_admin else None

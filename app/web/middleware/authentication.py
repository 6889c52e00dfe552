"""Asks for an API key on the paths that need one; who the client is was found by the rate limit, further out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import (
    ADMIN_DISABLED,
    ADMIN_KEY_REQUIRED,
    INVALID_API_KEY,
    REVIEWER_KEY_REQUIRED,
    REVIEWERS_DISABLED,
)
from app.limits.clients import Role, is_from_this_machine
from app.web.error_handlers import send_error
from app.web.roles import has_reviewers, is_of_console

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet

    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.errors import ErrorKind


class AuthenticationMiddleware:
    """Answers 401 to a request without an accepted key for a route that asks for one, and 403 to one of a lower role.

    ``least_roles`` holds as far as there are keys, which ``roles_with_keys`` says. Where no caller has one, callers
    need none. Where no reviewer and no admin has one, what reviewers see is open to programs on this machine only. What
    admins do is closed until one has.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        least_roles: Mapping[str, Role],
        roles_with_keys: AbstractSet[Role],
        refusal_page: Callable[[Scope, ErrorKind], ASGIApp],
    ) -> None:
        """Take ``refusal_page``, which says to people what is said to callers in JSON."""
        self._app = app
        self._refusal_page = refusal_page
        self._least_roles = {
            path: role
            for path, role in least_roles.items()
            if role > Role.CALLER or (role is Role.CALLER and Role.CALLER in roles_with_keys)
        }
        self._has_admins = Role.ADMIN in roles_with_keys
        self._has_reviewers = has_reviewers(roles_with_keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        least = self._least_roles.get(scope["state"]["route"])
        refusal = None if least is None else self._refusal(scope, least)
        if refusal is None:
            await self._app(scope, receive, send)
        elif is_of_console(scope["state"]["route"]):
            await self._refusal_page(scope, refusal)(scope, receive, send)
        else:
            headers = {"WWW-Authenticate": "Bearer"} if refusal is INVALID_API_KEY else {}
            await send_error(scope, send, refusal, headers=headers)

    def _refusal(self, scope: Scope, least: Role) -> ErrorKind | None:
        role = scope["state"]["client"].role
        if role >= least:
            return None
        if least is Role.ADMIN and not self._has_admins:
            return ADMIN_DISABLED
        if least is Role.REVIEWER and not self._has_reviewers:
            return None if is_from_this_machine(scope["headers"], scope.get("client")) else REVIEWERS_DISABLED
        if role is Role.ANYONE:
            return INVALID_API_KEY
        return ADMIN_KEY_REQUIRED if least is Role.ADMIN else REVIEWER_KEY_REQUIRED

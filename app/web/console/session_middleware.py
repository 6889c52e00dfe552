"""Finds the session of a request to the console, and who that is, before limits and guards look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.errors import ServiceError
from app.limits.clients import Client, is_from_this_machine
from app.web.console.sessions import read_cookie
from app.web.console.static_files import STATIC_PATH
from app.web.roles import is_of_console

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.web.console.sessions import Session, Sessions

# Has no role: what that person may see, the guard says by where requests come from.
_AT_THIS_MACHINE: Final = Client("this-machine")


class ConsoleSessionMiddleware:
    """Leaves the session in ``scope["state"]["session"]``, and its client, if it has one, in ``["client"]``.

    Cookies open the console only: a browser sends them by itself, and callers' routes ask for no token. Where no key
    opens the console, ``is_for_this_machine``, the person at it needs none.
    """

    def __init__(self, app: ASGIApp, *, is_for_this_machine: bool) -> None:
        self._app = app
        self._is_for_this_machine = is_for_this_machine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        if is_of_console(state["route"]) and state["route"] != STATIC_PATH:
            session = state["session"] = await _session_of(scope)
            if session is not None and session.client is not None:
                state["client"] = session.client
            elif self._is_for_this_machine and is_from_this_machine(scope["headers"], scope.get("client")):
                state["client"] = _AT_THIS_MACHINE
        await self._app(scope, receive, send)


async def _session_of(scope: Scope) -> Session | None:
    cookie = read_cookie(scope)
    if cookie is None:
        return None
    sessions: Sessions = scope["state"]["sessions"]
    try:
        return await sessions.read(cookie)
    except ServiceError:
        # Without the secret nobody is known; the page itself says why.
        return None

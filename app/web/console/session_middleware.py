"""Finds the session of a request to the console, and who that is, before limits and guards look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.errors import ServiceError
from app.web.console.sessions import read_cookie
from app.web.roles import is_of_console

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.web.console.sessions import Sessions


class ConsoleSessionMiddleware:
    """Leaves the session in ``scope["state"]["session"]``, and its client, if it has one, in ``["client"]``.

    Cookies open the console only: a browser sends them by itself, and callers' routes ask for no token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        if is_of_console(state["route"]):
            cookie = read_cookie(scope)
            if cookie is not None:
                sessions: Sessions = state["sessions"]
                try:
                    session = await sessions.read(cookie)
                except ServiceError:
                    # Without the secret nobody is known; the page itself says why.
                    session = None
                state["session"] = session
                if session is not None and session.client is not None:
                    state["client"] = session.client
        await self._app(scope, receive, send)

"""Signing in to the console with a reviewer's or admin's key, and out again."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from app.errors import RATE_LIMITED, ServiceError
from app.limits.clients import Client, ClientIdentifier, Role
from app.web.console.page import FIRST_PAGE, PAGES, SIGN_IN_PATH, PageRequest, action, page, to_page
from app.web.console.sessions import Sessions, set_cookie

if TYPE_CHECKING:
    from starlette.responses import Response

    from app.limits.local import RateLimiter

logger = logging.getLogger(__name__)

SIGN_OUT_PATH: Final = "/console/sign-out"
# Of one address in a minute; a key that is typed by hand needs a few.
SIGN_IN_ATTEMPTS: Final = 10
_MAX_KEY_CHARACTERS: Final = 1_000


class SignIn:
    """Who has a key that opens the console gets a session; ``attempts`` limits how often an address may try."""

    def __init__(self, clients: ClientIdentifier, attempts: RateLimiter) -> None:
        self._clients = clients
        self._attempts = attempts

    def routes(self) -> list[Route]:
        return [
            page(SIGN_IN_PATH, self._show),
            action(SIGN_IN_PATH, self._sign_in),
            action(SIGN_OUT_PATH, self._sign_out),
        ]

    async def _show(self, request: PageRequest) -> Response:
        if request.session.client is not None:
            return to_page(_wanted(request))
        return self._form(request)

    async def _sign_in(self, request: PageRequest) -> Response:
        quota = await self._attempts.hit(request.client.identity)
        if not quota.allowed:
            raise ServiceError(
                RATE_LIMITED,
                f"Too many keys were tried from here. Try again in {quota.reset_seconds} seconds.",
                headers={"Retry-After": str(quota.reset_seconds)},
            )
        client = self._client_of(request.fields.get("key", "").strip())
        if client is None:
            return self._form(request, status=HTTPStatus.UNAUTHORIZED, is_refused=True)
        # A new one, so that nobody can have planted it.
        sessions: Sessions = request.state["sessions"]
        session = await sessions.begin(client)
        logger.info("signed in to the console", extra={"reviewer": client.name, "role": client.role.name.lower()})
        response = to_page(_wanted(request))
        response.headers["Set-Cookie"] = set_cookie(request.scope, session)
        return response

    async def _sign_out(self, request: PageRequest) -> Response:
        sessions: Sessions = request.state["sessions"]
        if request.session.client is not None:
            await sessions.end(request.session)
        response = to_page("sign-in")
        response.headers["Set-Cookie"] = set_cookie(request.scope, await sessions.begin())
        return response

    def _client_of(self, key: str) -> Client | None:
        if not key or len(key) > _MAX_KEY_CHARACTERS:
            return None
        client = self._clients.by_key(key.encode())
        return client if client is not None and client.role >= Role.REVIEWER else None

    def _form(self, request: PageRequest, *, status: int = HTTPStatus.OK, is_refused: bool = False) -> Response:
        return request.render("sign_in.html", status=status, is_refused=is_refused, wanted=_wanted(request))


def _wanted(request: PageRequest) -> str:
    """Return the page that was asked for; nothing but a page of the console, whoever made the address."""
    wanted = request.fields.get("next", "")
    return wanted if wanted in PAGES else FIRST_PAGE

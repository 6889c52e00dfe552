"""A person's browser before the service in this process: it keeps the session, and knows the token of the last page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from http.cookies import SimpleCookie
from types import MappingProxyType
from typing import TYPE_CHECKING

from app.web.console.sessions import COOKIE_NAME

if TYPE_CHECKING:
    import httpx

    from tests.in_process import Service

_TOKEN = re.compile(r'<meta name="csrf-token" content="([0-9a-f]*)">')
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Browser:
    """Asks for pages and sends their forms; redirects are answers like others."""

    def __init__(self, service: Service, *, peer: tuple[str, int] = ("192.0.2.1", 5000)) -> None:
        self._service = service
        self._peer = peer
        self.cookie = ""
        self.token = ""

    def get(self, page: str, headers: Mapping[str, str] = _NOTHING) -> httpx.Response:
        return self._request("GET", page, headers, None)

    def post(
        self,
        page: str,
        fields: Mapping[str, str] = _NOTHING,
        headers: Mapping[str, str] = _NOTHING,
        *,
        token: str | None = None,
    ) -> httpx.Response:
        """Send a form with the token of the last page that was shown, or another one."""
        form = {"csrf_token": self.token if token is None else token, **fields}
        return self._request("POST", page, headers, form)

    def sign_in(self, key: str) -> httpx.Response:
        """Return the answer to the form; if it admits, a page has been seen, too, and so the token."""
        self.get("sign-in")
        response = self.post("sign-in", {"key": key})
        if response.status_code == HTTPStatus.SEE_OTHER:
            self.get("quality")
        return response

    def is_signed_in(self) -> bool:
        """Return whether the form of keys has nothing to ask."""
        response = self.get("sign-in")
        return (response.status_code, response.headers.get("location")) == (HTTPStatus.SEE_OTHER, "review")

    def _request(
        self, method: str, page: str, headers: Mapping[str, str], form: Mapping[str, str] | None
    ) -> httpx.Response:
        of_session = {"Cookie": f"{COOKIE_NAME}={self.cookie}"} if self.cookie else {}
        response = self._service.request(
            method, f"/console/{page}", peer=self._peer, headers={**of_session, **headers}, data=form
        )
        for value in response.headers.get_list("set-cookie"):
            self.cookie = SimpleCookie(value)[COOKIE_NAME].value
        found = _TOKEN.search(response.text)
        if found is not None:
            self.token = found[1]
        return response

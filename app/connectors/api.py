"""Calls to one helpdesk's API, and nowhere else: bounded in time and size, certificates verified, never redirected.

What goes wrong is told apart by what is to be done about it. No message has a token, a query or an answer in it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final
from urllib.parse import quote, unquote

import httpx

CALL_SECONDS: Final = 10.0
MAX_ANSWER_BYTES: Final = 1 << 20
MAX_RETRY_AFTER_SECONDS: Final = 3_600
_CONFLICTS: Final = frozenset({409, 412})
# Nothing is wrong with what was asked: the token, the address or the helpdesk may be put right.
_PASSING: Final = frozenset({401, 403, 408, 425, 429})
_MAX_CONNECTIONS: Final = 8
_MAX_REASON_CHARACTERS: Final = 120
# A compressed answer of a few bytes can be one of gigabytes.
_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "ticket-classifier"}


class ApiError(Exception):
    """Something went wrong; the message says what, for people who run the service."""


class ConflictError(ApiError):
    """Somebody changed the ticket meanwhile (409, 412): it is to be read again."""


class RefusedError(ApiError):
    """The helpdesk does not want this, and will not want it later (400, 404, 422 and the like)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class UnavailableError(ApiError):
    """The helpdesk cannot be asked now; ``retry_after_seconds`` is what it said itself."""

    def __init__(self, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class TooLargeError(UnavailableError):
    """An answer is larger than is read: one of its own size is so again, one of something on the way may not be."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the API below 300; names of ``headers`` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - whatever the helpdesk says
        """Return the content; raise ``UnavailableError`` if it is no JSON, as what a proxy says is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise UnavailableError(f"answered {self.status} with a body that is not JSON") from None


class Api:
    """The API of one connector; belongs to one event loop, and is to be closed.

    ``authorization`` are headers. Paths begin with a slash and are added to ``url``.
    """

    def __init__(self, url: str, *, authorization: Mapping[str, str]) -> None:
        self._url = url.rstrip("/")
        # They tell of every call, and of headers.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client = httpx.AsyncClient(
            headers={**_HEADERS, **authorization},
            verify=_tls(),
            follow_redirects=False,
            # Neither proxies nor passwords of the environment are what the connector's table says.
            trust_env=False,
            # A session would speak for somebody else than the token.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            timeout=CALL_SECONDS,
            limits=httpx.Limits(max_connections=_MAX_CONNECTIONS),
        )

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.aclose()

    async def get(self, path: str, query: Mapping[str, str | int] | None = None) -> Answer:
        """Return what is at ``path``; raise ``ApiError``."""
        return await self.call("GET", path, query=query)

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send ``body`` as JSON, if there is one, and return the answer; raise ``ApiError`` after ten seconds at most.

        A ``path`` that leads away from ``url`` is refused.
        """
        if not _stays_under(path):
            raise RefusedError(f"{method}: the path leads away from api_url", 0)
        # Of helpdesks that take the token in the query, too.
        what = f"{method} {path.partition('?')[0]}"
        try:
            async with asyncio.timeout(CALL_SECONDS):
                status, answer_headers, content = await self._exchange(what, method, path, body, query, headers)
        except (TimeoutError, httpx.TimeoutException):
            raise UnavailableError(f"{what}: no answer within {CALL_SECONDS:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise UnavailableError(f"{what}: {_reason(error)}") from None
        _check_status(what, status, answer_headers)
        return Answer(status, answer_headers, content)

    async def _exchange(
        self,
        what: str,
        method: str,
        path: str,
        body: object,
        query: Mapping[str, str | int] | None,
        headers: Mapping[str, str] | None,
    ) -> tuple[int, dict[str, str], bytes]:
        content = None if body is None else json.dumps(body).encode()
        typed = {**(headers or {}), **({} if content is None else {"content-type": "application/json"})}
        request = self._client.build_request(method, self._url + path, params=query, headers=typed, content=content)
        received = bytearray()
        response = await self._client.send(request, stream=True)
        try:
            async for part in response.aiter_raw():
                received += part
                if len(received) > MAX_ANSWER_BYTES:
                    raise TooLargeError(f"{what}: an answer of more than {MAX_ANSWER_BYTES} bytes")
        finally:
            await response.aclose()
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnavailableError(f"{what}: a compressed answer, which was not asked for")
        return response.status_code, {name.lower(): value for name, value in response.headers.items()}, bytes(received)


@cache
def _tls() -> ssl.SSLContext:
    """Return what verifies certificates: by the authorities of this system, and those that the client comes with.

    There is one for all connectors, since reading the authorities takes a twentieth of a second.
    """
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    return context


def _check_status(what: str, status: int, headers: Mapping[str, str]) -> None:
    if status < 300:  # noqa: PLR2004 - done
        return
    message = f"{what}: answered {status}"
    if status in _CONFLICTS:
        raise ConflictError(message)
    if status in _PASSING or status >= 500:  # noqa: PLR2004 - the helpdesk's own fault
        raise UnavailableError(message, retry_after_seconds(headers.get("retry-after")))
    if status < 400:  # noqa: PLR2004 - a redirect
        raise UnavailableError(f"{message}, and redirects are not followed: is api_url right?")
    raise RefusedError(message, status)


def _stays_under(path: str) -> bool:
    """Return whether ``path`` leads to what is under the address that it is added to, however a server reads it."""
    parts = re.split(r"[/\\]", unquote(path.partition("?")[0]))
    return path.startswith("/") and not any(part.partition(";")[0] in {".", ".."} for part in parts)


def path_part(text: str) -> str:
    """Return ``text``, such as the id of a ticket, as one part of a path."""
    return quote(text, safe="")


def retry_after_seconds(value: str | None) -> int | None:
    """Return how long a helpdesk wants to be left alone (RFC 9110, section 10.2.3), an hour at most."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        return min(int(value[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    seconds = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - time.time()
    return min(max(0, math.ceil(seconds)), MAX_RETRY_AFTER_SECONDS)


def _reason(error: Exception) -> str:
    """Return what went wrong; what a library says of headers and answers quotes them, what a system says does not."""
    is_of_system = isinstance(error, httpx.NetworkError | OSError)
    name = type(error).__name__
    return f"{name}: {str(error)[:_MAX_REASON_CHARACTERS]}" if is_of_system and str(error) else name

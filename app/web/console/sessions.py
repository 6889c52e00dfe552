"""Sessions of the console: who has signed in, in a signed cookie, and the token that shows that a form is ours.

A cookie is ``id.expiry.key.signature``. The key is not in it, nor its hash: only a code of it that the secret makes, so
that a session ends with its key.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.types import Scope

    from app.limits.clients import Client
    from app.web.console.session_memory import SessionMemory

SESSION_SECONDS: Final = 12 * 3600
COOKIE_NAME: Final = "ticket_console"

_ID_BYTES: Final = 16
_NOBODY: Final = "-"
_COOKIE: Final = re.compile(r"([0-9a-f]{32})\.([0-9]{1,12})\.([0-9a-f]{64}|-)\.([0-9a-f]{64})", re.ASCII)
_FORWARDED_PROTO: Final = frozenset({b"x-forwarded-proto", b"forwarded"})


@dataclass(frozen=True, slots=True)
class Session:
    """A browser's session; ``client`` is None until somebody has signed in. ``expires_at``: seconds since 1970."""

    session_id: str
    expires_at: int
    client: Client | None
    csrf_token: str
    # What the browser keeps.
    cookie: str


class Sessions:
    """Begins, reads and ends sessions; ``clients`` are those whose keys open the console."""

    def __init__(
        self, memory: SessionMemory, clients: Iterable[Client] = (), *, clock: Callable[[], float] = time.time
    ) -> None:
        self._memory = memory
        self._clients = tuple(clients)
        self._clock = clock

    async def begin(self, client: Client | None = None) -> Session:
        """Return a new session, of ``client`` or of nobody yet; raise ``ServiceError`` (503) without the secret."""
        secret = await self._memory.secret()
        expires_at = int(self._clock()) + SESSION_SECONDS
        key = _NOBODY if client is None else _code(secret, "key", client.identity)
        return _session(secret, secrets.token_hex(_ID_BYTES), expires_at, key, client)

    async def read(self, cookie: str) -> Session | None:
        """Return the session of a cookie; None for one that is not ours, has expired or ended, or whose key is gone.

        Raise ``ServiceError`` (503) without the secret.
        """
        match = _COOKIE.fullmatch(cookie)
        if match is None:
            return None
        session_id, expires, key, _ = match.groups()
        secret = await self._memory.secret()
        client = None if key == _NOBODY else self._client_of(secret, key)
        session = _session(secret, session_id, int(expires), key, client)
        if not hmac.compare_digest(session.cookie, cookie) or session.expires_at <= self._clock():
            return None
        if key == _NOBODY:
            # It opens nothing, so it need not end; and whoever has none yet cannot make the store work.
            return session
        return None if client is None or await self._memory.has_ended(session_id) else session

    async def end(self, session: Session) -> None:
        """Let nobody use the session any more; raise ``ServiceError`` (503) when not everybody could be told."""
        await self._memory.end(session.session_id, expires_at=session.expires_at)

    def _client_of(self, secret: bytes, key: str) -> Client | None:
        codes = ((client, _code(secret, "key", client.identity)) for client in self._clients)
        return next((client for client, code in codes if hmac.compare_digest(code, key)), None)


def _session(secret: bytes, session_id: str, expires_at: int, key: str, client: Client | None) -> Session:
    signed = f"{session_id}.{expires_at}.{key}"
    return Session(
        session_id=session_id,
        expires_at=expires_at,
        client=client,
        csrf_token=_code(secret, "token", session_id),
        cookie=f"{signed}.{_code(secret, 'cookie', signed)}",
    )


def _code(secret: bytes, purpose: str, content: str) -> str:
    return hmac.digest(secret, f"{purpose}:{content}".encode(), "sha256").hex()


def read_cookie(scope: Scope) -> str | None:
    """Return the session's cookie of a request, whatever else the browser keeps for this host."""
    for name, value in scope["headers"]:
        if name == b"cookie" and COOKIE_NAME.encode() in value:
            # The library's own reader gives up at the first cookie, of whichever service, that is not as it should be.
            cookies: list[str] = value.decode("latin-1").split(";")
            for cookie in cookies:
                found, _, content = cookie.strip().partition("=")
                if found == COOKIE_NAME:
                    return content
    return None


def set_cookie(scope: Scope, session: Session) -> str:
    """Return the header that gives a browser its session.

    No path is named: it is that of the page, which is right behind any proxy. Encrypted connections that end at a proxy
    are known by what it forwards; believing that of anybody only makes a cookie stricter.
    """
    secure = "; Secure" if _is_encrypted(scope) else ""
    return f"{COOKIE_NAME}={session.cookie}; Max-Age={SESSION_SECONDS}; HttpOnly; SameSite=Strict{secure}"


def _is_encrypted(scope: Scope) -> bool:
    if scope.get("scheme") == "https":
        return True
    return any(name in _FORWARDED_PROTO and b"https" in value.lower() for name, value in scope["headers"])

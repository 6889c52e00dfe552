"""What workers must agree on about sessions: the secret that signs them, and which of them have ended.

With a store that is where both are, for replicas too. Without one they are in the directory that the workers of a
service share, or in this process if it has none: then a restart asks everybody for the key again.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from app.errors import STORE_UNAVAILABLE, ServiceError

if TYPE_CHECKING:
    from app.store.store import Store

_SECRET_BYTES: Final = 32
_SECRET_NAME: Final = "console.secret"  # noqa: S105 - the name of a file
_STORED_NAME: Final = "console_sessions"
_ENDED_SUFFIX: Final = ".ended-session"
_MAX_ENDED: Final = 10_000


class SessionMemory(Protocol):
    """The seam between sessions and where they are remembered."""

    async def secret(self) -> bytes:
        """Return the secret; raise ``ServiceError`` (503) while nobody can know it."""

    async def end(self, session_id: str, *, expires_at: int) -> None:
        """Let a session be over; ``expires_at`` are seconds since 1970, after which it may be forgotten."""

    async def has_ended(self, session_id: str) -> bool:
        """Return whether a session is over."""


class StoredSessions:
    """Sessions are remembered in the store; what this process has ended holds also while the store is away."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._secret: bytes | None = None
        self._ended_here = EndedHere()

    async def secret(self) -> bytes:
        """Return the store's secret, which does not change: once known, the store is not asked again."""
        from app.store.shared_secrets import shared_secret  # noqa: PLC0415 - not where there is no store

        if self._secret is None:
            self._secret = await self._store.run(partial(shared_secret, name=_STORED_NAME))
        return self._secret

    async def end(self, session_id: str, *, expires_at: int) -> None:
        """Write down that a session is over; raise ``ServiceError`` (503) when only this process knows."""
        from app.store.console_sessions import end_session  # noqa: PLC0415 - as above

        self._ended_here.add(session_id, expires_at=expires_at)
        now_ms = time.time_ns() // 1_000_000
        await self._store.run(partial(end_session, session_id=session_id, expires_ms=expires_at * 1000, now_ms=now_ms))

    async def has_ended(self, session_id: str) -> bool:
        """Ask the store; while it is away, only sessions that this process has ended are known to be over."""
        from app.store.console_sessions import has_ended  # noqa: PLC0415 - as above

        if self._ended_here.has(session_id):
            return True
        try:
            return await self._store.run(partial(has_ended, session_id=session_id))
        except ServiceError as error:
            if error.kind is not STORE_UNAVAILABLE:
                raise
            return False


class SharedSessions:
    """Sessions are remembered in the directory that the workers of this service share, for as long as they run."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def secret(self) -> bytes:
        """Return the content of the secret's file, which the first worker makes."""
        path = self._directory / _SECRET_NAME
        if not path.exists():
            made = self._directory / f"{_SECRET_NAME}.{os.getpid()}"
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_SECRET_BYTES))
            try:
                # Whole or not at all, and never over that of another worker.
                os.link(made, path)
            except FileExistsError:
                pass
            finally:
                made.unlink()
        return path.read_bytes()

    async def end(self, session_id: str, *, expires_at: int) -> None:
        """Leave a file for the session, and take away those of sessions that have expired."""
        now = time.time()
        for path in self._directory.glob(f"*{_ENDED_SUFFIX}"):
            # Another worker may forget the same ones.
            with suppress(FileNotFoundError):
                if path.stat().st_mtime <= now:
                    path.unlink()
        made = self._directory / f"{session_id}.{secrets.token_hex(8)}"
        made.touch(0o600)
        os.utime(made, (expires_at, expires_at))
        # With its time from the beginning, or another worker might take it for one that has expired.
        made.replace(self._path(session_id))

    async def has_ended(self, session_id: str) -> bool:
        """Return whether the session has a file."""
        return self._path(session_id).exists()

    def _path(self, session_id: str) -> Path:
        return self._directory / f"{session_id}{_ENDED_SUFFIX}"


class EndedHere:
    """Sessions that this process has ended, until they expire by themselves; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._expires_at: dict[str, int] = {}

    def add(self, session_id: str, *, expires_at: int) -> None:
        now = time.time()
        self._expires_at = {other: at for other, at in self._expires_at.items() if at > now}
        if len(self._expires_at) >= _MAX_ENDED:
            del self._expires_at[next(iter(self._expires_at))]
        self._expires_at[session_id] = expires_at

    def has(self, session_id: str) -> bool:
        return session_id in self._expires_at


class OwnSessions:
    """Sessions are remembered in this process, which is the only one."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(_SECRET_BYTES)
        self._ended = EndedHere()

    async def secret(self) -> bytes:
        return self._secret

    async def end(self, session_id: str, *, expires_at: int) -> None:
        self._ended.add(session_id, expires_at=expires_at)

    async def has_ended(self, session_id: str) -> bool:
        return self._ended.has(session_id)


def session_memory(store: Store | None, directory: Path | None) -> SessionMemory:
    """Return where sessions are remembered, given the store and the workers' directory, as far as there are any."""
    if store is not None:
        return StoredSessions(store)
    return OwnSessions() if directory is None else SharedSessions(directory)

"""Accepts every connection that waits.

The loop's own servers may accept one connection in each of their rounds. Under load a round takes tens of milliseconds,
and a client that opens a connection for each request, as most health checks do, would wait for seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_MAX_ACCEPTED_AT_ONCE: Final = 256
# When the system has no more descriptors or memory for connections, asking again at once would be a busy loop.
_PAUSE_SECONDS: Final = 0.5
# Linux has it; Python does not name it.
_SO_ATTACH_FILTER: Final = 26
# In the system's packet language (bpf_insn: code, jump if true, jump if false, constant), over the TCP header: take its
# byte of flags; with the flag SYN, which begins a connection, drop the packet, else let all of it pass.
_NO_NEW_CONNECTION: Final = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, but does not listen yet; raise ``OSError``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def url_of(bound: socket.socket) -> str:
    """Return the address of a bound socket as people write it."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Listener:
    """Listens on a bound socket, and gives each connection a protocol."""

    def __init__(self, bound: socket.socket, create_protocol: Callable[[], asyncio.Protocol], *, backlog: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = bound
        self._create_protocol = create_protocol
        self._opening: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        bound.listen(backlog)
        bound.setblocking(False)  # noqa: FBT003 - its only argument
        self._resume()

    def turn_away(self) -> None:
        """Let no further connection begin, while those that have begun are completed and accepted.

        A socket that is closed resets what the system has completed since the last look at it. Whoever is turned away
        asks again after a second, and then nobody is there, which is no lost request. Where the system cannot do it,
        nothing happens.
        """
        program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in _NO_NEW_CONNECTION))
        # How many instructions there are, and where (sock_fprog).
        where = struct.pack("@HP", len(_NO_NEW_CONNECTION), ctypes.addressof(program))
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, where)

    def close(self) -> None:
        """Accept what waits, then stop listening."""
        self._loop.remove_reader(self._socket)
        self._accept()
        if self._pause is not None:
            self._pause.cancel()
        self._socket.close()

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_MAX_ACCEPTED_AT_ONCE):
            try:
                connection, _address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                logger.error("connections cannot be accepted: %s", error.strerror)  # noqa: TRY400 - the reason says all
                self._loop.remove_reader(self._socket)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self._resume)
                return
            connection.setblocking(False)  # noqa: FBT003 - its only argument
            task = self._loop.create_task(self._open(connection))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._create_protocol, connection)
        except OSError:
            # The client was gone before it was accepted.
            connection.close()

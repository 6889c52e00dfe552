"""What becomes of connections while a listener stops."""

from __future__ import annotations

import asyncio
import socket

import pytest

from app.server.listener import Listener, bind


class Greeting(asyncio.Protocol):
    """Says that somebody is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(b"ok")
        transport.close()


def connect(port: int) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(0.3)
    try:
        connection.connect(("127.0.0.1", port))
    except BaseException:
        connection.close()
        raise
    return connection


def test_who_has_connected_when_a_listener_stops_is_served_and_nobody_connects_any_more() -> None:
    async def stop() -> None:
        bound = bind("127.0.0.1", 0)
        port = bound.getsockname()[1]
        listener = Listener(bound, Greeting, backlog=16)
        # Nothing is accepted while this waits for nothing: the system completes the connection by itself.
        early = connect(port)

        listener.turn_away()

        # What would be reset when the socket is closed does not come to be.
        with pytest.raises(TimeoutError):
            connect(port)
        listener.close()
        with early:
            assert await asyncio.to_thread(early.recv, 10) == b"ok"
        with pytest.raises(ConnectionRefusedError):
            connect(port)

    asyncio.run(stop())

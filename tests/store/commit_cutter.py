"""Stands between a client and Postgres, and can cut a connection whose commit is done but not yet confirmed."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self


class CommitCutter:
    """Hands everything on in both directions, until it is told to cut."""

    def __init__(self, server_port: int) -> None:
        self.n_cut = 0
        self._server_port = server_port
        self._is_armed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for one in self._sockets:
            one.close()

    def cut_next_commit(self) -> None:
        self._is_armed = True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._sockets += [client, server]
                is_committing = threading.Event()
                threading.Thread(target=self._to_server, args=(client, server, is_committing), daemon=True).start()
                threading.Thread(target=self._to_client, args=(server, client, is_committing), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, is_committing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                if self._is_armed and b"COMMIT" in data:
                    self._is_armed = False
                    is_committing.set()
                server.sendall(data)
        self._close(server)

    def _to_client(self, server: socket.socket, client: socket.socket, is_committing: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                # The answer is here, so the commit is done; the client never hears of it.
                if is_committing.is_set():
                    self.n_cut += 1
                    break
                client.sendall(data)
        self._close(client)

    @staticmethod
    def _close(peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)

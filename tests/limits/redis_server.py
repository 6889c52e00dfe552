"""A redis-server of a test's own, which it may freeze, kill and start again."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from typing import Self

import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.processes import free_port

BINARY = shutil.which("redis-server")
needs_redis_server = pytest.mark.skipif(BINARY is None, reason="redis-server is not installed")
_START_SECONDS = 10


class RedisServer:
    """``redis-server`` on a free port, keeping nothing on disk, with a password or without."""

    def __init__(self, *, password: str = "") -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        assert BINARY is not None
        # It looks at its timers a hundred times a second, so that pauses end when they should.
        options = {"port": str(self.port), "bind": "127.0.0.1", "save": "", "hz": "100", "requirepass": self._password}
        arguments = [text for name, value in options.items() for text in (f"--{name}", value)]
        self._process = subprocess.Popen([BINARY, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server does not start"
            time.sleep(0.01)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def client(self) -> Redis:
        return Redis(port=self.port, password=self._password or None, protocol=2, socket_timeout=5)

    def configure(self, name: str, value: str) -> None:
        with self.client() as client:
            client.config_set(name, value)

    def change_password(self, password: str) -> None:
        """Change it, and put out those who came in with the old one."""
        with self.client() as client:
            client.config_set("requirepass", password)
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self._password = password

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (RedisError, OSError):
            return False

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

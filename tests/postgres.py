"""A Postgres of the tests' own, which they may stop, freeze, kill and start again."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import LiteralString, Self

import psutil
import psycopg
from psycopg import sql

from tests.processes import free_port

_START_SECONDS = 60
_STOP_SECONDS = 60
_OWNER = "tests"
# What a server has by default, where it matters: an answered commit is on disk.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "32MB",
}


@cache
def programs() -> Path | None:
    """Return the directory of Postgres' programs, which Debian keeps off PATH; None if they are not installed."""
    on_path = shutil.which("postgres")
    found = [Path(on_path).resolve().parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((path for path in found if (path / "initdb").exists() and (path / "postgres").exists()), None)


def missing() -> str | None:
    """Say what is missing for a Postgres here; None if nothing is."""
    if programs() is None:
        return "Postgres' programs are not installed (Debian: apt-get install postgresql)"
    if os.geteuid() == 0 and _unprivileged_user() is None:
        return "Postgres refuses to be run by root, and there is no user postgres or nobody"
    return None


@cache
def _unprivileged_user() -> pwd.struct_passwd | None:
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next((known[name] for name in ("postgres", "nobody") if name in known), None)


def _is_running(process: psutil.Process) -> bool:
    # An orphan's state is left to whoever adopts it, who may take its time.
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Postgres:
    """One cluster in a directory of its own, on a free port of the loopback address, without a password."""

    def __init__(self) -> None:
        self.port = free_port()
        self._user = _unprivileged_user() if os.geteuid() == 0 else None
        self._directory: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._n_databases = 0

    def __enter__(self) -> Self:
        self._directory = Path(tempfile.mkdtemp(prefix="tests-postgres-"))
        try:
            if self._user is not None:
                os.chown(self._directory, self._user.pw_uid, self._user.pw_gid)
            self._make_cluster()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self._directory is not None:
            shutil.rmtree(self._directory)

    def start(self) -> None:
        """Start it, and wait until it answers; after a kill that includes its recovery."""
        assert self._process is None
        options = {**_OPTIONS, "port": str(self.port)}
        deadline = time.monotonic() + _START_SECONDS
        # Those that a kill leaves behind may still hold its memory for a moment, and then it refuses to start.
        while self._process is None:
            self._process = self._popen("postgres", *(f"--{name}={value}" for name, value in options.items()))
            while not self._answers():
                assert time.monotonic() < deadline, f"Postgres does not start:\n{self.log()}"
                if self._process.poll() is not None:
                    self._process = None
                    break
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop it as its administrator would: connections are cut, what was begun is undone, and it ends."""
        process = self._running()
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_SECONDS)
        self._process = None

    def kill(self) -> None:
        """End every one of its processes as ``kill -9`` does; the next start recovers from its journal."""
        if self._process is None:
            return
        # Stopped, it can start no further process meanwhile.
        self._process.send_signal(signal.SIGSTOP)
        children = self._children()
        self._process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._process.wait()
        self._process = None
        deadline = time.monotonic() + _STOP_SECONDS
        while any(map(_is_running, children)):
            assert time.monotonic() < deadline, "killed processes of Postgres do not end"
            time.sleep(0.01)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop the time of all its processes: what is connected stays so, and hears nothing."""
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        for child in self._children():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.suspend()

    def resume(self) -> None:
        for child in self._children():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.resume()
        self._running().send_signal(signal.SIGCONT)

    def url(self, database: str) -> str:
        return f"postgresql://{_OWNER}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Make an empty database, give its URL, and remove it, whoever is still connected."""
        self._n_databases += 1
        name = f"store_{self._n_databases}"
        self._execute("CREATE DATABASE {}", name)
        yield self.url(name)
        self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def log(self) -> str:
        assert self._directory is not None
        return (self._directory / "log").read_text(encoding="utf-8", errors="replace")

    def _make_cluster(self) -> None:
        # What it writes afterwards is synchronized; only the empty cluster is not.
        options = (f"--username={_OWNER}", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        made = self._popen("initdb", *options)
        assert made.wait(_START_SECONDS) == 0, self.log()

    def _popen(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        directory = programs()
        assert directory is not None
        assert self._directory is not None
        with (self._directory / "log").open("ab") as log:
            return subprocess.Popen(
                [directory / program, "-D", self._directory / "data", *options],
                cwd=self._directory,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                # Ctrl+C is for the tests, which end it themselves.
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _children(self) -> list[psutil.Process]:
        return psutil.Process(self._running().pid).children(recursive=True)

    def _answers(self) -> bool:
        try:
            self._execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _execute(self, statement: LiteralString, *names: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

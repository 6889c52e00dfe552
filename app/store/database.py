"""One database, SQLite or Postgres: its connections, its transactions, and when it cannot be used.

Everything here blocks, so it belongs into threads; ``app.store.store`` has them.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError

from app.errors import STORE_UNAVAILABLE, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection, Engine

Kind = Literal["sqlite", "postgresql"]

# How long a transaction waits for those of others before the store counts as not usable.
_LOCK_SECONDS: Final = 5
_LOCK_PAUSE_SECONDS: Final = 0.01
_CONNECT_SECONDS: Final = 2
_STATEMENT_SECONDS: Final = 30
_MAX_REASON_CHARACTERS: Final = 200
_BEGIN: Final = "store_begin"
_SYNCHRONOUS: Final = "store_synchronous"
# Of a server that vanished without a word the system says so after about ten seconds.
_POSTGRES_OPTIONS: Final = {
    "connect_timeout": _CONNECT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "ticket-classifier",
    "options": f"-c statement_timeout={_STATEMENT_SECONDS}s -c lock_timeout={_LOCK_SECONDS}s"
    " -c idle_in_transaction_session_timeout=60s",
}
# From here on it has the operators -> and ->>.
_LEAST_SQLITE: Final = (3, 38, 0)
# There are as many connections as threads that use them, and those are few.
_NO_BOUND: Final = -1
# What is wrong with a statement or its values, not with the database.
_OURS: Final = (IntegrityError, ProgrammingError, DataError)


# No connection of this process may come to be between the making of a file and the closing of what made it.
_making_file: Final = threading.Lock()


class StoreUnavailableError(ServiceError):
    """The database cannot be used now: not reachable, locked, full, read-only or damaged. It may be again.

    The reason is for the log; a caller whom it reaches is told what the catalogue says.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(STORE_UNAVAILABLE)
        self.args = (reason,)


class Database:
    """Connections to the database of ``STORE_URL``; every method may be called from any thread."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.kind: Kind = "sqlite" if parsed.get_backend_name() == "sqlite" else "postgresql"
        self.path = Path(parsed.database or "") if self.kind == "sqlite" else None
        self._engine = _sqlite_engine(parsed) if self.kind == "sqlite" else _postgres_engine(parsed)

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """Yield a connection in a transaction that may write, committed at the end.

        What is ``durable`` is on disk then; other transactions survive the end of the process, but not always that of
        the machine. Raise ``StoreUnavailableError``, also when it could not be committed. On SQLite the transaction
        writes from its beginning: one that has read, and then wants to write, fails at once if another has written.
        """
        with self._transaction("BEGIN IMMEDIATE", "FULL" if durable else "NORMAL") as connection:
            if self.kind == "postgresql" and not durable:
                connection.execute(text("SET LOCAL synchronous_commit TO off"))
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that only reads; raise ``StoreUnavailableError``."""
        with self._transaction("BEGIN", "NORMAL") as connection:
            yield connection

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Yield a connection without a transaction, for what no transaction may have: checkpoints and VACUUM."""
        with _unavailable(), self._engine.connect() as connection:
            # SQLite's driver begins no transaction by itself.
            yield connection if self.kind == "sqlite" else connection.execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, begin: str, synchronous: str) -> Iterator[Connection]:
        with _unavailable(), self._engine.connect() as connection:
            connection.execution_options(**{_BEGIN: begin, _SYNCHRONOUS: synchronous})
            with connection.begin():
                yield connection


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except _OURS:
        raise
    except (DatabaseError, InterfaceError) as error:
        # The statement and its values, which may be tickets, are no part of it.
        reason = str(error.orig).partition("\n")[0][:_MAX_REASON_CHARACTERS]
        raise StoreUnavailableError(f"{type(error.orig).__name__}: {reason}") from None
    except OSError as error:
        raise StoreUnavailableError(f"{type(error).__name__}: {error.strerror}") from None


def check_sqlite_version(version: tuple[int, int, int]) -> None:
    """Raise ``StoreUnavailableError`` for a SQLite that does not understand the statements of the store."""
    if version < _LEAST_SQLITE:
        found, least = (".".join(map(str, numbers)) for numbers in (version, _LEAST_SQLITE))
        raise StoreUnavailableError(
            f"this Python has SQLite {found}, the store needs {least}: use Postgres, or another Python"
        )


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, hide_parameters=True, max_overflow=_NO_BOUND, connect_args={"timeout": _LOCK_SECONDS})

    @event.listens_for(engine, "do_connect")
    def make_file(*_: object) -> None:
        check_sqlite_version(sqlite3.sqlite_version_info)
        _make_file(Path(str(url.database)))

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        try:
            # Transactions begin and end where it is said here, and nowhere else.
            connection.isolation_level = None
            _keep_a_write_ahead_log(connection)
            for pragma in ("secure_delete = ON", "foreign_keys = ON", "journal_size_limit = 67108864"):
                connection.execute(f"PRAGMA {pragma}").close()
        except BaseException:
            # The engine does not know it yet.
            connection.close()
            raise

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if _BEGIN not in options:
            return
        connection.exec_driver_sql(f"PRAGMA synchronous = {options[_SYNCHRONOUS]}")
        connection.exec_driver_sql(options[_BEGIN])

    return engine


def _make_file(path: Path) -> None:
    """Make the file if it is not there, for its owner only; the log and the index beside it get its mode.

    A file that is there must not even be opened: when a process closes any descriptor of a file, POSIX takes all its
    locks of that file, those of SQLite's other connections too. The next program that closes the database then believes
    to be the last that has it open and removes the log, into which this process goes on writing, for nobody.
    """
    with _making_file, contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _keep_a_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a file that is new to its log; SQLite waits for no other that does so at the same moment."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_LOCK_PAUSE_SECONDS)
        else:
            return


def _postgres_engine(url: URL) -> Engine:
    options: dict[str, Any] = {name: value for name, value in _POSTGRES_OPTIONS.items() if name not in url.query}
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        # A server that was restarted closed the connections of before.
        pool_pre_ping=True,
        max_overflow=_NO_BOUND,
        connect_args=options,
    )

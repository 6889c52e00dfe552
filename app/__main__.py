"""``python -m app``: the service under uvicorn, with the protocol, time-outs and workers that it promises."""

from __future__ import annotations

import argparse
import importlib
import ipaddress
import logging
import os
import resource
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from app.config import load_settings, warn_of_misspelt_settings
from app.logging_utils import configure_logging
from app.server.config import ServerConfig
from app.server.listener import bind
from app.server.server import DrainingServer
from app.server.supervisor import Supervisor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Sequence

    from app.config import Settings

logger = logging.getLogger(__name__)

# Files in memory where the system has them: metrics are written at every request.
# The directory made in it has a name that nobody can guess, and is open to nobody else.
_MEMORY_DIRECTORY: Final = "/dev/shm"  # noqa: S108  # nosec B108
# Each connection is an open file; the usual soft limit is meant for programs that use select().
_OPEN_FILES: Final = 65_536


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; return 0, or 1 when the service could not start. Bad usage and settings exit with 2."""
    settings = load_settings()
    arguments = _parser(settings).parse_args(argv)
    configure_logging(settings.log_level, structured=settings.structured_logs)
    _allow_open_files()
    config = ServerConfig(
        "app.main:app",
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        drain_seconds=settings.drain_seconds,
    )
    try:
        bound = bind(arguments.host, arguments.port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        logger.error('cannot listen on "%s" port %d: %s', arguments.host, arguments.port, reason)  # noqa: TRY400
        return 1
    if not (settings.api_keys or settings.reviewer_api_keys or settings.admin_api_keys):
        _warn_if_open(bound)
    if arguments.workers > 1:
        # A single process warns when it makes its application, as it does under other servers.
        warn_of_misspelt_settings()
        _prepare_store(settings)
        _check_connectors(settings)
    try:
        return _serve(config, bound, settings.metrics_dir)
    except SystemExit as error:
        return 1 if error.code else 0


def _serve(config: ServerConfig, bound: socket.socket, metrics_dir: str) -> int:
    # What serves is chosen at the start anyway; the application takes the signal as soon as it has a model.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if config.workers == 1:
        server = DrainingServer(config)
        server.run([bound])
        return 0 if server.started else 1
    with _shared_metrics(metrics_dir) as scratch:
        supervisor = Supervisor(config, [bound], scratch=scratch)
        supervisor.run()
    return 1 if supervisor.has_failed else 0


@contextmanager
def _shared_metrics(metrics_dir: str) -> Iterator[Path | None]:
    """Give the workers, which read their settings themselves, a directory for their metrics while they run."""
    if metrics_dir:
        yield None
        return
    memory = _MEMORY_DIRECTORY if os.access(_MEMORY_DIRECTORY, os.W_OK) else None
    try:
        directory = TemporaryDirectory(prefix="ticket-classifier-metrics-", dir=memory)
    except OSError as error:
        logger.warning("every worker shows only its own metrics: %s", error)
        yield None
        return
    with directory as path:
        os.environ["METRICS_DIR"] = path
        yield Path(path)


def _prepare_store(settings: Settings) -> None:
    """Say once, and not once a worker, that nothing is kept; or import what keeps it, which the workers then share."""
    if settings.store_url == "off":
        return
    from app.store.place import is_usable_by_default  # noqa: PLC0415 - a store brings packages

    if "store_url" not in settings.model_fields_set and not is_usable_by_default(settings.store_url):
        os.environ["STORE_URL"] = "off"
        return
    importlib.import_module("app.feedback.loop")


def _check_connectors(settings: Settings) -> None:
    """Find out before there are workers whether all of them would end for a mistake in the file."""
    if settings.connectors_file is not None:
        from app.connectors.connector_file import connectors_or_exit  # noqa: PLC0415 - connectors bring packages

        connectors_or_exit(settings.connectors_file)


def _warn_if_open(bound: socket.socket) -> None:
    address, port = bound.getsockname()[:2]
    if not ipaddress.ip_address(address).is_loopback:
        logger.warning(
            'no key is asked on "%s" port %d: everybody who reaches it may classify; set API_KEYS, or HOST=127.0.0.1',
            address,
            port,
        )


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _parser(settings: Settings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app", description="Serve the ticket classifier over HTTP.")
    parser.add_argument("--host", default=settings.host, help="address to listen on (HOST, now %(default)s)")
    parser.add_argument(
        "--port", type=_integer(0, 65_535), default=settings.port, help="port to listen on (PORT, now %(default)s)"
    )
    parser.add_argument(
        "--workers", type=_integer(1, 64), default=settings.workers, help="processes (WORKERS, now %(default)s)"
    )
    return parser


def _integer(low: int, high: int) -> Callable[[str], int]:
    def convert(text: str) -> int:
        value = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1  # noqa: PLR2004
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f'"{text}" is not a whole number from {low} to {high}')
        return value

    return convert


if __name__ == "__main__":
    sys.exit(main())

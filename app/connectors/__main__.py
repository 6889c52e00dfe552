"""``python -m app.connectors``: what an operator does with the helpdesks of ``CONNECTORS_FILE`` beside the service."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.config import Settings, load_settings
from app.connectors.checking import check
from app.connectors.connector_file import connectors_or_exit
from app.connectors.rehearsal import rehearse
from app.connectors.sighting import UnreadableError
from app.serving.registry import ModelRegistry
from app.store.connector_views import view_connectors
from app.store.database import StoreUnavailableError
from app.store.existing import NoStoreError, existing_store
from app.store.outbox import send_again

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.connectors.connector import Connector
    from app.models.classifier import TicketClassifier

_FAILED: Final = 1
_BAD_USAGE: Final = 2
_DAY_MS: Final = 86_400_000
_MOST_LISTED: Final = 50


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when it is done, 1 when it failed, 2 for bad usage; what was wrong is said on standard error."""
    arguments = _parser().parse_args(argv)
    settings = load_settings()
    if settings.connectors_file is None:
        return _end(_BAD_USAGE, "CONNECTORS_FILE is not set, so there are no connectors: docs/connectors.md")
    connectors = connectors_or_exit(settings.connectors_file)
    if not connectors:
        return _end(
            _BAD_USAGE, f"{settings.connectors_file} has no table, so there are no connectors: docs/connectors.md"
        )
    if arguments.connector is not None:
        connectors = tuple(connector for connector in connectors if connector.name == arguments.connector)
        if not connectors:
            return _end(_BAD_USAGE, f'"{arguments.connector}" is no table of {settings.connectors_file}')
    try:
        return _run(arguments, settings, connectors)
    except NoStoreError as error:
        return _end(_BAD_USAGE, str(error))
    except StoreUnavailableError as error:
        return _end(_FAILED, str(error))


def _run(arguments: argparse.Namespace, settings: Settings, connectors: Sequence[Connector]) -> int:
    if arguments.command == "check":
        return _check(settings, connectors)
    if arguments.command == "dry-run":
        return _dry_run(settings, connectors, arguments.file)
    if arguments.command == "list":
        return _list(settings, connectors)
    return _send_again(settings, connectors, arguments.job)


def _check(settings: Settings, connectors: Sequence[Connector]) -> int:
    classifier = _classifier(settings)
    if classifier is None:
        return _FAILED
    labels = {head: classifier.labels(head) for head in classifier.heads}
    is_ok = True
    for connector in connectors:
        sys.stdout.write(f"{connector.name} ({connector.type})\n")
        for finding in asyncio.run(check(connector, labels)):
            sys.stdout.write(f"  {'ok  ' if finding.is_ok else 'FAIL'}  {finding.text}\n")
            is_ok &= finding.is_ok
    return 0 if is_ok else _FAILED


def _dry_run(settings: Settings, connectors: Sequence[Connector], file: Path) -> int:
    if len(connectors) != 1:
        names = ", ".join(connector.name for connector in connectors)
        return _end(_BAD_USAGE, f"--connector says whose delivery it is: {names}")
    try:
        body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        return _end(_BAD_USAGE, f'"{file}" cannot be read: {error.strerror}')
    classifier = _classifier(settings)
    if classifier is None:
        return _FAILED
    try:
        lines = rehearse(connectors[0], body, classifier)
    except UnreadableError as error:
        return _end(_FAILED, f'"{file}" is no delivery of {connectors[0].type}: {error}')
    sys.stdout.write("\n".join([*lines, ""]))
    return 0


def _list(settings: Settings, connectors: Sequence[Connector]) -> int:
    names = [connector.name for connector in connectors]
    now_ms = time.time_ns() // 1_000_000
    with existing_store(settings.store_url) as database:
        view = view_connectors(database, names, since_ms=now_ms - _DAY_MS, limit=_MOST_LISTED)
    for connector in connectors:
        counts, standing = view.counts[connector.name], view.standings.get(connector.name)
        received = ", ".join(f"{n} {outcome}" for outcome, n in sorted(counts.received.items())) or "none"
        sys.stdout.write(
            f"{connector.name} ({connector.type}{', dry run' if connector.dry_run else ''})\n"
            f"  deliveries of a day: {received}\n"
            f"  waiting: {counts.n_waiting}, given up: {counts.n_dead}, done in a day: {counts.jobs['done']}\n"
        )
        if standing is not None and standing.problem is not None:
            sys.stdout.write(
                f"  failed {standing.n_failures} times in a row: {standing.problem}\n"
                f"  what may be wrong says: python -m app.connectors check --connector {connector.name}\n"
            )
        for job in view.dead:
            if job.connector == connector.name:
                sys.stdout.write(f"  given up {job.job_id}: ticket {job.ticket_ref}: {job.result}\n")
    if view.dead:
        sys.stdout.write("when the cause is gone, python -m app.connectors send-again tries again what was given up\n")
    return 0


def _send_again(settings: Settings, connectors: Sequence[Connector], jobs: Sequence[str]) -> int:
    now_ms = time.time_ns() // 1_000_000
    with existing_store(settings.store_url) as database:
        n_jobs = sum(
            send_again(database, now_ms=now_ms, connector=connector.name, job_ids=jobs or None)
            for connector in connectors
        )
    if not n_jobs and jobs:
        return _end(_FAILED, "none of the jobs that were named is given up; list shows those that are")
    said = f"{n_jobs} are tried again for a day from now on" if n_jobs else "nothing is given up; list shows what waits"
    sys.stdout.write(f"{said}\n")
    return 0


def _classifier(settings: Settings) -> TicketClassifier | None:
    """Return the model that a service with these settings serves, or say that there is none."""
    registry = ModelRegistry(
        Path(settings.models_base_dir), pinned_version=settings.pinned_version, shares=settings.label_shares
    )
    state = registry.load()
    if state.model is None:
        _end(_FAILED, f"no model can be loaded: {state.reason}; train one, or set MODELS_BASE_DIR or MODEL_VERSION")
        return None
    return state.model.classifier


def _end(code: int, message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.connectors", description="Look after the helpdesks of CONNECTORS_FILE."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    checks = commands.add_parser("check", help="try each one: its API answers, and labels have values there")
    lists = commands.add_parser("list", help="say how each one stands, and what was given up")
    again = commands.add_parser("send-again", help="try again what was given up, for another day")
    again.add_argument("--job", action="append", default=[], metavar="ID", help="only this one; may be repeated")
    dry_run = commands.add_parser("dry-run", help="say what would follow from a delivery; nothing is kept or written")
    dry_run.add_argument("file", type=Path, metavar="FILE", help="the body of the delivery; -: standard input")
    parser.add_argument("--connector", metavar="NAME", help="only this one, before or after the command")
    for command in (checks, lists, again, dry_run):
        command.add_argument("--connector", metavar="NAME", default=argparse.SUPPRESS, help="only this one")
    return parser


if __name__ == "__main__":
    sys.exit(main())

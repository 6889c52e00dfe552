"""``python -m app.store``: what an operator does with the store of ``STORE_URL`` beside the service."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.config import load_settings
from app.store.backup import BackupError, back_up
from app.store.database import Database, StoreUnavailableError
from app.store.migration import upgrade

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAILED: Final = 1
_BAD_USAGE: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 when it is done, 1 when it failed, 2 for bad usage; what was wrong is one line on standard error."""
    arguments = _parser().parse_args(argv)
    url = load_settings().store_url
    if url == "off":
        return _end(_BAD_USAGE, "STORE_URL is off, so there is no store")
    database = Database(url)
    try:
        if arguments.command == "upgrade":
            return _upgrade(database)
        return _back_up(database, arguments.file, force=arguments.force)
    finally:
        database.close()


def _upgrade(database: Database) -> int:
    try:
        has_changed = upgrade(database)
    except StoreUnavailableError as error:
        return _end(_FAILED, f"the store cannot be used: {error}")
    sys.stdout.write("the tables were brought up to date\n" if has_changed else "the tables are up to date\n")
    return 0


def _back_up(database: Database, target: Path, *, force: bool) -> int:
    if database.path is None:
        return _end(_BAD_USAGE, "the store is a Postgres database: back it up with pg_dump, as docs/operations.md says")
    if not database.path.is_file():
        return _end(_BAD_USAGE, f'there is no store at "{database.path}"')
    try:
        back_up(database.path, target, force=force)
    except FileExistsError:
        return _end(_BAD_USAGE, f'"{target}" exists; --force replaces it')
    except BackupError as error:
        return _end(_FAILED, str(error))
    except OSError as error:
        return _end(_FAILED, f'"{target}" cannot be written: {error.strerror}')
    sys.stdout.write(f'"{target}" has {target.stat().st_size:,} bytes\n')
    return 0


def _end(code: int, message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.store", description="Look after the store of STORE_URL.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("upgrade", help="bring the tables up to date, as every start of the service does")
    backup = commands.add_parser("backup", help="copy a SQLite store while the service uses it")
    backup.add_argument("file", type=Path, metavar="FILE", help="where the copy goes, whole or not at all")
    backup.add_argument("--force", action="store_true", help="replace FILE if it exists")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""Copies a SQLite store that is in use into one file; Postgres has programs of its own for that."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path


class BackupError(Exception):
    """There is nothing to copy, or what was copied is damaged."""


def back_up(source: Path, target: Path, *, force: bool = False) -> None:
    """Copy the store at ``source``, as it is at one moment, to ``target``, which is there in full or not at all.

    Those who write meanwhile wait for nothing. The file can be read by its owner only. Raise ``FileExistsError`` unless
    ``force`` is given, ``BackupError``, and ``OSError``.
    """
    if not force and target.exists():
        raise FileExistsError(f'"{target}" exists')
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    os.close(descriptor)
    copy = Path(name)
    try:
        _copy(source, copy)
        _put_in_place(copy, target, force=force)
    finally:
        copy.unlink(missing_ok=True)


def _copy(source: Path, copy: Path) -> None:
    try:
        # A path is quoted, because "?" and "#" mean something in a URI.
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as original,
            closing(sqlite3.connect(copy)) as duplicate,
        ):
            # All pages at once: a copy in steps begins anew whenever another process has written in between.
            original.backup(duplicate)
            # With the log beside it taken in, so that the copy is one file.
            duplicate.execute("PRAGMA journal_mode = DELETE").close()
            (found,) = duplicate.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f'"{source}" cannot be copied: {error}') from error
    if found != "ok":
        raise BackupError(f'"{source}" is damaged: {" ".join(found.split())}')


def _put_in_place(copy: Path, target: Path, *, force: bool) -> None:
    if force:
        copy.replace(target)
    else:
        # Fails where another file came to be meanwhile.
        target.hardlink_to(copy)
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

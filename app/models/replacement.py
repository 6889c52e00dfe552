"""One directory in another's place, so that there is always a whole one: the new or the old, whatever ends the process.

Linux swaps two directories in one step. Where the file system or the C library cannot, the old one is kept aside under
a name of its own, and whoever looks for it next puts it back.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What a new directory is called while it is written: ``settle`` removes those that were never finished.
PARTIAL_SUFFIX = ".partial"
_KEPT_SUFFIX = ".replaced"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


@contextmanager
def exclusive(base_dir: Path, *, wait: bool = True) -> Iterator[int]:
    """Hold a directory for one writer at a time; the kernel lets go when the process dies.

    Raise ``BlockingIOError`` when somebody else holds it and ``wait`` is false.
    """
    descriptor = os.open(base_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield descriptor
    finally:
        os.close(descriptor)


def put_in_place(new: Path, directory: Path) -> None:
    """Give ``new`` the name of ``directory``, which may exist; only the holder of the lock may call this.

    The old one is left for ``settle`` to remove. When this fails, it is where it was.
    """
    if not os.path.lexists(directory):
        new.rename(directory)
    elif not _exchange(new, directory):
        kept = _kept(directory)
        directory.rename(kept)
        try:
            new.rename(directory)
        except BaseException:
            kept.rename(directory)
            raise


def settle(base_dir: Path) -> None:
    """Put back what was kept aside and not replaced, and remove the rest of what writers left; needs the lock."""
    for kept in base_dir.glob(f".*{_KEPT_SUFFIX}"):
        directory = base_dir / kept.name[1 : -len(_KEPT_SUFFIX)]
        if os.path.lexists(directory):
            _remove(kept)
        else:
            kept.rename(directory)
    for leftover in base_dir.glob(f".*{PARTIAL_SUFFIX}"):
        _remove(leftover)


def restore(directory: Path) -> None:
    """Put ``directory`` back if a writer was killed while it replaced it.

    A writer that is at work will put one in place itself, and who may not write has to leave it to one who may.
    """
    if _kept(directory).exists() and not os.path.lexists(directory):
        with suppress(OSError), exclusive(directory.parent, wait=False):
            _kept(directory).rename(directory)


def restore_all(base_dir: Path) -> None:
    for kept in base_dir.glob(f".*{_KEPT_SUFFIX}"):
        restore(base_dir / kept.name[1 : -len(_KEPT_SUFFIX)])


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step; say whether the system could."""
    try:
        renameat2 = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    return bool(renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0)


def _kept(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}{_KEPT_SUFFIX}")


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)

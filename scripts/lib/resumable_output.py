"""An output file that appears whole or not at all, and whose writing can be taken up again after a kill.

Bytes go to ``.NAME.part`` beside the output; ``.NAME.progress`` says how many of them are safely on disk and how many
tickets they stand for. What the bytes mean is left to the caller.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self


class ResumeError(Exception):
    """The work cannot be taken up where it was left; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What is safely on disk: ``n_tickets`` in the first ``n_bytes`` of the part file.

    ``inode`` is that of the finished file, once it only has to be renamed.
    """

    n_tickets: int
    n_bytes: int
    inode: int | None = None


class ResumableOutput:
    """The part file of ``path``, open for appending; ``progress`` says where to go on.

    ``identity`` is all that decides the output's bytes. Taking up another identity's work would mix two outputs, so
    that raises ``ResumeError``, as does a second run that writes the same output. At most ``checkpoint_seconds`` of
    work are lost to a kill.
    """

    def __init__(
        self, path: Path, identity: Mapping[str, object], *, resume: bool, checkpoint_seconds: float = 1.0
    ) -> None:
        self._path = path
        self._part_path = path.with_name(f".{path.name}.part")
        self._progress_path = path.with_name(f".{path.name}.progress")
        self._identity = dict(identity)
        self._checkpoint_seconds = checkpoint_seconds
        self.progress = self._written = (self._read_progress() if resume else None) or Progress(0, 0)
        self._checkpoint_at = 0.0

    def __enter__(self) -> Self:
        self._part: BinaryIO = self._part_path.open("ab")
        try:
            self._begin()
        except BaseException:
            self._part.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._part.close()

    def _begin(self) -> None:
        try:
            fcntl.flock(self._part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ResumeError(f"{self._path} is being written by another run; let it end first") from error
        if self.progress.n_tickets == 0:
            self._progress_path.unlink(missing_ok=True)
        if not self._was_finished():
            if os.fstat(self._part.fileno()).st_size < self.progress.n_bytes:
                raise ResumeError(f"{self._part_path} is shorter than it was; start again without --resume")
            self._part.truncate(self.progress.n_bytes)
        self._checkpoint_at = time.monotonic() + self._checkpoint_seconds

    def append(self, content: bytes, *, n_tickets: int) -> None:
        """Add the bytes of the next ``n_tickets``; now and then, record what has reached the disk."""
        self._part.write(content)
        self._written = Progress(self._written.n_tickets + n_tickets, self._written.n_bytes + len(content))
        if time.monotonic() >= self._checkpoint_at:
            self._checkpoint(self._written)
            self._checkpoint_at = time.monotonic() + self._checkpoint_seconds

    def finish(self, convert: Callable[[Path, Path], None] | None = None) -> None:
        """Put the output in place: the part file itself, or what ``convert(part_path, new_path)`` makes of it."""
        if not self._was_finished():
            self._checkpoint(self._written)
            finished = self._part_path
            if convert:
                finished = self._path.with_name(f".{self._path.name}.converted")
                convert(self._part_path, finished)
                _sync(finished)
            self._checkpoint(replace(self._written, inode=finished.stat().st_ino))
            finished.replace(self._path)
            _sync(self._path.parent)
        self.discard()

    def discard(self) -> None:
        """Remove the part file and the notes about it."""
        self._progress_path.unlink(missing_ok=True)
        self._part_path.unlink(missing_ok=True)

    def _was_finished(self) -> bool:
        # Killed between the rename and the removal of the notes: the output is the very file that was to be renamed.
        inode = self.progress.inode
        return inode is not None and self._path.exists() and self._path.stat().st_ino == inode

    def _checkpoint(self, progress: Progress) -> None:
        self._part.flush()
        os.fsync(self._part.fileno())
        new = self._progress_path.with_name(f"{self._progress_path.name}.new")
        new.write_text(json.dumps({"identity": self._identity, "progress": asdict(progress)}), encoding="utf-8")
        _sync(new)
        new.replace(self._progress_path)

    def _read_progress(self) -> Progress | None:
        try:
            text = self._progress_path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        try:
            document = json.loads(text)
            found, progress = document["identity"], Progress(**document["progress"])
        except (KeyError, TypeError, ValueError) as error:
            raise ResumeError(f"{self._progress_path} is damaged; start again without --resume") from error
        differing = sorted(name for name in self._identity | found if self._identity.get(name) != found.get(name))
        if differing:
            raise ResumeError(
                f"{self._path} was begun with another {', '.join(differing)}; start again without --resume"
            )
        return progress


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

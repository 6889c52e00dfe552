"""``ACTIVE`` in the models directory: the one version that every process which shares the directory is to serve.

``POST /model/activate`` writes the file and operators may; what follows from it is left to ``app.serving.registry``.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final

from app.models.artifacts import ArtifactError, read_small
from app.models.versions import VersionName

ACTIVE_NAME: Final = "ACTIVE"
MAX_BYTES: Final = 1024
_MAX_QUOTED_CHARACTERS: Final = 40


class ActiveVersion:
    """The file: one line with a version, such as ``1.2.0``; empty lines and lines that begin with ``#`` are skipped."""

    def __init__(self, base_dir: Path) -> None:
        self.path = base_dir / ACTIVE_NAME

    def read(self) -> VersionName | None:
        """Return the version that the file names, None without a file; raise ``ArtifactError`` when it names none."""
        return self._parse(read_small(self.path, max_bytes=MAX_BYTES)) if os.path.lexists(self.path) else None

    def write(self, version: VersionName) -> None:
        """Name ``version``, in one step to all readers; raise ``OSError`` when the directory cannot be written."""
        write_whole(self.path, f"{version}\n".encode())

    def _parse(self, content: bytes) -> VersionName:
        lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
        named = [line for line in lines if line and not line.startswith("#")]
        if len(named) != 1:
            raise ArtifactError(f"{self.path} names {len(named)} versions, expected one, such as 1.2.0")
        try:
            return VersionName.parse(named[0])
        except ValueError:
            quoted = named[0][:_MAX_QUOTED_CHARACTERS]
            raise ArtifactError(f'{self.path} says "{quoted}", expected a version such as 1.2.0') from None


def write_whole(path: Path, content: bytes) -> None:
    """Write ``path`` so that a reader sees either what was there or all of ``content``; raise ``OSError``."""
    # The name begins with a dot, as those of unfinished versions do, so that no listing shows it.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise

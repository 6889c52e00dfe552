"""The models directory as the registry sees it: what should serve, and whether that has changed since the last look."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from app.models.artifacts import ArtifactError, list_versions, read_small, version_directory
from app.models.versions import VersionName
from app.serving.active_version import MAX_BYTES, ActiveVersion, write_whole

logger = logging.getLogger(__name__)

# Its content differs after each call to reload; operators may write anything new into it.
RELOAD_NAME: Final = "RELOAD"

# Name, size, time and inode of every file of a version: differs when the version may have been repaired.
Fingerprint = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Versions that may serve, best first, and why what should come before them cannot."""

    versions: list[VersionName]
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class View:
    """What the directory looked like: ``ACTIVE``, the last call to reload, the versions, the files of those refused."""

    active: bytes | str | None = None
    reload: bytes | str | None = None
    versions: tuple[VersionName, ...] = ()
    refused: Mapping[VersionName, Fingerprint] = field(default_factory=lambda: MappingProxyType({}))


class ModelsDirectory:
    """Answers from the disk each time; with ``pinned`` no other version is ever a candidate."""

    def __init__(self, path: Path, *, pinned: VersionName | None) -> None:
        self.path = path
        self.active = ActiveVersion(path)
        self._reload_path = path / RELOAD_NAME
        self.pinned = pinned

    def versions(self, *, warn: bool) -> list[VersionName]:
        """Return all versions, highest first, none when the directory cannot be read; warn about what is none."""
        try:
            return list_versions(self.path, warn=warn)
        except (OSError, RuntimeError) as error:
            if warn:
                logger.warning("the models directory cannot be read: %s", error)
            return []

    def candidates(self) -> Candidates:
        """Return what may serve: the pinned version alone, else the active one, then the releases."""
        if self.pinned is not None:
            return Candidates([self.pinned])
        releases = [version for version in self.versions(warn=True) if not version.prerelease]
        try:
            active = self.active.read()
        except ArtifactError as error:
            logger.warning("the active version is not known: %s", error)
            return Candidates(releases, [str(error)])
        if active is None:
            return Candidates(releases)
        return Candidates([active, *(version for version in releases if version != active)])

    def view(self, *, with_versions: bool, refused: Iterable[VersionName] = ()) -> View:
        """Look at what a choice depends on, which is less where a version is pinned."""
        is_free = self.pinned is None
        return View(
            active=_content(self.active.path) if is_free else None,
            reload=_content(self._reload_path),
            versions=tuple(self.versions(warn=False)) if is_free and with_versions else (),
            refused=MappingProxyType({version: self.fingerprint(version) for version in refused}),
        )

    def directory_of(self, version: VersionName) -> Path:
        """Return where ``version`` is; raise ``ArtifactError`` when it is a link that leads out."""
        return version_directory(self.path, version)

    def fingerprint(self, version: VersionName) -> Fingerprint:
        """Return what tells a repaired version from the one that was refused; empty when it is not there."""
        try:
            with os.scandir(self.path / version.directory_name) as entries:
                found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
        except OSError:
            return ()
        return tuple(sorted((name, status.st_size, status.st_mtime_ns, status.st_ino) for name, status in found))

    def call_for_reload(self) -> bytes:
        """Have every process that looks at the directory see a change, and return it; warn when that fails."""
        content = f"{secrets.token_hex()}\n".encode()
        try:
            write_whole(self._reload_path, content)
        except OSError as error:
            logger.warning(
                "other processes are not told to reload: %s is not writable: %s", RELOAD_NAME, error.strerror
            )
        return content


def _content(path: Path) -> bytes | str | None:
    if not os.path.lexists(path):
        return None
    try:
        return read_small(path, max_bytes=MAX_BYTES)
    except ArtifactError as error:
        return str(error)

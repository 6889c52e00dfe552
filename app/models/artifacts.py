"""A version directory as a value: list versions, write one whole or not at all, and hand out only verified bytes.

What the files mean is left to their readers. Nothing in here, or in what reads through here, can run code from a file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

from app.models.replacement import PARTIAL_SUFFIX, exclusive, put_in_place, restore, restore_all, settle
from app.models.versions import VersionName

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 1
_MAX_MANIFEST_BYTES = 1 << 20
_DIGEST_DIGITS = 12

logger = logging.getLogger(__name__)


class ArtifactError(Exception):
    """A version directory that must not be used; the message names the file, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What the manifest promises of one file."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a version by name, without the manifest itself, whose bytes are ``content``."""

    files: Mapping[str, FileEntry]
    content: bytes

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> Manifest:
        entries = {name: FileEntry(hashlib.sha256(files[name]).hexdigest(), len(files[name])) for name in files}
        document = {name: {"sha256": entry.sha256, "size": entry.size} for name, entry in sorted(entries.items())}
        content = json.dumps({"format": MANIFEST_FORMAT, "files": document}, indent=2) + "\n"
        return cls(MappingProxyType(entries), content.encode())

    @property
    def digest(self) -> str:
        """Return what tells this version's files from any others, also of the same version."""
        return digest_of(self.content)


def digest_of(content: bytes) -> str:
    """Return a short name for ``content``, which no other has."""
    return hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]


# Gets a version's directory and the bytes of its manifest; raises ``ArtifactError`` when it does not trust them.
ManifestCheck = Callable[[Path, bytes], None]


def trust_any_manifest(directory: Path, content: bytes) -> None:
    """Accept every manifest, signed or not: the check where no public key is set."""


def list_versions(base_dir: Path, *, warn: bool = True) -> list[VersionName]:
    """Return the versions under ``base_dir``, highest first, without looking into them.

    A directory that is not named ``vMAJOR.MINOR.PATCH``, what has such a name but is no directory, and a link that
    leads out of ``base_dir`` are ignored, with a warning each unless ``warn`` is false.
    """
    if not base_dir.is_dir():
        return []
    restore_all(base_dir)
    root = base_dir.resolve()
    versions = []
    for entry in base_dir.iterdir():
        if entry.name.startswith("."):
            continue
        version, is_directory = _version_named(entry.name), entry.is_dir()
        if version is None and not is_directory:
            continue
        if version is None:
            problem = "ignored a directory that is not named like v1.2.3"
        elif not is_directory:
            problem = "ignored what is named like a version but is no directory"
        elif not entry.resolve().is_relative_to(root):
            problem = "ignored a version that links out of the models directory"
        else:
            versions.append(version)
            continue
        if warn:
            logger.warning(problem, extra={"directory": entry.name[:256]})
    return sorted(versions, reverse=True)


def version_directory(base_dir: Path, version: VersionName) -> Path:
    """Return where ``version`` is, there or not; raise ``ArtifactError`` when it is a link that leads out."""
    directory = base_dir / version.directory_name
    try:
        leads_out = not directory.resolve().is_relative_to(base_dir.resolve())
    except (OSError, RuntimeError) as error:
        # Links in a circle are a RuntimeError before Python 3.13.
        raise ArtifactError(f"{directory} cannot be found: {error}") from error
    if leads_out:
        raise ArtifactError(f"{directory} is a link that leads out of the models directory")
    return directory


def read_manifest(directory: Path, check: ManifestCheck = trust_any_manifest) -> Manifest:
    """Read ``manifest.json``, let ``check`` judge its bytes, and parse them; raise ``ArtifactError`` when any fails."""
    restore(directory)
    if not directory.is_dir():
        raise ArtifactError(f"{directory} is not a directory: expected a model version such as models/v1.0.0")
    path = directory / MANIFEST_NAME
    content = read_small(path, max_bytes=_MAX_MANIFEST_BYTES)
    check(directory, content)
    try:
        document = json.loads(content)
        if document["format"] != MANIFEST_FORMAT:
            raise ArtifactError(f"{path} has format {document['format']!r}; this release reads {MANIFEST_FORMAT}")
        files = {name: FileEntry(str(e["sha256"]), int(e["size"])) for name, e in document["files"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ArtifactError(f"{path} is not a manifest: {type(error).__name__}: {error}") from error
    for name in files:
        if name == MANIFEST_NAME or name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
            raise ArtifactError(f"{path} names the file {name!r}, which is not a plain name in this directory")
    return Manifest(MappingProxyType(files), content)


def read_small(path: Path, *, max_bytes: int) -> bytes:
    """Read a plain file; raise ``ArtifactError`` when there is none, or when it is larger than ``max_bytes``."""
    try:
        with _open_regular(path) as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > max_bytes:
        raise ArtifactError(f"{path} is larger than the {max_bytes} bytes that it may have")
    return content


def verify(directory: Path, check: ManifestCheck = trust_any_manifest, *, whole: bool = True) -> Manifest:
    """Check every file of the manifest, size and SHA-256; raise ``ArtifactError`` naming the first that differs.

    Unless it must be ``whole``, files may be absent: whoever needs one misses it in ``read_verified``.
    """
    manifest = read_manifest(directory, check)
    for name in manifest.files:
        if whole or os.path.lexists(directory / name):
            read_verified(directory, manifest, name)
    return manifest


def read_verified(directory: Path, manifest: Manifest, name: str) -> memoryview:
    """Read a file and return its bytes after comparing them with the manifest.

    The bytes that were hashed are the bytes that are returned, and they are a copy: a file that is altered later, or
    cut off under a process that maps it, cannot change or end what serves.
    """
    if name not in manifest.files:
        raise ArtifactError(f"{directory / MANIFEST_NAME} does not list {name}, which this model needs")
    path, expected = directory / name, manifest.files[name]
    try:
        with _open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            content = file.read(expected.size) if size == expected.size else b""
    except (OSError, MemoryError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    if size != expected.size or len(content) != expected.size:
        raise ArtifactError(f"{path} has {size} bytes, the manifest says {expected.size}")
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected.sha256:
        raise ArtifactError(f"{path} has SHA-256 {digest}, the manifest says {expected.sha256}")
    return memoryview(content)


def write_version(directory: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write ``files`` and their manifest as ``directory``: complete or absent, whatever ends the process.

    A version that is replaced stays whole until the new one is there. Raise ``FileExistsError`` when the directory
    exists and ``force`` is false.
    """
    base_dir = directory.parent
    base_dir.mkdir(parents=True, exist_ok=True)
    with exclusive(base_dir) as base_fd:
        settle(base_dir)
        if directory.exists() and not force:
            raise FileExistsError(f"{directory} exists: choose another version, or replace it with --force")
        partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=PARTIAL_SUFFIX, dir=base_dir))
        try:
            partial.chmod(0o755)
            for name, content in {**files, MANIFEST_NAME: Manifest.of(files).content}.items():
                _write_durably(partial / name, content)
            _sync_directory(partial)
            put_in_place(partial, directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        os.fsync(base_fd)
        settle(base_dir)


def _version_named(name: str) -> VersionName | None:
    try:
        version = VersionName.parse(name)
    except ValueError:
        return None
    # ``1.2.3`` is a version too, but no directory of one.
    return version if version.directory_name == name else None


def _open_regular(path: Path) -> IO[bytes]:
    """Open a plain file; a link, a pipe or a device in its place could lead anywhere, or never end."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArtifactError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

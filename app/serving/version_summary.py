"""What the files of a version say to people who choose between versions; which one serves is left to the registry.

They come from wherever versions are made, so all that is read of them is bounded, and what is not as expected is left
out: a damaged file must not keep anybody from choosing another version.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from app.models.artifacts import (
    ArtifactError,
    Manifest,
    ManifestCheck,
    list_versions,
    read_manifest,
    read_verified,
    trust_any_manifest,
    version_directory,
)
from app.models.classifier import METADATA_NAME, PROMISED_PRECISION

if TYPE_CHECKING:
    from pathlib import Path

    from app.models.versions import VersionName

METRICS_NAME: Final = "metrics.json"
REPORT_NAME: Final = "report.html"
CARD_NAME: Final = "MODEL_CARD.md"

# What training writes is far below.
_MAX_BYTES: Final = 8 << 20
_MAX_HEADS: Final = 50
_MAX_NAME_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class MeasuredShare:
    """A share of tickets, with the interval in which it would lie for others like them, where that is known."""

    share: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class HeadSummary:
    """How well one head did on tickets that were kept out of training; None: not measured."""

    head: str
    n_tickets: int | None
    right: MeasuredShare | None
    answered_alone: float | None
    right_alone: MeasuredShare | None
    # Of its ``auto`` answers, what was aimed at.
    promised: float | None


@dataclass(frozen=True, slots=True)
class VersionSummary:
    """What is known of a version; ``problem`` says why it could not serve as it is."""

    version: VersionName
    trained_at: datetime | None = None
    n_tickets: int | None = None
    heads: tuple[HeadSummary, ...] = ()
    has_report: bool = False
    has_card: bool = False
    problem: str | None = None

    @property
    def is_measured(self) -> bool:
        return any(head.right is not None or head.right_alone is not None for head in self.heads)


class VersionShelf:
    """The versions of a models directory, read from the disk each time."""

    def __init__(self, base_dir: Path, *, check_manifest: ManifestCheck = trust_any_manifest) -> None:
        self._base_dir = base_dir
        self._check_manifest = check_manifest

    def versions(self) -> list[VersionName]:
        """Return those that are there, highest first; none when the directory cannot be read."""
        try:
            return list_versions(self._base_dir, warn=False)
        except (OSError, RuntimeError):
            return []

    def summary(self, version: VersionName) -> VersionSummary:
        """Return what the files of ``version`` say, as far as they can be trusted."""
        try:
            directory = version_directory(self._base_dir, version)
            manifest = read_manifest(directory, self._check_manifest)
            metadata = _object(_read(directory, manifest, METADATA_NAME))
            metrics = _object(_read(directory, manifest, METRICS_NAME))
        except (ArtifactError, OSError) as error:
            return VersionSummary(version, problem=self._without_place(str(error)))
        return VersionSummary(
            version,
            trained_at=_time(metadata.get("trained_at")),
            n_tickets=_count(_inner(metadata, "split").get("n_tickets")),
            heads=_heads(metadata, metrics),
            has_report=_is_there(directory, manifest, REPORT_NAME),
            has_card=_is_there(directory, manifest, CARD_NAME),
        )

    def document(self, version: VersionName, name: str) -> bytes | None:
        """Return a file of ``version`` as training wrote it, None if it is not there.

        Raise ``ArtifactError`` for a version that is not there or not trusted, and for a file that was altered.
        """
        directory = version_directory(self._base_dir, version)
        try:
            return _read(directory, read_manifest(directory, self._check_manifest), name)
        except (ArtifactError, OSError) as error:
            raise ArtifactError(self._without_place(str(error))) from error

    def _without_place(self, reason: str) -> str:
        # Where the models directory is on this machine is nobody else's business.
        return reason.replace(f"{self._base_dir}/", "")


def _is_there(directory: Path, manifest: Manifest, name: str) -> bool:
    return name in manifest.files and os.path.lexists(directory / name)


def _read(directory: Path, manifest: Manifest, name: str) -> bytes | None:
    if not _is_there(directory, manifest, name):
        return None
    if manifest.files[name].size > _MAX_BYTES:
        raise ArtifactError(f"{directory / name} is larger than the {_MAX_BYTES} bytes that are shown")
    return bytes(read_verified(directory, manifest, name))


def _object(content: bytes | None) -> dict[str, object]:
    try:
        value = None if content is None else json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _heads(metadata: dict[str, object], metrics: dict[str, object]) -> tuple[HeadSummary, ...]:
    promised = _inner(metadata, PROMISED_PRECISION)
    measured = [head for head, figures in metrics.items() if isinstance(figures, dict)]
    return tuple(
        _head(head, _inner(metrics, head), promised.get(head))
        for head in list(dict.fromkeys([*promised, *measured]))[:_MAX_HEADS]
        if len(head) <= _MAX_NAME_CHARACTERS
    )


def _head(head: str, figures: dict[str, object], promised: object) -> HeadSummary:
    auto = _inner(_inner(figures, "decisions"), "auto")
    return HeadSummary(
        head,
        n_tickets=_count(figures.get("n_tickets")),
        right=_measured(_inner(figures, "summary").get("accuracy"), _inner(figures, "intervals").get("accuracy")),
        answered_alone=_share(auto.get("coverage")),
        right_alone=_measured(auto.get("precision"), auto.get("precision_interval")),
        promised=_share(promised),
    )


def _measured(value: object, interval: object) -> MeasuredShare | None:
    share = _share(value)
    if share is None:
        return None
    bounds = [_share(bound) for bound in interval] if isinstance(interval, list) else []
    low, high = bounds if len(bounds) == 2 and None not in bounds else (None, None)  # noqa: PLR2004 - an interval
    return MeasuredShare(share, low, high)


def _inner(document: dict[str, object], key: str) -> dict[str, object]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _share(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= 1 else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        return None if time is None else time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None

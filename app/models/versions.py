"""Names of model versions and their order, after Semantic Versioning 2.0.0 (https://semver.org, sections 9 to 11)."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Self

_NUMBER = r"(0|[1-9][0-9]{0,8})"
VERSION_PATTERN = rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class VersionName:
    """``MAJOR.MINOR.PATCH`` with an optional pre-release; ordered by number, a release above its pre-releases."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``1.10.0``, ``v1.10.0`` or ``1.10.0-rc.1``; raise ``ValueError`` for anything else."""
        match = re.fullmatch(VERSION_PATTERN, text)
        if match is None:
            raise ValueError(f'version "{text}" is not MAJOR.MINOR.PATCH, such as 1.10.0 or 1.10.0-rc.1')
        major, minor, patch, prerelease = match.groups()
        return cls(int(major), int(minor), int(patch), prerelease or "")

    @property
    def directory_name(self) -> str:
        return f"v{self}"

    def __str__(self) -> str:
        core = f"{self.major}.{self.minor}.{self.patch}"
        return f"{core}-{self.prerelease}" if self.prerelease else core

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, VersionName):
            return NotImplemented
        return self._precedence() < other._precedence()

    def _precedence(self) -> tuple[int, int, int, bool, list[tuple[bool, int, str]]]:
        # Numeric identifiers compare as numbers and come before alphanumeric ones; fewer identifiers come first.
        identifiers = [
            (False, int(part), "") if part.isdecimal() else (True, 0, part) for part in self.prerelease.split(".")
        ]
        return self.major, self.minor, self.patch, not self.prerelease, identifiers

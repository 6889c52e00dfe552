"""Bump the project's version, in app/__init__.py and pyproject.toml, and close the changelog's Unreleased section."""

from __future__ import annotations

import argparse
import re
import subprocess  # nosec B404
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

VERSION_FILES = {
    "app/__init__.py": re.compile(r'^__version__ = "(\d+\.\d+\.\d+)"$', re.MULTILINE),
    "pyproject.toml": re.compile(r'^version = "(\d+\.\d+\.\d+)"$', re.MULTILINE),
}
CHANGELOG = "CHANGELOG.md"
_UNRELEASED = re.compile(r"^## \[Unreleased\]\n(.*?)(?=^## \[|\Z)", re.MULTILINE | re.DOTALL)
_PARTS = ("major", "minor", "patch")

_EPILOG = """\
app/__init__.py holds the version that the service reports; pyproject.toml repeats it, and both must agree. In
CHANGELOG.md, what is under Unreleased becomes the section of the new version with today's date (UTC); an empty
Unreleased is refused, because a release needs something to say. The version of a model is another matter: train.py
--version.

Refused when one of the three files has changes that are not committed, so that the bump can be undone with
git checkout; --allow-dirty overrules that. Nothing is committed or tagged.

Exit codes: 0 done, 1 a file could not be written, 2 refused.
"""


class RefusedError(Exception):
    """The state of the files does not allow a bump; the message says what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        old, new = bump(
            arguments.root, arguments.part, today=datetime.now(UTC).date(), allow_dirty=arguments.allow_dirty
        )
    except RefusedError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
        return 1
    print(f"{old} -> {new}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=_PARTS)
    parser.add_argument("--allow-dirty", action="store_true", help="also when the files have uncommitted changes")
    parser.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        default=Path(__file__).resolve().parents[1],
        help="the project; default: the one this script is in",
    )
    return parser


def bump(root: Path, part: str, *, today: date, allow_dirty: bool = False) -> tuple[str, str]:
    """Write the new version and return the old and the new one; raise ``RefusedError`` with nothing written."""
    texts = {name: _read(root / name) for name in (*VERSION_FILES, CHANGELOG)}
    old = _current(texts)
    new = next_version(old, part)
    for name, pattern in VERSION_FILES.items():
        texts[name] = pattern.sub(lambda match: match[0].replace(old, new), texts[name], count=1)
    texts[CHANGELOG] = close_unreleased(texts[CHANGELOG], new, today)
    if not allow_dirty:
        _refuse_changes(root, list(texts))
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    return old, new


def next_version(version: str, part: str) -> str:
    """Raise one number of ``MAJOR.MINOR.PATCH`` and set those after it to 0."""
    numbers = [int(number) for number in version.split(".")]
    position = _PARTS.index(part)
    return ".".join(map(str, [*numbers[:position], numbers[position] + 1, *[0] * (len(_PARTS) - 1 - position)]))


def close_unreleased(changelog: str, version: str, today: date) -> str:
    """Move what is under Unreleased to a section of its own; raise ``RefusedError`` when there is nothing."""
    section = _UNRELEASED.search(changelog)
    if section is None:
        raise RefusedError(f'{CHANGELOG} has no line "## [Unreleased]"')
    if f"## [{version}]" in changelog:
        raise RefusedError(f"{CHANGELOG} has a section [{version}] already")
    if not re.search(r"^[-*] ", section[1], re.MULTILINE):
        raise RefusedError(f"{CHANGELOG} has nothing under Unreleased; write there what this release changes")
    released = f"## [Unreleased]\n\n## [{version}] - {today.isoformat()}\n{section[1]}"
    return changelog[: section.start()] + released + changelog[section.end() :]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RefusedError(f"{path} does not exist; name the project with --root") from error


def _current(texts: dict[str, str]) -> str:
    found = {}
    for name, pattern in VERSION_FILES.items():
        match = pattern.search(texts[name])
        if match is None:
            raise RefusedError(f"{name} has no version of the form MAJOR.MINOR.PATCH")
        found[name] = match[1]
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} has {version}" for name, version in found.items())
        raise RefusedError(f"the versions differ: {listed}; make them equal first")
    return next(iter(found.values()))


def _refuse_changes(root: Path, names: list[str]) -> None:
    try:
        status = subprocess.run(  # noqa: S603 # nosec B603 B607
            ["git", "status", "--porcelain", "--", *names],  # noqa: S607
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise RefusedError(f"{root} is not under git, or git is missing; use --allow-dirty") from error
    if status.stdout.strip():
        changed = ", ".join(line[3:] for line in status.stdout.splitlines())
        raise RefusedError(f"not committed: {changed}; commit first, or use --allow-dirty")


if __name__ == "__main__":
    sys.exit(main())

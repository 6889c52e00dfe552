"""Virtual environments of helpdesks: made once, from a locked list, for all tests of this checkout."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

ENVIRONMENTS = ROOT / ".venvs"
_INSTALL_SECONDS = 300


class InstallationError(Exception):
    """An environment that could not be made; the message is what pip said."""


def python_of(lock: Path) -> Path:
    """Return the interpreter of the environment of a locked list, after making it if need be.

    It counts as made only when everything is in it: an interrupted installation is begun anew, and so is one of another
    list. Of tests that run side by side one makes it, and the others wait.
    """
    directory = ENVIRONMENTS / f"{lock.stem}-{sys.version_info.major}.{sys.version_info.minor}"
    ENVIRONMENTS.mkdir(exist_ok=True)
    python, stamp = directory / "bin" / "python", directory / ".installed"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    with directory.with_suffix(f"{directory.suffix}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
            _run("venv", "--clear", "--without-pip", str(directory))
            options = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes")
            _run("pip", "--python", str(python), "install", *options, "--requirement", str(lock))
            stamp.write_text(wanted, encoding="utf-8")
    return python


def python_or_skip(lock: Path) -> Path:
    """Return what ``python_of`` does; if it cannot, skip the tests, or fail where ``CI`` is set and they must run."""
    try:
        return python_of(lock)
    except InstallationError as error:
        reason = f"{lock.stem} cannot be installed: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


def _run(*command: str) -> None:
    try:
        subprocess.run(
            [sys.executable, "-m", *command], check=True, timeout=_INSTALL_SECONDS, capture_output=True, text=True
        )
    except subprocess.CalledProcessError as error:
        raise InstallationError(error.stderr.strip()[-2000:] or f"exit code {error.returncode}") from error
    except subprocess.TimeoutExpired as error:
        raise InstallationError(f"not done in {_INSTALL_SECONDS} s") from error

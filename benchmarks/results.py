"""What is kept of a measurement: one shape of file for all, with the command, day, commit and machine it came from.

A file has these as ``command``, ``date``, ``commit``, ``uncommitted_changes`` and ``machine``, and under ``measured``
what the command found.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

from benchmarks.measuring import ROOT

RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where figures come from; ``machine`` has what they depend on, and nothing that would name it."""

    command: str
    date: str
    commit: str
    uncommitted_changes: bool
    machine: Mapping[str, object]

    @classmethod
    def now(cls) -> Self:
        """Return the origin of what is measured next: to be asked for before, for the sake of the load average."""
        return cls(
            command=_command(),
            date=datetime.now(UTC).date().isoformat(),
            commit=_git("rev-parse", "HEAD"),
            # Pages and results change while several are measured one after the other; no figure depends on them.
            uncommitted_changes=bool(
                _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!*.md", ":!benchmarks/results")
            ),
            machine=_machine(),
        )

    def keep(self, directory: Path, name: str, measured: Mapping[str, object]) -> None:
        """Write ``name.json``."""
        directory.mkdir(parents=True, exist_ok=True)
        document = {**asdict(self), "measured": measured}
        (directory / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Result:
    origin: Origin
    measured: Mapping[str, Any]


def read_result(path: Path) -> Result:
    """Return what :meth:`Origin.keep` wrote; ``TypeError`` or ``KeyError`` for a file of another shape."""
    document = json.loads(path.read_text(encoding="utf-8"))
    measured = document.pop("measured")
    return Result(Origin(**document), measured)


def add_keep_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--keep",
        type=Path,
        nargs="?",
        const=RESULTS,
        metavar="DIRECTORY",
        help="keep the figures there as JSON, with command, day, commit and machine (benchmarks/results)",
    )


def _command() -> str:
    return shlex.join(["python", *map(_without_the_machine, sys.orig_argv[1:])])


def _without_the_machine(word: str) -> str:
    """Return ``word``, or of a path that begins at the root of the machine what is inside the project, or its end."""
    path = Path(word)
    if not path.is_absolute():
        return word
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def _machine() -> dict[str, object]:
    cpu_lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    cpu = next((line.partition(":")[2].strip() for line in cpu_lines if line.startswith("model name")), "unknown")
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "scikit-learn", "fastapi", "uvicorn")},
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip()

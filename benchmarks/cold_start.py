"""From the start of a process to a service that answers, and what it loaded on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import ROOT, Figure, Subject
from benchmarks.service import running_service

_NOT_FOR_SERVING = ("sklearn", "scipy", "pandas", "joblib", "pyarrow")
_LOADED = """
import json, sys
from pathlib import Path
import app.main
from app.models.classifier import TicketClassifier
TicketClassifier.load(Path(sys.argv[1])).predict("Server down", "for all users")
print(json.dumps([name for name in sys.argv[2:] if name in sys.modules]))
"""


def measure(subject: Subject) -> list[Figure]:
    models_dir = subject.model_directory.parent
    _seconds_to_ready(models_dir)
    seconds = tuple(_seconds_to_ready(models_dir) for _ in range(subject.rounds))
    return [
        Figure("process start to ready", "s", seconds, at_most=0.8),
        Figure(
            f"of {', '.join(_NOT_FOR_SERVING)}, imported",
            "packages",
            (float(len(_imported(subject.model_directory))),),
            at_most=0,
        ),
    ]


def _seconds_to_ready(models_dir: Path) -> float:
    with running_service(models_dir) as service:
        return service.seconds_to_ready


def _imported(model_directory: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, str(model_directory.resolve()), *_NOT_FOR_SERVING],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported: list[str] = json.loads(done.stdout.splitlines()[-1])
    return imported

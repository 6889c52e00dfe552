"""A file of tickets that trains in a second, and the command that trains."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from data.generate_dataset import generate

ROOT = Path(__file__).parents[2]
COLUMNS = ("title", "description", "priority", "department")

RunTrain = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def records() -> list[dict[str, str]]:
    return [
        {"title": t.title, "description": t.description, "priority": t.priority, "department": t.department}
        for t in generate(160, seed=7)
    ]


def write_csv(path: Path, records: Sequence[dict[str, str]], *, encoding: str = "utf-8", delimiter: str = ",") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(records)
    return path


@pytest.fixture
def tickets_csv(tmp_path: Path, records: list[dict[str, str]]) -> Path:
    return write_csv(tmp_path / "tickets.csv", records)


@pytest.fixture
def run_train(tmp_path: Path) -> RunTrain:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "train.py", "--models-dir", str(tmp_path / "models"), *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "SOURCE_DATE_EPOCH": "1700000000"},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    return run

"""The benchmark command measures the service, prints its table, and keeps its figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.results import read_result

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parent.parent


def test_the_benchmark_prints_a_table_and_keeps_the_figures_of_each_round_with_their_origin(tmp_path: Path) -> None:
    arguments = ["--rounds", "1", "--only", "cold_start", "--keep", str(tmp_path)]

    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert run.returncode == 0, run.stderr
    assert "process start to ready" in run.stdout
    result = read_result(tmp_path / "cold_start.json")
    assert [len(figure["values"]) for figure in result.measured["figures"]] == [1, 1]
    assert result.origin.command == f"python -m benchmarks --rounds 1 --only cold_start --keep {tmp_path.name}"
    assert str(tmp_path.parent) not in (tmp_path / "cold_start.json").read_text(encoding="utf-8")

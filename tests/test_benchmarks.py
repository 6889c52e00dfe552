"""The benchmark command measures the service, prints its table, and keeps its figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.alone

ROOT = Path(__file__).parent.parent


def test_the_benchmark_prints_a_table_for_a_page_and_keeps_the_figures_of_each_round(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    arguments = ["--rounds", "1", "--only", "cold_start", "--markdown", "--output", str(output)]

    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )

    assert run.returncode == 0, run.stderr
    assert re.search(r"^\| process start to ready \| [\d.]+ s \| .* \| at most 0\.8\b.* \|$", run.stdout, re.MULTILINE)
    document = json.loads(output.read_text(encoding="utf-8"))
    assert {"machine", "model_version", "rounds", "figures"} <= document.keys()
    assert [len(figure["values"]) for figure in document["figures"]["cold_start"]] == [1, 1]

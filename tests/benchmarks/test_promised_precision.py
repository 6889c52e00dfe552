"""The share of splits that keep a promise is counted on tickets that chose nothing, and stored as every figure is."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks.promised_precision import main
from data.generate_dataset import generate


@pytest.mark.once
def test_each_split_is_counted_for_each_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / "cfpb5-train.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("description", "department"))
        writer.writerows((t.description or t.title, t.department) for t in generate(300, seed=2))

    assert main([str(tmp_path), "--only", "cfpb5", "--splits", "3", "--keep", str(tmp_path)]) == 0

    found = json.loads((tmp_path / "promised_precision.json").read_text(encoding="utf-8"))["measured"]["sets"]["cfpb5"]
    assert [(one["split"], one["target"]) for one in found] == [
        (f"random {number}", target) for number in range(3) for target in (0.95, 0.9)
    ]
    for one in found:
        assert one["kept"] == (one["precision"] is None or one["precision"] >= one["target"])
        assert (one["precision"] is None) == (one["coverage"] == 0)
    assert "| cfpb5, department | 0.95 |" in capsys.readouterr().out


def test_a_set_that_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--only", "banking77"]) == 2
    assert "banking77-train.csv" in capsys.readouterr().err

"""Thresholds hold for domains that a model learned nothing of, and on tickets that are kept for that alone."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from data.generate_dataset import generate
from tests.training.conftest import RunTrain

ROWS = list(generate(900, seed=4))


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("title", "description", "department", "situation", "office"), *rows])
    return path


def row(number: int, office: str, department: str | None = None) -> tuple[str, ...]:
    ticket = ROWS[number]
    return ticket.title, ticket.description, department or ticket.department, ticket.situation, office


@pytest.fixture
def offices(tmp_path: Path) -> Path:
    return write(tmp_path / "offices.csv", [row(i, ("north", "south", "east")[i % 3]) for i in range(600)])


def figures_of(models: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    version = models / "v1.0.0"
    metrics, metadata = (json.loads((version / name).read_text()) for name in ("metrics.json", "model_metadata.json"))
    return metrics["department"], metadata


@pytest.mark.slow
def test_each_domain_is_measured_by_models_without_it_and_told_of(
    offices: Path, tmp_path: Path, run_train: RunTrain
) -> None:
    done = run_train("--data", offices, "--targets", "department", "--domain", "office", "--version", "1.0.0")

    assert done.returncode == 0, done.stderr
    figures, _ = figures_of(tmp_path / "models")
    assert set(figures["auto_elsewhere"]) == {"north", "south", "east"}
    assert figures["thresholds"]["coverage_without_elsewhere"] >= figures["decisions_out_of_fold"]["auto"]["coverage"]
    report = (tmp_path / "models" / "v1.0.0" / "report.html").read_text()
    has_acted = any(auto["n_tickets"] for auto in figures["auto_elsewhere"].values())
    assert ("domains that a model had learned nothing of" in report) == has_acted


@pytest.mark.slow
def test_tickets_kept_for_calibration_change_thresholds_and_no_weight(
    offices: Path, tmp_path: Path, run_train: RunTrain
) -> None:
    # Of these every second label is wrong, so that nothing may be acted on.
    labels = ("Sales", "Billing", "Tech Support")
    kept = write(
        tmp_path / "kept.csv", [row(i, "west", labels[i // 2 % 3] if i % 2 else None) for i in range(600, 900)]
    )
    command = ("--data", offices, "--targets", "department", "--target-precision", "0.6", "--version", "1.0.0")

    assert run_train(*command).returncode == 0
    before, _ = figures_of(tmp_path / "models")
    vocabulary = (tmp_path / "models" / "v1.0.0" / "vocabulary.txt").read_bytes()
    done = run_train(*command, "--calibrate-on", kept, "--force")

    assert done.returncode == 0, done.stderr
    after, metadata = figures_of(tmp_path / "models")
    assert metadata["calibration"]["n_tickets"] == 300
    assert (tmp_path / "models" / "v1.0.0" / "vocabulary.txt").read_bytes() == vocabulary
    assert after["summary"] == before["summary"]
    assert after["calibration_out_of_fold"]["temperature"] > before["calibration_out_of_fold"]["temperature"]
    assert after["decisions_out_of_fold"]["auto"]["coverage"] < before["decisions_out_of_fold"]["auto"]["coverage"]


def test_a_label_that_nobody_learned_is_refused(offices: Path, tmp_path: Path, run_train: RunTrain) -> None:
    kept = write(tmp_path / "kept.csv", [row(700, "west"), row(701, "west", "Legal")])

    done = run_train("--data", offices, "--targets", "department", "--calibrate-on", kept)

    assert done.returncode == 2
    assert "row 3" in done.stderr
    assert '"Legal"' in done.stderr


def test_tickets_to_train_on_calibrate_nothing(offices: Path, run_train: RunTrain) -> None:
    done = run_train("--data", offices, "--targets", "department", "--calibrate-on", offices)

    assert done.returncode == 2
    assert "is among those to train on" in done.stderr


def test_a_domain_is_a_column_of_data(run_train: RunTrain) -> None:
    done = run_train("--rows", "120", "--domain", "office")

    assert done.returncode == 2
    assert '"office"' in done.stderr

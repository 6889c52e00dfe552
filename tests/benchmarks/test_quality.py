"""The quality benchmark counts as it says, and fills its table into a page without touching the rest of it."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from app.training.thresholds.calibration import expected_calibration_error
from benchmarks import quality
from benchmarks.quality_figures import (
    Answers,
    Figure,
    accuracy,
    auto_precision,
    calibration_error,
    coverage,
    macro_f1,
    markdown,
    outside_auroc,
)

_ACCURACY = {"measure": "accuracy", "value": 0.8031, "interval": [0.78, 0.826], "at_least": 0.78, "at_most": None}
_ERROR = {"measure": "calibration error", "value": 0.03, "interval": [0.02, 0.04], "at_least": None, "at_most": 0.015}
RESULTS = {"cfpb5": {"date": "2031-07-09", "figures": [{**_ACCURACY, "met": True}, {**_ERROR, "met": False}]}}


def some_answers(n: int = 500) -> tuple[Answers, np.ndarray]:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet((0.5, 0.5, 0.5), size=n)
    truth = (probabilities.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    confidence = probabilities.max(axis=1)
    return Answers(("a", "b", "c"), truth, probabilities.argmax(axis=1), confidence, confidence > 0.8), probabilities


def test_each_figure_is_inside_its_interval_and_what_its_name_says() -> None:
    answers, probabilities = some_answers()
    right = answers.predicted == answers.truth

    figures = [accuracy(answers), macro_f1(answers), coverage(answers), auto_precision(answers)]

    assert figures[0].value == right.mean()
    assert figures[2].value == answers.is_auto.mean()
    assert figures[3].value == right[answers.is_auto].mean()
    assert calibration_error(answers).value == pytest.approx(expected_calibration_error(probabilities, answers.truth))
    for figure in figures:
        assert figure.interval[0] < figure.value < figure.interval[1]


def test_confidence_that_tells_outsiders_from_insiders_has_an_auroc_of_one() -> None:
    inside, _ = some_answers()
    outside = Answers(inside.labels, inside.truth, inside.predicted, np.full(500, 0.01), inside.is_auto)

    assert outside_auroc(inside, outside).value == 1.0
    mixed = outside_auroc(inside, inside)
    assert mixed.value == roc_auc_score([1] * 500 + [0] * 500, np.tile(inside.confidence, 2)) == 0.5
    assert mixed.interval[0] < 0.5 < mixed.interval[1]


def test_a_reach_is_met_from_its_bound_on() -> None:
    assert Figure("accuracy", 0.9, (0.8, 1.0), at_least=0.9).is_met
    assert not Figure("accuracy", 0.89, (0.8, 1.0), at_least=0.9).is_met
    assert not Figure("expected calibration error", 0.02, (0.0, 0.1), at_most=0.015).is_met
    assert Figure("accuracy", 0.9, (0.8, 1.0)).is_met is None


def test_the_table_says_what_is_not_met() -> None:
    rows = markdown(RESULTS).splitlines()[2:]

    assert rows[0].endswith("| accuracy | 0.803 | 0.780 to 0.826 | at least 0.78 | met |")
    assert rows[1].endswith("| at most 0.015 | **not met** |")


def test_the_page_is_filled_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- quality:begin -->\nold\n<!-- quality:end -->\nafter\n", encoding="utf-8")

    for _ in range(2):
        quality.fill(page, RESULTS)

    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- quality:begin -->\n| set |")
    assert text.endswith("on 2031-07-09.\n<!-- quality:end -->\nafter\n")
    assert "\nold\n" not in text


def test_a_page_without_marks_stays_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("no marks\n", encoding="utf-8")

    quality.fill(page, RESULTS)

    assert page.read_text(encoding="utf-8") == "no marks\n"


def test_a_directory_without_the_files_ends_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = quality.main([str(tmp_path), "--only", "it-tickets", "--output", str(tmp_path / "quality.json")])

    assert code == 2
    assert "it-tickets-train.csv does not exist" in capsys.readouterr().err
    assert not (tmp_path / "quality.json").exists()

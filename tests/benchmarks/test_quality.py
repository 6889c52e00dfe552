"""The quality benchmark counts as it says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from app.training.intake.labelled_tickets import Tickets
from app.training.thresholds.calibration import expected_calibration_error
from benchmarks import quality
from benchmarks.other_classifiers import answers_of_others
from benchmarks.quality_figures import (
    Answers,
    Figure,
    accuracy,
    auto_precision,
    calibration_error,
    coverage,
    macro_f1,
    outside_auroc,
)


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


@pytest.mark.once
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


def test_a_directory_without_the_files_ends_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = quality.main([str(tmp_path), "--only", "it-tickets", "--keep", str(tmp_path / "kept")])

    assert code == 2
    assert "it-tickets-train.csv does not exist" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()


def test_what_others_make_of_the_same_tickets_stands_beside_accuracy() -> None:
    answers, _ = some_answers()
    beside = replace(answers, by_others={"perfect": answers.truth, "always the first": np.zeros(500, np.int64)})

    figure = accuracy(beside)

    assert figure.value == accuracy(answers).value
    assert figure.by_others == {"perfect": 1.0, "always the first": np.mean(answers.truth == 0)}
    assert Answers.joined([beside, beside]).by_others["perfect"].tolist() == [*answers.truth, *answers.truth]


@pytest.mark.parametrize("name", ["scikit-learn", "fastText"])
def test_others_learn_from_the_tickets_with_a_label_and_answer_all_of_the_others(name: str) -> None:
    train, test = (
        tickets_of(["printer jam", "invoice wrong", "no label"] * 20, ["IT", "Billing", ""] * 20),
        tickets_of(["a jam in the printer", "this invoice is wrong", "printer"], [""] * 3),
    )

    answered = answers_of_others(train, test, "department")

    if name not in answered:
        pytest.skip("fasttext-numpy2-wheel is not installed")
    assert answered[name] == ["IT", "Billing", "IT"]


def tickets_of(texts: list[str], labels: list[str]) -> Tickets:
    return Tickets([""] * len(texts), texts, {"department": labels}, None, "", ())

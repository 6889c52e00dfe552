"""Figures that are what they say: against scikit-learn, against simulation, and against cases that are known."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score

from app.models.decisions import OperatingPoint
from app.training.fitting.scores import scores_of_counts
from app.training.measuring.bootstrap import HeldOut, bootstrap_scores, interval, score_interval
from app.training.measuring.evaluation import by_length, decisions_of, evaluate_head, reliability_bins, wilson_interval
from app.training.measuring.learning_curve import learning_curve
from app.training.thresholds.confidence_counts import Answered

Positions = NDArray[np.int64]


def right_with_probability(share: float, *, n: int, n_labels: int, seed: int) -> tuple[Positions, Positions]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, n_labels, n)
    other = (truth + random.integers(1, n_labels, n)) % n_labels
    return truth, np.where(random.random(n) < share, truth, other)


def one_hot(predicted: Positions, n_labels: int, confidence: float = 0.9) -> NDArray[np.float64]:
    probabilities = np.full((len(predicted), n_labels), (1 - confidence) / (n_labels - 1))
    probabilities[np.arange(len(predicted)), predicted] = confidence
    return probabilities


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_accuracy_and_macro_f1_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    scores = scores_of_counts(HeldOut(truth, truth, 5).confusion(predicted)[np.newaxis])
    assert scores.accuracy[0] == pytest.approx(accuracy_score(truth, predicted))
    assert scores.macro_f1[0] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))


def test_the_bootstrap_agrees_with_drawing_tickets_one_by_one() -> None:
    truth, predicted = right_with_probability(0.8, n=300, n_labels=4, seed=1)
    scores = bootstrap_scores(predicted, HeldOut(truth, np.arange(300), 4), seed=2)
    random = np.random.default_rng(3)
    drawn = [random.integers(0, 300, 300) for _ in range(1000)]
    by_hand = [f1_score(truth[i], predicted[i], average="macro", labels=range(4)) for i in drawn]
    np.testing.assert_allclose(interval(scores.macro_f1), interval(np.array(by_hand)), atol=0.01)
    np.testing.assert_allclose(
        interval(scores.accuracy), interval((truth == predicted)[np.array(drawn)].mean(axis=1)), atol=0.01
    )


def test_the_interval_covers_the_true_accuracy_about_95_times_of_100() -> None:
    covered = 0
    for seed in range(100):
        truth, predicted = right_with_probability(0.7, n=200, n_labels=3, seed=seed)
        low, high = interval(bootstrap_scores(predicted, HeldOut(truth, np.arange(200), 3), seed=seed).accuracy)
        covered += low <= 0.7 <= high
    assert 88 <= covered <= 100


def test_without_an_error_among_the_groups_the_interval_still_allows_for_one() -> None:
    truth = np.arange(60) % 2
    held_out = HeldOut(truth, np.arange(60) // 3, 2)

    low, high = score_interval(bootstrap_scores(truth, held_out, seed=1).accuracy, held_out)

    assert (low, high) == (pytest.approx(0.025 ** (1 / 20)), 1.0)


def test_tickets_that_are_right_or_wrong_together_make_the_interval_wider() -> None:
    truth, predicted = right_with_probability(0.8, n=100, n_labels=3, seed=4)
    truth, predicted = np.repeat(truth, 10), np.repeat(predicted, 10)
    single = interval(bootstrap_scores(predicted, HeldOut(truth, np.arange(1000), 3), seed=5).accuracy)
    grouped = interval(bootstrap_scores(predicted, HeldOut(truth, np.arange(1000) // 10, 3), seed=5).accuracy)
    assert grouped[1] - grouped[0] > 2 * (single[1] - single[0])


def test_a_thousand_resamples_of_many_tickets_and_labels_take_seconds() -> None:
    truth, predicted = right_with_probability(0.8, n=20_000, n_labels=77, seed=6)
    start = time.process_time()
    assert len(bootstrap_scores(predicted, HeldOut(truth, np.arange(20_000), 77), seed=7).accuracy) == 1000
    assert time.process_time() - start < 30


def test_a_label_that_no_held_out_ticket_has_does_not_count_in_macro_f1() -> None:
    truth = np.array([0, 0, 1, 1])
    probabilities = one_hot(np.array([0, 0, 1, 0]), 3)
    figures = evaluate_head(probabilities, HeldOut(truth, np.arange(4), 3), "abc", n_words=np.full(4, 9), seed=1)
    assert figures["summary"]["macro_f1"] == pytest.approx(f1_score(truth, [0, 0, 1, 0], average="macro"))
    assert figures["per_class"]["c"]["support"] == 0
    assert figures["baselines"] == {"majority_accuracy": 0.5, "prior_accuracy": 0.5}


def test_bins_and_lengths_have_every_ticket_once() -> None:
    random = np.random.default_rng(8)
    probabilities = random.dirichlet(np.ones(3), 500)
    truth, n_words = random.integers(0, 3, 500), random.integers(0, 300, 500)
    bins, bands = reliability_bins(probabilities, truth), by_length(probabilities, truth, n_words)
    assert sum(b["n_tickets"] for b in bins) == sum(b["n_tickets"] for b in bands) == 500
    error = sum(b["n_tickets"] / 500 * abs(b["accuracy"] - b["confidence"]) for b in bins)
    figures = evaluate_head(probabilities, HeldOut(truth, np.arange(500), 3), "abc", n_words=n_words, seed=1)
    assert error == pytest.approx(figures["calibration"]["expected_calibration_error"])
    in_band = (n_words >= 6) & (n_words < 16)
    band = next(band for band in bands if band["words"] == "6 to 15")
    assert band["accuracy"] == pytest.approx((probabilities.argmax(axis=1) == truth)[in_band].mean())


def test_decisions_are_counted_with_what_was_right_among_them() -> None:
    probabilities = np.array([[0.95, 0.05], [0.9, 0.1], [0.7, 0.3], [0.52, 0.48], [0.1, 0.9]])
    points = {"a": OperatingPoint(0.8, 0.6), "b": OperatingPoint(None, None)}
    answered = Answered.of(probabilities, np.array([0, 1, 0, 0, 1]), ambiguity_margin=0.1)
    counted = decisions_of(answered.counts("ab"), points)
    assert (counted["auto"]["n_tickets"], counted["auto"]["precision"]) == (2, 0.5)
    assert (counted["suggest"]["n_tickets"], counted["suggest"]["precision"]) == (1, 1.0)
    assert (counted["review"]["n_tickets"], counted["review"]["coverage"]) == (2, 0.4)


@pytest.mark.parametrize(
    ("n_right", "n", "expected"), [(0, 10, (0.0, 0.278)), (10, 10, (0.722, 1.0)), (81, 90, (0.821, 0.946))]
)
def test_wilson_intervals_are_those_of_the_literature(n_right: int, n: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(n_right, n) == pytest.approx(expected, abs=0.001)


def _curve(accuracy_at: dict[int, float], n_train: int) -> tuple[dict[str, object], list[int]]:
    truth, _ = right_with_probability(1, n=2000, n_labels=2, seed=9)
    random = np.random.default_rng(10)
    luck = random.random(2000)
    asked: list[int] = []

    def predict(some: Positions) -> Positions:
        asked.append(len(some))
        return np.where(luck < accuracy_at[len(some)], truth, 1 - truth)

    full = np.where(luck < accuracy_at[n_train], truth, 1 - truth)
    held_out = HeldOut(truth, np.arange(2000), 2)
    return learning_curve(predict, np.arange(n_train), predicted=full, held_out=held_out, seed=1), asked


def test_the_learning_curve_says_whether_more_tickets_would_help() -> None:
    rising, asked = _curve({100: 0.6, 200: 0.7, 400: 0.8, 800: 0.9}, 800)
    assert asked == [100, 200, 400]
    assert [point["n_tickets"] for point in rising["points"]] == [100, 200, 400, 800]  # type: ignore[attr-defined]
    assert rising["last_step"]["accuracy_gain"] == pytest.approx(0.1, abs=0.02)  # type: ignore[index]
    assert "more tickets would probably help" in str(rising["conclusion"])
    flat, _ = _curve({100: 0.6, 200: 0.7, 400: 0.8, 800: 0.801}, 800)
    assert "may not help" in str(flat["conclusion"])


def test_the_learning_curve_leaves_out_what_is_too_small_or_too_slow() -> None:
    small, asked = _curve({30: 0.5}, 30)
    assert asked == []
    assert small["last_step"] is None
    _, asked = _curve({5000: 0.5, 10_000: 0.6, 40_000: 0.7}, 40_000)
    assert asked == [5000, 10_000]


@given(st.integers(2, 5), st.integers(1, 40), st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_every_figure_of_any_data_is_finite(n_labels: int, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(n_labels, 0.3), n)
    held_out = HeldOut(random.integers(0, n_labels, n), random.integers(0, 3, n), n_labels)
    figures = evaluate_head(probabilities, held_out, "abcde"[:n_labels], n_words=random.integers(0, 50, n), seed=seed)
    for low, high in (figures["intervals"]["accuracy"], figures["intervals"]["macro_f1"]):
        assert 0 <= low <= high <= 1
    assert 0 <= figures["summary"]["macro_f1"] <= 1

"""Thresholds keep a promised precision, or cost least, or are said to be infeasible."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.models.decisions import DecisionPolicy, OperatingPoint
from app.training.thresholds.confidence_counts import (
    Answered,
    Counts,
    HeadCounts,
    counts_from_bytes,
    counts_to_bytes,
    decided,
)
from app.training.thresholds.costs import HeadCosts
from app.training.thresholds.design_effect import design_effect_of
from app.training.thresholds.operating_points import Thresholds, choose, figures_of_points, points_for_precision
from app.training.thresholds.proof import lowest_threshold, precision_in_another

LABELS = ("a", "b", "c")
MARGIN = 0.1
SEEDS = st.integers(0, 10_000)


def answers(seed: int, n: int = 400, n_labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels that are as they say."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet((1.2 / n_labels,) * n_labels, size=n)
    return probabilities, (probabilities.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)


def answered(probabilities: np.ndarray, truth: np.ndarray) -> Answered:
    return Answered.of(probabilities, truth, ambiguity_margin=MARGIN)


def head_counts(given: Answered) -> HeadCounts:
    return HeadCounts(given.counts(LABELS))


def chosen_by(given: Answered, *, target_precision: float, costs: HeadCosts | None = None) -> Thresholds:
    return choose(given, head_counts(given), target_precision=target_precision, costs=costs)


def decided_by_policy(
    probabilities: np.ndarray, truth: np.ndarray, points: dict[str, OperatingPoint]
) -> dict[str, tuple[int, int]]:
    """How many tickets are decided each way, one by one as served answers are, and how many of those rightly."""
    policy = DecisionPolicy(points, MARGIN, 0.5)
    totals = {"auto": (0, 0), "suggest": (0, 0), "review": (0, 0)}
    for of_ticket, true in zip(probabilities, truth, strict=True):
        second, first = np.argsort(of_ticket)[-2:]
        lead = float(of_ticket[first] - of_ticket[second])
        decision, _ = policy.decide(LABELS[first], float(of_ticket[first]), lead, 1.0)
        n, n_right = totals[decision]
        totals[decision] = (n + 1, n_right + int(first == true))
    return totals


def one_label(confidences: list[float], right: list[bool]) -> np.ndarray:
    """Counts of answers of the label "a", of all of which the lead is clear."""
    probabilities = np.column_stack([confidences, np.zeros(len(confidences))])
    truth = np.where(right, 0, 1)
    return answered(probabilities, truth).counts(("a", "b"))["a"].from_step[:, :2]


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.floats(0.5, 0.99))
def test_no_label_acts_on_fewer_answers_than_can_show_anything(seed: int, target: float) -> None:
    probabilities, truth = answers(seed)

    points = points_for_precision(head_counts(answered(probabilities, truth)), target)

    for i, label in enumerate(LABELS):
        mine = probabilities.argmax(axis=1) == i
        n, _ = decided_by_policy(probabilities[mine], truth[mine], points)["auto"]
        assert (points[label].auto is None) == (n == 0)
        assert n == 0 or n >= 20


@pytest.mark.parametrize(("n_labels", "n"), [(2, 300), (3, 300), (8, 1_000), (8, 4_000), (30, 4_000)])
def test_the_promise_is_kept_by_other_tickets_as_often_as_is_said(n_labels: int, n: int) -> None:
    """Thirty labels that share 4,000 answers are where thresholds chosen by what they show were never right enough."""
    labels = tuple(map(str, range(n_labels)))
    others = answered(*answers(99, 20_000, n_labels)).counts(labels)
    kept = []
    for seed in range(40):
        points = points_for_precision(HeadCounts(answered(*answers(seed, n, n_labels)).counts(labels)), 0.9)
        n_auto, n_right = decided(others, points)["auto"]
        kept.append(n_right >= 0.9 * n_auto)

    # Four of a hundred such draws of 40 have fewer than 32 when the chance is nine of ten.
    assert sum(kept) >= 32


def test_few_answers_prove_nothing_however_right_they_are() -> None:
    def auto(n: int) -> float | None:
        probabilities, truth = np.tile([0.9, 0.05, 0.05], (n, 1)), np.zeros(n, dtype=np.int64)
        return points_for_precision(head_counts(answered(probabilities, truth)), 0.95)["a"].auto

    assert auto(103) is None
    assert auto(104) == 0.9, "0.95 to the power of 104 is the first below 1 - 0.995"


def test_answers_to_tickets_of_one_group_prove_less_than_as_many_of_their_own() -> None:
    counts = answered(*answers(3, 4_000)).counts(LABELS)

    def n_auto(design_effect: float) -> int:
        points = points_for_precision(HeadCounts(counts, design_effect=design_effect), 0.9)
        return decided(counts, points)["auto"][0]

    assert n_auto(1.0) > n_auto(4.0)


def test_the_promise_is_kept_by_other_groups_of_tickets_as_often_as_is_said() -> None:
    """Five tickets of each group are right or wrong together, as those of one incident are."""
    others = answered(*answers(99, 20_000)).counts(LABELS)
    kept = []
    for seed in range(40):
        probabilities, truth = (np.repeat(values, 5, axis=0) for values in answers(seed, 800))
        found = answered(probabilities, truth)
        is_right = found.predicted[found.is_clear] == truth[found.is_clear]
        effect = design_effect_of(is_right, np.repeat(np.arange(800), 5)[found.is_clear])
        points = points_for_precision(HeadCounts(found.counts(LABELS), design_effect=effect), 0.9)
        n_auto, n_right = decided(others, points)["auto"]
        kept.append(n_right >= 0.9 * n_auto)

    assert sum(kept) >= 32


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(2, 6))
def test_the_design_effect_of_equal_groups_that_are_right_together_is_their_size(seed: int, size: int) -> None:
    is_right = np.random.default_rng(seed).random(300) < 0.8

    together = design_effect_of(np.repeat(is_right, size), np.repeat(np.arange(300), size))
    alone = design_effect_of(is_right, np.arange(300))

    assert together == pytest.approx(size, rel=0.01)
    assert alone == pytest.approx(1, rel=0.01)
    assert design_effect_of(np.ones(300 * size, dtype=np.bool_), np.repeat(np.arange(300), size)) == size
    assert design_effect_of(np.zeros(0, dtype=np.bool_), np.arange(0)) == 1


def domain(seed: int, n: int, *, share_wrong: float = 0.0) -> Counts:
    """Counts of a domain where some tickets more than their probabilities say have another label."""
    probabilities, truth = answers(seed, n)
    is_wrong = np.random.default_rng(seed).random(n) < share_wrong
    return answered(probabilities, np.where(is_wrong, (truth + 1) % 3, truth)).counts(LABELS)


def test_a_domain_where_it_does_worse_raises_the_thresholds() -> None:
    home = head_counts(answered(*answers(1, 8_000)))
    alike = {str(seed): domain(seed, 1_000) for seed in range(2, 5)}

    def n_auto(elsewhere: dict[str, Counts]) -> int:
        points = points_for_precision(replace(home, elsewhere=elsewhere), 0.85)
        return decided(home.out_of_fold, points)["auto"][0]

    without, with_alike = n_auto({}), n_auto(alike)
    with_worse = n_auto(alike | {"worse": domain(5, 1_000, share_wrong=0.06)})
    with_hopeless = n_auto(alike | {"hopeless": domain(5, 1_000, share_wrong=0.5)})

    assert without >= with_alike > with_worse > with_hopeless == 0


def test_what_a_domain_of_few_tickets_shows_counts_for_little() -> None:
    home = head_counts(answered(*answers(1, 8_000)))

    def n_auto(n_tickets: int) -> int:
        elsewhere = {"alike": domain(2, 2_000), "worse": domain(5, n_tickets, share_wrong=0.06)}
        return decided(home.out_of_fold, points_for_precision(replace(home, elsewhere=elsewhere), 0.85))["auto"][0]

    assert n_auto(40) > n_auto(2_000)


@pytest.mark.parametrize("n_domains", [3, 12])
@pytest.mark.parametrize("deviation", [0.0, 0.02])
def test_another_domain_has_the_precision_that_is_stated_nine_times_in_ten(n_domains: int, deviation: float) -> None:
    random = np.random.default_rng(n_domains)
    n_runs, n_answers, n_kept = 2_000, 300, 0
    for _ in range(n_runs):
        precisions = np.clip(random.normal(0.95, deviation, n_domains + 1), 0, 1)
        *tried, (n, n_right) = [(n_answers, int(random.binomial(n_answers, precision))) for precision in precisions]
        n_kept += n_right / n >= precision_in_another(tried)

    assert n_kept / n_runs > 0.88


def test_what_the_promise_costs_elsewhere_is_said() -> None:
    given = answered(*answers(1, 8_000))
    counts = replace(head_counts(given), elsewhere={"worse": domain(5, 1_000, share_wrong=0.06)})

    figures = choose(given, counts, target_precision=0.85).figures

    covered = figures["decisions_out_of_fold"]["auto"]["coverage"]
    assert covered < figures["thresholds"]["coverage_without_elsewhere"] < 1
    worse = figures["auto_elsewhere"]["worse"]
    assert worse["precision"] >= 0.83
    assert worse["n_tickets"] == pytest.approx(1_000 * worse["coverage"])
    assert "auto_elsewhere" not in figures_of_points(figures_points(figures), head_counts(given))


def figures_points(figures: dict[str, Any]) -> dict[str, OperatingPoint]:
    return {label: OperatingPoint(**point) for label, point in figures["operating_points"].items()}


def test_a_label_of_few_answers_is_measured_by_those_of_all_labels_too() -> None:
    sure, unsure = [0.9, 0.05, 0.05], [0.05, 0.9, 0.05]
    probabilities = np.array([sure] * 2_000 + [unsure] * 24)

    given = answered(probabilities, np.array([0] * 2_000 + [1] * 22 + [0] * 2))
    points = points_for_precision(head_counts(given), 0.95)

    assert points["b"].auto == 0.9, "22 of 24 alone are too few"


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.lists(st.integers(0, 1000), min_size=6, max_size=6), st.sets(st.integers(0, 5)))
def test_counts_decide_as_the_policy_does_whatever_the_thresholds(
    seed: int, steps: list[int], absent: set[int]
) -> None:
    probabilities, truth = answers(seed)
    thresholds = [None if i in absent else step / 1000 for i, step in enumerate(steps)]
    points = {label: OperatingPoint(*thresholds[2 * i : 2 * i + 2]) for i, label in enumerate(LABELS)}

    counted = decided(answered(probabilities, truth).counts(LABELS), points)

    assert counted == decided_by_policy(probabilities, truth, points)


def test_a_threshold_stands_at_the_last_answer_that_keeps_the_promise() -> None:
    counts = one_label([0.9, 0.8, 0.7123, 0.6] * 10, [True, True, True, False] * 10)

    assert lowest_threshold(counts, 0.9) == 0.712
    assert lowest_threshold(counts, 0.75) == 0.6


def test_too_few_answers_promise_nothing() -> None:
    assert lowest_threshold(one_label([0.9] * 19, [True] * 19), 0.5) is None
    assert lowest_threshold(one_label([0.9] * 20, [True] * 20), 0.5) == 0.9


def test_answers_that_are_never_right_enough_are_infeasible_and_reported_so() -> None:
    probabilities = np.tile([0.6, 0.3, 0.1], (100, 1))
    truth = np.arange(100) % 2

    chosen = chosen_by(answered(probabilities, truth), target_precision=0.95)

    assert chosen.points["a"] == OperatingPoint(auto=None, suggest=0.6)
    assert chosen.figures["operating_points_out_of_fold"]["a"] == {
        "auto": {"n_tickets": 0, "coverage": 0.0, "precision": None},
        "auto_or_suggest": {"n_tickets": 100, "coverage": 1.0, "precision": 0.5},
        "auto_is_feasible": False,
    }


def test_ambiguous_answers_are_not_counted_for_acting_alone() -> None:
    clear, ambiguous = [[0.8, 0.1, 0.1]] * 110, [[0.52, 0.46, 0.02]] * 110
    probabilities = np.array(clear + ambiguous)
    truth = np.array([0] * 110 + [1] * 110)

    points = points_for_precision(head_counts(answered(probabilities, truth)), 0.95)

    assert points["a"].auto == 0.8


def test_labels_that_too_little_is_known_of_get_no_threshold_by_either_way() -> None:
    probabilities, truth = answers(1, n=3000)
    cheap = HeadCosts(answer=np.ones((3, 3)) - np.eye(3), review=np.full(3, 2.0))

    for costs in (None, cheap):
        given = answered(probabilities, truth)
        counts = HeadCounts(given.counts(LABELS), left_to_review=("b",))
        chosen = choose(given, counts, target_precision=0.6, costs=costs)
        assert chosen.points["b"] == OperatingPoint(None, None)
        assert chosen.points["a"].auto is not None


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.floats(1, 60))
def test_no_other_threshold_would_have_cost_less(seed: int, worst: float) -> None:
    probabilities, truth = answers(seed)
    answer = 5 * (np.ones((3, 3)) - np.eye(3))
    answer[0, 1:] = worst
    costs = HeadCosts(answer, review=np.ones(3))
    given = answered(probabilities, truth)

    chosen = chosen_by(given, target_precision=0.95, costs=costs)

    for i, label in enumerate(LABELS):
        mine = given.is_clear & (given.predicted == i)
        saved = (costs.review[truth] - answer[truth, i])[mine]
        steps = given.steps[mine]
        own = steps / 1000 >= (np.inf if (auto := chosen.points[label].auto) is None else auto)
        others = [saved[steps >= step].sum() for step in range(1001) if (steps >= step).sum() >= 20]
        assert saved[own].sum() >= max([0.0, *others]) - 1e-6
    assert (
        chosen.figures["costs_out_of_fold"]["per_ticket"]
        <= chosen.figures["costs_out_of_fold"]["per_ticket_all_reviewed"] + 1e-9
    )


def test_the_dearer_a_missed_label_the_later_others_are_answered_alone() -> None:
    probabilities, truth = answers(3, n=4000)

    def threshold(cost_of_missing_a: float) -> float:
        answer = 5 * (np.ones((3, 3)) - np.eye(3))
        answer[0, 1:] = cost_of_missing_a
        costs = HeadCosts(answer, review=np.ones(3))
        auto = chosen_by(answered(probabilities, truth), target_precision=0.95, costs=costs).points["b"].auto
        return 1.0 if auto is None else auto

    assert threshold(5) < threshold(20) < threshold(60)


def test_answering_that_always_costs_more_than_a_person_is_infeasible() -> None:
    probabilities, truth = answers(5)
    costs = HeadCosts(answer=np.full((3, 3), 2.0), review=np.ones(3))

    chosen = chosen_by(answered(probabilities, truth), target_precision=0.95, costs=costs)

    assert {point.auto for point in chosen.points.values()} == {None}
    assert chosen.figures["costs_out_of_fold"] == {
        "per_ticket": 1.0,
        "per_ticket_all_reviewed": 1.0,
        "per_ticket_all_answered": 2.0,
    }


def test_stored_counts_come_back_as_they_were() -> None:
    counts = answered(*answers(2)).counts(LABELS)

    content = counts_to_bytes({"priority": HeadCounts(counts, None, ("b",), 1.5, {"north": counts})})
    read = counts_from_bytes(content)["priority"]

    assert read.left_to_review == ("b",)
    assert read.validation is None
    assert read.design_effect == 1.5
    for label in LABELS:
        np.testing.assert_array_equal(read.out_of_fold[label].counts, counts[label].counts)
        np.testing.assert_array_equal(read.elsewhere["north"][label].counts, counts[label].counts)


def test_counts_that_were_stored_before_domains_were_are_read() -> None:
    old = b'{"format": 1, "heads": {"team": {"left_to_review": [], "out_of_fold": {}, "validation": null}}}'

    read = counts_from_bytes(old)["team"]

    assert (read.design_effect, read.elsewhere) == (1.0, {})


def test_counts_of_another_format_are_refused() -> None:
    with pytest.raises(ValueError, match="format 2"):
        counts_from_bytes(b'{"format": 2, "heads": {}}')

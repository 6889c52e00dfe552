"""Promises: laws that hold exactly, and by simulation with fixed seeds those that hold with a probability."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.feedback.promises import Interval, e_values, intervals, judge, level_of_each

if TYPE_CHECKING:
    from numpy.typing import NDArray

TARGETS = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99])
AUDITS = st.lists(st.booleans(), max_size=180).map(lambda rights: np.array(rights, dtype=bool))
N_RUNS, N_AUDITS = 1_000, 5_000


def drawn(precision: float, *, seed: int, n_runs: int = N_RUNS, n_audits: int = N_AUDITS) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((n_runs, n_audits)) < precision


def audits_until(reached: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return after how many audits each run got there, infinity for never."""
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def audits_until_broken(is_right: NDArray[np.bool_], *, target: float, level: float) -> NDArray[np.float64]:
    few_at_a_time = [e_values(runs, target=target) >= 1 / level for runs in np.array_split(is_right, 20)]
    return np.concatenate([audits_until(reached) for reached in few_at_a_time])


@pytest.mark.once
@pytest.mark.parametrize("target", [0.9, 0.95, 0.99])
def test_a_precision_just_as_promised_is_rarely_withdrawn_though_looked_at_after_each_audit(target: float) -> None:
    until = audits_until_broken(drawn(target, seed=1), target=target, level=0.05)

    assert np.isfinite(until).sum() <= 0.05 * N_RUNS


@pytest.mark.parametrize(("precision", "within"), [(0.86, 100), (0.90, 300)])
def test_a_broken_promise_is_found_after_few_audits(precision: float, within: int) -> None:
    until = audits_until_broken(drawn(precision, seed=2, n_audits=1_000), target=0.95, level=0.01)

    assert np.median(until) <= within


def test_a_precision_that_breaks_after_a_thousand_good_audits_is_found_soon() -> None:
    good, bad = drawn(0.98, seed=3, n_audits=1_000), drawn(0.86, seed=4, n_audits=1_000)

    until = audits_until_broken(np.concatenate([good, bad], axis=1), target=0.95, level=0.01)

    assert 1_000 < np.median(until) <= 1_300


@pytest.mark.once
@pytest.mark.parametrize("precision", [0.5, 0.95, 0.99])
def test_the_interval_covers_the_precision_at_all_times_in_most_runs(precision: float) -> None:
    n_right = drawn(precision, seed=5).cumsum(axis=1)
    # Most runs come past the same counts.
    counts, of_count = np.unique(n_right + np.arange(1, N_AUDITS + 1) * (N_AUDITS + 1), return_inverse=True)
    n_audited, n_right = np.divmod(counts, N_AUDITS + 1)

    low, high = intervals(n_right, n_audited - n_right, target=0.95, level=0.05).T

    covers = ((low <= precision) & (precision <= high))[of_count].reshape(N_RUNS, N_AUDITS).all(axis=1)
    assert covers.sum() >= 0.95 * N_RUNS


@pytest.mark.once
def test_a_precision_above_the_promise_is_found_to_be_kept() -> None:
    n_right = drawn(0.98, seed=6, n_audits=1_000).cumsum(axis=1)
    n_wrong = np.arange(1, 1_001) - n_right

    until = audits_until(intervals(n_right, n_wrong, target=0.95, level=0.01)[..., 0] >= 0.95)

    assert np.median(until) <= 500


@pytest.mark.once
def test_a_precision_below_the_promise_is_rarely_found_to_be_kept() -> None:
    n_right = drawn(0.949, seed=7, n_audits=2_000).cumsum(axis=1)
    n_wrong = np.arange(1, 2_001) - n_right

    until = audits_until(intervals(n_right, n_wrong, target=0.95, level=0.05)[..., 0] >= 0.95)

    assert np.isfinite(until).sum() <= 0.05 * N_RUNS


@given(AUDITS, TARGETS)
def test_where_the_promise_is_kept_just_so_the_next_audit_changes_nothing_on_average(
    audits: NDArray[np.bool_], target: float
) -> None:
    before = e_values(audits, target=target)[-1] if len(audits) else 1.0
    if_right, if_wrong = (e_values(np.append(audits, is_right), target=target)[-1] for is_right in (True, False))

    assert target * if_right + (1 - target) * if_wrong == pytest.approx(before, rel=1e-9)
    assert if_right < if_wrong


@given(AUDITS, TARGETS, st.data())
def test_looking_earlier_or_more_often_changes_no_e_value(
    audits: NDArray[np.bool_], target: float, data: st.DataObject
) -> None:
    n = data.draw(st.integers(0, len(audits)))

    np.testing.assert_allclose(e_values(audits[:n], target=target), e_values(audits, target=target)[:n], rtol=1e-12)


@given(AUDITS.filter(len), TARGETS, st.data())
def test_an_audit_that_was_wrong_instead_of_right_never_helps_the_promise(
    audits: NDArray[np.bool_], target: float, data: st.DataObject
) -> None:
    worse = audits.copy()
    worse[data.draw(st.integers(0, len(audits) - 1))] = False
    first, second = (judge(runs, target=target, level=0.01) for runs in (audits, worse))

    e_values_of_both = e_values(np.stack([audits, worse]), target=target)
    assert (e_values_of_both[1] >= e_values_of_both[0] * (1 - 1e-12)).all()
    assert (e_values_of_both > 0).all()
    assert second.interval.low <= first.interval.low
    assert second.interval.high <= first.interval.high
    assert first.state != "broken" or second.state == "broken"


@given(AUDITS, TARGETS, st.sampled_from([0.001, 0.01, 0.05]))
def test_a_verdict_agrees_with_itself(audits: NDArray[np.bool_], target: float, level: float) -> None:
    verdict = judge(audits, target=target, level=level)

    assert 0 <= verdict.interval.low <= verdict.interval.high <= 1
    if verdict.precision is not None:
        assert verdict.interval.low <= verdict.precision <= verdict.interval.high
    assert (verdict.state == "kept") <= (verdict.interval.low >= target)
    assert (verdict.state == "broken") == bool((e_values(audits, target=target) >= 1 / level).any())
    assert (verdict.n_audited, verdict.n_right) == (len(audits), audits.sum())


@given(st.integers(0, 400), st.integers(0, 400), TARGETS, st.sampled_from([0.001, 0.05]))
def test_the_bounds_of_the_interval_are_where_the_beta_mixture_reaches_one_over_the_level(
    n_right: int, n_wrong: int, target: float, level: float
) -> None:
    def log_beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    def is_excluded(precision: float) -> bool:
        likelihood = n_right * math.log(precision) + n_wrong * math.log1p(-precision)
        return log_beta(a + n_right, b + n_wrong) - log_beta(a, b) - likelihood >= -math.log(level)

    a, b = 10 * target, 10 * (1 - target)
    low, high = intervals(np.array([n_right]), np.array([n_wrong]), target=target, level=level)[0].tolist()

    for bound, outwards in ((low, -1e-9), (high, 1e-9)):
        if 0 < bound + outwards < 1:
            assert is_excluded(bound + outwards)
            assert not is_excluded(bound - outwards)


def test_without_audits_nothing_is_known() -> None:
    verdict = judge(np.array([], dtype=bool), target=0.95, level=0.01)

    assert (verdict.precision, verdict.interval, verdict.e_value) == (None, Interval(0, 1), 1)
    assert verdict.state == "unproven"


def test_a_promise_that_was_broken_is_broken_whatever_came_after() -> None:
    bad_then_good = np.array([False] * 20 + [True] * 2_000)

    verdict = judge(bad_then_good, target=0.95, level=0.01)

    assert verdict.state == "broken"
    assert verdict.e_value < 100


def test_numbers_stay_finite_however_many_audits_are_wrong() -> None:
    assert np.isfinite(e_values(np.zeros(20_000, dtype=bool), target=0.99)).all()
    assert np.isfinite(e_values(np.ones(20_000, dtype=bool), target=0.5)).all()


def test_the_level_is_shared_out_over_all_promises() -> None:
    assert level_of_each(0.05, 10) == pytest.approx(0.005)
    assert level_of_each(0.05, 0) == 0.05

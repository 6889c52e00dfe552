"""The bounds of a share are those of SciPy, which does not serve, and hold as often as they say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from app.feedback.share_interval import share_interval

counts = st.integers(1, 3_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts)
def test_bounds_are_those_of_scipy(of: tuple[int, int]) -> None:
    n_right, n = of

    expected = binomtest(n_right, n).proportion_ci(0.95, method="exact")

    assert share_interval(n_right, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize("n", [1, 3, 20, 100])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99])
def test_bounds_hold_the_true_share_in_95_of_100_cases_however_few_there_are(n: int, share: float) -> None:
    held = sum(
        binom.pmf(n_right, n, share)
        for n_right in range(n + 1)
        if share_interval(n_right, n)[0] <= share <= share_interval(n_right, n)[1]
    )

    assert held >= 0.95


def test_of_nothing_nothing_is_known() -> None:
    assert share_interval(0, 0) == (0, 1)


def test_many_thousands_are_no_trouble() -> None:
    low, high = share_interval(99_000, 100_000)

    assert 0.989 < low < 0.99 < high < 0.991


def test_more_right_ones_than_there_are_is_said() -> None:
    with pytest.raises(ValueError, match="4 of 3 is no share"):
        share_interval(4, 3)

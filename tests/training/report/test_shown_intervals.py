"""An interval that is shown holds the one that was measured, and ends at a whole only where that one does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.training.report.shown_intervals import shown_interval


@given(st.lists(st.integers(0, 1_000_000), min_size=2, max_size=2), st.sampled_from([0, 1]))
def test_it_holds_what_was_measured(millionths: list[int], digits: int) -> None:
    low, high = sorted(one / 1_000_000 for one in millionths)

    shown = [float(end) for end in shown_interval((low, high), digits=digits, scale=100).split(" to ")]

    assert shown[0] <= 100 * low + 1e-6
    assert shown[1] >= 100 * high - 1e-6
    assert (shown[0] == 100) == (low == 1)


@pytest.mark.parametrize(
    ("interval", "digits", "scale", "expected"),
    [
        ((0.9964, 1.0), 0, 100, "99 to 100"),
        ((0.9996, 1.0), 3, 1, "0.999 to 1.000"),
        ((0.95, 0.97), 1, 100, "95.0 to 97.0"),
    ],
)
def test_it_is_rounded_outwards(interval: tuple[float, float], digits: int, scale: int, expected: str) -> None:
    assert shown_interval(interval, digits=digits, scale=scale) == expected

"""A temperature makes confidences as high as the tickets allow, and never higher than so few of them could show."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from app.training.thresholds.calibration import fit_temperature


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), temperature=st.floats(0.3, 3.0))
def test_logits_that_were_stretched_are_found_out(seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    honest = 2 * rng.normal(size=(4_000, 3))
    truth = (softmax(honest, axis=1).cumsum(axis=1) > rng.random((4_000, 1))).argmax(axis=1)

    assert fit_temperature(honest * temperature, truth) == pytest.approx(temperature, rel=0.15)


@pytest.mark.parametrize("n", [10, 100, 1_000])
def test_tickets_that_are_all_right_make_nobody_surer_than_their_number_allows(n: int) -> None:
    logits = np.random.default_rng(n).uniform(1, 3, size=(n, 1)) * [1.0, 0.0]

    confidence = softmax(logits / fit_temperature(logits, np.zeros(n, dtype=np.int64)), axis=1)[:, 0]

    assert 1 - 3 / n < confidence.mean() < 1 - 0.1 / n
    assert np.median(confidence) < 1 - 0.2 / n


def test_of_no_tickets_the_logits_stay_as_they_are() -> None:
    assert fit_temperature(np.empty((0, 3)), np.empty(0, dtype=np.int64)) == 1.0

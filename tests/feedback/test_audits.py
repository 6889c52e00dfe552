"""Which answers are audits: a share, by chance alone."""

from __future__ import annotations

import math
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.feedback.audits import Audits

N_DRAWS = 200_000
# The chance that a right generator is called wrong is below one in a million.
STANDARD_ERRORS = 5


def error_of(share: float, n_draws: int) -> float:
    return STANDARD_ERRORS * math.sqrt(share * (1 - share) / n_draws)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.95])
def test_the_share_that_is_drawn_is_the_one_asked_for(share: float) -> None:
    audits = Audits(share)

    n_drawn = sum(audits.is_drawn() for _ in range(N_DRAWS))

    assert n_drawn / N_DRAWS == pytest.approx(share, abs=error_of(share, N_DRAWS))


def test_none_or_all_are_drawn_when_it_is_said_so() -> None:
    nobody, everybody = Audits(0.0), Audits(1.0)

    assert not any(nobody.is_drawn() for _ in range(10_000))
    assert all(everybody.is_drawn() for _ in range(10_000))


def test_a_draw_says_nothing_about_those_after_it() -> None:
    audits = Audits(0.5)
    draws = [audits.is_drawn() for _ in range(N_DRAWS)]

    for distance in (1, 2, 3, 1023, 1024):
        n_pairs = N_DRAWS - distance
        n_equal = sum(first is second for first, second in zip(draws, draws[distance:], strict=False))
        assert n_equal / n_pairs == pytest.approx(0.5, abs=error_of(0.5, n_pairs))


def test_draws_repeat_for_nobody_who_knows_the_seed_of_the_process() -> None:
    def draws() -> list[bool]:
        random.seed(7)
        audits = Audits(0.5)
        return [audits.is_drawn() for _ in range(256)]

    assert draws() != draws()


def test_threads_draw_the_share_together() -> None:
    audits = Audits(0.05)

    def n_drawn(_: int) -> int:
        return sum(audits.is_drawn() for _ in range(N_DRAWS // 4))

    with ThreadPoolExecutor(4) as threads:
        total = sum(threads.map(n_drawn, range(4)))

    assert total / N_DRAWS == pytest.approx(0.05, abs=error_of(0.05, N_DRAWS))

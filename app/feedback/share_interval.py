"""Where a share lies by counts alone: exact bounds of a binomial proportion, for counts that are looked at once."""

from __future__ import annotations

import math
from typing import Final

# Each bound is wrong in one case of forty at most, so both hold in nineteen of twenty.
_TAIL: Final = 0.025
# Halvings that find a bound as exactly as a float has it.
_N_HALVINGS: Final = 52
# What is left of a sum when its next term is this small beside it is less than a float can tell.
_NEGLIGIBLE: Final = 1e-17


def share_interval(n_right: int, n: int) -> tuple[float, float]:
    """Return bounds that hold the true share in at least 95 of 100 cases (Clopper & Pearson 1934).

    Of no counts at all nothing is known: 0 and 1.
    """
    if not 0 <= n_right <= n:
        raise ValueError(f"{n_right} of {n} is no share: the first is to be between 0 and the second")
    return _lower(n_right, n), 1 - _lower(n - n_right, n)


def _lower(k: int, n: int) -> float:
    """Return the share at which ``k`` or more of ``n`` would have a chance of one in forty."""
    if k == 0:
        return 0.0
    low, high = 0.0, k / n
    for _ in range(_N_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_least(k, n, middle) < _TAIL else (low, middle)
    return low


def _at_least(k: int, n: int, share: float) -> float:
    """Return the chance of ``k`` or more of ``n``, for a ``share`` of at most k / n: then the terms only fall."""
    if share in {0, 1}:
        return share
    log_ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    term = math.exp(log_ways + k * math.log(share) + (n - k) * math.log1p(-share))
    total, odds = term, share / (1 - share)
    for i in range(k, n):
        term *= (n - i) / (i + 1) * odds
        total += term
        if term < _NEGLIGIBLE * total:
            break
    return total

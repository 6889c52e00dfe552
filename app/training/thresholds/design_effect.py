"""For how many tickets of their own those of groups stand, which are right or wrong together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def design_effect_of(is_right: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """Return the design effect of a share that was measured on whole groups (Kish 1965), at least one.

    It is the variance of the share with groups drawn, linearised as that of a ratio, over that with tickets drawn. Both
    arguments are ``(n_tickets,)``. Where nothing tells tickets apart, those of a group count as one; of none, it is 1.
    """
    if not len(is_right):
        return 1.0
    n, share = len(is_right), float(is_right.mean())
    _, numbers = np.unique(groups, return_inverse=True)
    sums = np.bincount(numbers, weights=is_right - share)
    if share in {0.0, 1.0} or len(sums) == 1:
        return n / len(sums)
    between = float((sums**2).sum()) * len(sums) / (len(sums) - 1)
    return max(1.0, between / (n * share * (1 - share)))

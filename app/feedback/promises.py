"""Whether a promised precision is kept, by audits that were drawn by chance: numbers in, a verdict out.

Where audits come from, and what follows from a verdict, is left to others. All of it stays valid however often it is
looked at (Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting"): the capital of a
gambler who bets against the promise at fair odds is a non-negative martingale where the promise is kept just so, and at
most one in a hundred of those ever gets to a hundred times what it began with (Ville's inequality).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.store.promise import PromiseState

# The precisions that are bet on: their odds of an error are these times the promised ones, each with the same stake.
# Steps of half a doubling lose little to the one alternative that is true, which is not known; beyond 16 times the odds
# a few audits are enough for any of them.
_ERROR_ODDS: Final = np.exp2(np.arange(1, 9) / 2)
# A precision may break only after many good audits, which would have cost the gambler of the first hour everything. So
# a quarter of the capital is kept for those who begin later, one every 50 audits: the k-th gets 1 / (k (k + 1)) of it.
_LATER_SHARE: Final = 0.25
_AUDITS_BETWEEN_STARTS: Final = 50
# What the interval expects beforehand weighs as much as so many audits of just the promised precision.
_PRIOR_AUDITS: Final = 10.0
# Halvings that find a bound of the interval as exactly as a float has it.
_N_HALVINGS: Final = 52
_LARGEST_LOG: Final = 690.0


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the precision lies, with confidence at all times together."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What audits say of one promise; ``precision`` is ``None`` before the first, ``e_value`` 1."""

    n_audited: int
    n_right: int
    interval: Interval
    e_value: float
    state: PromiseState

    @property
    def precision(self) -> float | None:
        return self.n_right / self.n_audited if self.n_audited else None


def judge(is_right: NDArray[np.bool_], *, target: float, level: float) -> Verdict:
    """Judge a promised precision ``target`` by audits in their order ``(n_audits,)``.

    It is ``broken`` once the e-value has reached ``1 / level``, whatever came after, and ``kept`` while the whole
    interval is at or above it. Each verdict has, of all times together, a probability of at most ``level`` where its
    contrary is true.
    """
    n_audited, n_right = len(is_right), int(np.count_nonzero(is_right))
    capital = e_values(is_right, target=target)
    low, high = intervals(np.array([n_right]), np.array([n_audited - n_right]), target=target, level=level)[0].tolist()
    state: PromiseState = "kept" if low >= target else "unproven"
    if n_audited and capital.max() >= 1 / level:
        state = "broken"
    e_value = float(capital[-1]) if n_audited else 1.0
    return Verdict(n_audited=n_audited, n_right=n_right, interval=Interval(low, high), e_value=e_value, state=state)


def level_of_each(alpha: float, n_promises: int) -> float:
    """Return the level of each of ``n_promises``, so that ``alpha`` bounds the chance of any error among them."""
    return alpha / max(1, n_promises)


def e_values(is_right: NDArray[np.bool_], *, target: float) -> NDArray[np.float64]:
    """Return the e-value against "the precision is at least ``target``" after each audit, ``(..., n_audits)`` both.

    The first axes are independent sequences. A mixture of likelihood ratios over lower precisions and over starts.
    """
    n_audits = is_right.shape[-1]
    odds = (1 - target) / target * _ERROR_ODDS
    if_right, if_wrong = -np.log1p(odds) - math.log(target), np.log(odds / (1 + odds)) - math.log1p(-target)
    # (..., alternatives, audits), with what is before the first audit in front.
    steps = np.where(is_right[..., None, :], if_right[:, None], if_wrong[:, None])
    paths = np.concatenate([np.zeros((*steps.shape[:-1], 1)), steps.cumsum(axis=-1)], axis=-1)
    starts = np.arange(0, n_audits, _AUDITS_BETWEEN_STARTS)
    k = np.arange(1, len(starts))
    shares = np.concatenate([[1 - _LATER_SHARE], _LATER_SHARE / (k * (k + 1))])[: len(starts)]
    # A gambler who begins at a start has since then multiplied by where the path is now over where it was then.
    staked = np.logaddexp.accumulate(np.log(shares) - paths[..., starts], axis=-1)
    since = np.arange(n_audits) // _AUDITS_BETWEEN_STARTS
    begun = np.exp(np.minimum(paths[..., 1:] + staked[..., since], _LARGEST_LOG)).mean(axis=-2)
    capital: NDArray[np.float64] = begun + _LATER_SHARE / (since + 1)
    return capital


def intervals(
    n_right: NDArray[np.int64], n_wrong: NDArray[np.int64], *, target: float, level: float
) -> NDArray[np.float64]:
    """Return the bounds ``(..., 2)`` of the precision for counts ``(...)``: a confidence sequence of ``1 - level``.

    The precisions that stay in it are those against which a beta mixture of likelihood ratios has not reached
    ``1 / level`` (Robbins 1970). Its prior has the promised precision as mean, so that it is narrow where it matters.
    """
    a, b = _PRIOR_AUDITS * target, _PRIOR_AUDITS * (1 - target)
    most = int((n_right + n_wrong).max(initial=0))
    threshold = (
        _log_rising(a, most)[n_right]
        + _log_rising(b, most)[n_wrong]
        - _log_rising(a + b, most)[n_right + n_wrong]
        + math.log(level)
    )
    estimate = n_right / np.maximum(n_right + n_wrong, 1)
    bounds = []
    for outside in (0.0, 1.0):
        # Between ``outside``, which is excluded unless all audits were like it, and the estimate, which never is.
        out, within = np.full(estimate.shape, outside), estimate.copy()
        for _ in range(_N_HALVINGS):
            middle = (out + within) / 2
            is_within = _log_likelihood(n_right, n_wrong, middle) > threshold
            out, within = np.where(is_within, out, middle), np.where(is_within, middle, within)
        is_open = _log_likelihood(n_right, n_wrong, np.full(estimate.shape, outside)) > threshold
        bounds.append(np.where(is_open, outside, out))
    return np.stack(bounds, axis=-1)


def _log_rising(start: float, n: int) -> NDArray[np.float64]:
    """Return ``log(start (start + 1) ... (start + k - 1))`` for k from 0 to ``n``."""
    return np.concatenate([[0.0], np.cumsum(np.log(start + np.arange(n)))])


def _log_likelihood(
    n_right: NDArray[np.int64], n_wrong: NDArray[np.int64], precision: NDArray[np.float64]
) -> NDArray[np.float64]:
    # 0 log 0 is 0: what never happened says nothing against its being impossible.
    with np.errstate(divide="ignore", invalid="ignore"):
        right = np.where(n_right == 0, 0.0, n_right * np.log(precision))
        wrong = np.where(n_wrong == 0, 0.0, n_wrong * np.log1p(-precision))
    total: NDArray[np.float64] = right + wrong
    return total

"""Thresholds that prove a precision on tickets like those of training, with a stated chance.

The promise is one of a head. The threshold of a label comes from an estimate that few answers pull to what all labels
have from the same confidence on. Chosen among so many, such thresholds look better than they are; so a demand on the
estimates is tried by cross-fitting: thresholds that most answers of all labels choose are measured on the others. The
lowest demand whose measured answers prove the promise, by the lower bound of Clopper & Pearson (1934), is the one that
thresholds are chosen by. Answers to tickets of one group are right or wrong together, so they count for fewer: for
their number over the design effect (Korn & Graubard 1998).

Where there are answers to tickets from elsewhere, domains that no model learned from, one domain more has to keep the
promise with the stated chance, too: the mean of those that were tried is above it by as much as they differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, norm, t

from app.training.thresholds.confidence_counts import N_STEPS

# How many answers, and how many of them right, have at least each confidence, ``(1001, 2)``.
FromStep = NDArray[np.int64]

FEWEST_ANSWERS = 20
# The chance that a head keeps its promise on other tickets like those of training, which have luck of their own. What
# is measured of a third as many differs from the estimate with twice its standard error; so the bound is as far below
# it as 2 * 1.28 standard errors of a normal distribution, where 1.28 alone would be the chance of 0.9.
PROMISE_CHANCE = 0.9
_BOUND_CHANCE = 0.995
# For how many answers of a label those of all labels stand.
_SHARED_ANSWERS = 20
# From what is promised on, up to a twentieth of the errors that it allows.
_N_DEMANDS = 20
_N_PARTS = 5


def proven_thresholds(
    from_steps: Sequence[FromStep],
    precision: float,
    *,
    elsewhere: Sequence[Sequence[FromStep]] = (),
    design_effect: float = 1.0,
) -> list[float | None]:
    """Return the lowest threshold of each label that together prove ``precision``, all ``None`` where none do.

    ``elsewhere`` are the answers of the same labels in each domain.
    """
    if not from_steps:
        return []
    rounds = list(_cross_fitting(from_steps))
    for allowed_errors in np.linspace(1.0, 1 / _N_DEMANDS, _N_DEMANDS):
        demand = 1 - (1 - precision) * allowed_errors
        n = n_right = 0
        for choosing, measuring in rounds:
            n_more, n_more_right = _answered(measuring, _thresholds(choosing, demand))
            n, n_right = n + n_more, n_right + n_more_right
        if _proven_precision(n / design_effect, n_right / design_effect) < precision:
            continue
        thresholds = _thresholds(from_steps, demand)
        if precision_in_another([_answered(domain, thresholds) for domain in elsewhere]) >= precision:
            return thresholds
    return [None] * len(from_steps)


def lowest_threshold(
    from_step: FromStep, precision: float, *, shared: NDArray[np.float64] | None = None
) -> float | None:
    """Return the lowest confidence from which on answers reach ``precision``, or ``None``.

    With the precision that all labels have from each step on, ``shared`` ``(1001,)``, it counts like some answers more.
    """
    n, n_right = from_step[:, 0], from_step[:, 1]
    n_shared = 0 if shared is None else _SHARED_ANSWERS
    estimate_right = n_right + (0.0 if shared is None else n_shared * shared)
    # Products of rounded numbers may miss a whole one by their last digit.
    is_enough = estimate_right >= precision * (n + n_shared) - 1e-9
    steps = np.flatnonzero(has_answers(n) & (n >= FEWEST_ANSWERS) & is_enough)
    return float(steps[0]) / N_STEPS if len(steps) else None


def has_answers(n: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say of each step whether it has answers itself; a threshold between answers would be lower than it has shown."""
    own: NDArray[np.bool_] = n > np.append(n[1:], 0)
    return own


def _answered(from_steps: Sequence[FromStep], thresholds: Sequence[float | None]) -> tuple[int, int]:
    """Return how many answers have the threshold of their label, and how many of them are right."""
    n = n_right = 0
    for of_label, threshold in zip(from_steps, thresholds, strict=True):
        if threshold is not None:
            n_more, n_more_right = of_label[round(threshold * N_STEPS)].tolist()
            n, n_right = n + n_more, n_right + n_more_right
    return n, n_right


def precision_in_another(domains: Sequence[tuple[int, int]]) -> float:
    """Return the precision that another domain has with ``PROMISE_CHANCE``, if it is of their kind and average size.

    It is the lower bound of prediction of a normal distribution (Student's t). Domains of few answers differ by luck,
    so each counts by its answers; and where they happen to agree, or there is but one, luck makes another differ.
    """
    n, n_right = np.array([domain for domain in domains if domain[0]], dtype=np.float64).reshape(-1, 2).T
    if not len(n):
        return 1.0
    n_domains, mean = len(n), float(n_right.sum() / n.sum())
    by_luck = float(norm.ppf(PROMISE_CHANCE)) * math.sqrt(mean * (1 - mean) / n.mean())
    between = 0.0
    if n_domains > 1:
        variance = float((n * (n_right / n - mean) ** 2).sum() / n.sum()) * n_domains / (n_domains - 1)
        between = float(t.ppf(PROMISE_CHANCE, n_domains - 1)) * math.sqrt(variance)
    return mean - max(between, by_luck) * math.sqrt(1 + 1 / n_domains)


def _thresholds(from_steps: Sequence[FromStep], demand: float) -> list[float | None]:
    together = np.stack(from_steps).sum(axis=0)
    shared = together[:, 1] / np.maximum(together[:, 0], 1)
    return [lowest_threshold(of_label, demand, shared=shared) for of_label in from_steps]


def _proven_precision(n: float, n_right: float) -> float:
    return float(beta.ppf(1 - _BOUND_CHANCE, n_right, n - n_right + 1)) if n_right else 0.0


def _cross_fitting(from_steps: Sequence[FromStep]) -> Iterator[tuple[list[FromStep], list[FromStep]]]:
    """Yield the answers of all labels parted into those to choose by and those to measure on; each is once of those."""
    # The draw is always the same, so that the same counts give the same thresholds.
    random = np.random.default_rng(0)
    parts = [_dealt(of_label, random) for of_label in from_steps]
    for number in range(_N_PARTS):
        measuring = [of_label[number] for of_label in parts]
        yield [whole - part for whole, part in zip(from_steps, measuring, strict=True)], measuring


def _dealt(from_step: FromStep, random: np.random.Generator) -> NDArray[np.int64]:
    """Return ``from_step`` dealt to parts by chance, ``(n_parts, 1001, 2)``, right and wrong answers evenly."""
    of_step = from_step - np.append(from_step[1:], [[0, 0]], axis=0)
    right, wrong = of_step[:, 1], of_step[:, 0] - of_step[:, 1]
    dealt = []
    for counts in (right, wrong):
        steps = np.repeat(np.arange(N_STEPS + 1), counts)
        part_of = random.permutation(len(steps)) % _N_PARTS
        cells = np.bincount(part_of * (N_STEPS + 1) + steps, minlength=_N_PARTS * (N_STEPS + 1))
        dealt.append(cells.reshape(_N_PARTS, N_STEPS + 1))
    of_parts = np.stack([dealt[0] + dealt[1], dealt[0]], axis=2)
    from_steps: NDArray[np.int64] = of_parts[:, ::-1].cumsum(axis=1)[:, ::-1]
    return from_steps

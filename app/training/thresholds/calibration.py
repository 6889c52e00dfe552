"""Confidence that means something: a temperature for the logits, and how far confidences are from the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

N_BINS = 15


def fit_temperature(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the T that minimises the log loss of ``softmax(logits / T)`` (Guo et al. 2017, section 4.2).

    n tickets cannot show that errors are rarer than about one in n, however many of them are right. So each counts as
    one with a chance of 1 / (n + 2) to have the most probable other label, which is the smoothing of targets of Platt
    (1999, section 2.2). ``logits`` ``(n_tickets, n_labels)`` must come from models that did not see the tickets; of no
    tickets, T is 1.
    """
    if not len(truth):
        return 1.0
    rows, error_chance = np.arange(len(truth)), 1 / (len(truth) + 2)
    others = logits.copy()
    others[rows, truth] = -np.inf
    rival = others.argmax(axis=1)

    def log_loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(logits / np.exp(log_temperature), axis=1)
        of_truth, of_rival = log_probabilities[rows, truth], log_probabilities[rows, rival]
        return -float(((1 - error_chance) * of_truth + error_chance * of_rival).mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=(-4.0, 4.0), method="bounded").x))


def calibration_of(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, float]:
    """Return the three usual measures of how far confidences can be trusted; lower is better for each.

    The Brier score is the mean squared distance from the one-hot truth, summed over labels: 2 is worst.
    """
    one_hot = np.eye(probabilities.shape[1])[truth]
    of_truth = probabilities[np.arange(len(truth)), truth]
    return {
        "expected_calibration_error": expected_calibration_error(probabilities, truth),
        "brier_score": float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
        "log_loss": float(-np.log(np.maximum(of_truth, 1e-300)).mean()),
    }


def expected_calibration_error(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the mean distance of confidence and accuracy over 15 equal bins, weighted by size (Naeini et al. 2015)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    gaps = np.bincount(bins_of(confidence), weights=correct - confidence, minlength=N_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def bins_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the number of the bin of each confidence."""
    return np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)

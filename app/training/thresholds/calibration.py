"""Confidence that means something: a temperature for the logits, and how far confidences are from the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

_N_BINS = 15


def fit_temperature(logits: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the T that minimises the log loss of ``softmax(logits / T)`` (Guo et al. 2017, section 4.2).

    ``logits`` ``(n_tickets, n_labels)`` must come from models that did not see the tickets.
    """

    def log_loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(logits / np.exp(log_temperature), axis=1)
        return float(-log_probabilities[np.arange(len(truth)), truth].mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=(-4.0, 4.0), method="bounded").x))


def calibration_of(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> dict[str, float]:
    """Return the three usual measures of how far confidences can be trusted; lower is better for each."""
    return {
        "expected_calibration_error": expected_calibration_error(probabilities, truth),
        "brier_score": brier_score(probabilities, truth),
        "log_loss": log_loss(probabilities, truth),
    }


def expected_calibration_error(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the mean distance of confidence and accuracy over 15 equal bins, weighted by size (Naeini et al. 2015)."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * _N_BINS).astype(int), _N_BINS - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=_N_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def brier_score(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Return the mean squared distance from the one-hot truth, summed over labels: 0 is best, 2 is worst."""
    one_hot = np.eye(probabilities.shape[1])[truth]
    return float(((probabilities - one_hot) ** 2).sum(axis=1).mean())


def log_loss(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-300)).mean())

"""How good a model is on tickets that it did not see, how sure that figure is, and what no model would reach."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import classification_report

from app.models.decisions import OperatingPoint
from app.models.features import words_of
from app.training.fitting.scores import scores_of_counts
from app.training.intake.labelled_tickets import Tickets
from app.training.measuring.bootstrap import HeldOut, bootstrap_scores, score_interval
from app.training.thresholds.calibration import N_BINS, bins_of, calibration_of
from app.training.thresholds.confidence_counts import Counts, decided

# The smallest number of words of each band of lengths; terse tickets are where word counts know least.
_LENGTH_BANDS = (0, 6, 16, 41, 101)
# The normal distribution has 95 % between minus and plus this.
_NORMAL_95 = 1.959964


def evaluate_head(
    probabilities: NDArray[np.float64],
    held_out: HeldOut,
    labels: Sequence[str],
    *,
    n_words: NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    """Return the report of one head as plain JSON values.

    ``probabilities`` is ``(n_tickets, n_labels)``, ``n_words`` the lengths of the tickets, ``(n_tickets,)``.
    """
    truth = held_out.truth
    predicted = probabilities.argmax(axis=1)
    positions = list(range(len(labels)))
    counts = held_out.confusion(predicted)
    report = classification_report(
        truth, predicted, labels=positions, target_names=list(labels), output_dict=True, zero_division=0
    )
    scores = scores_of_counts(counts[np.newaxis])
    resampled = bootstrap_scores(predicted, held_out, seed=seed)
    return {
        "n_tickets": len(truth),
        "summary": {
            "accuracy": float(scores.accuracy[0]),
            # Over the labels that occur among the tickets or the answers, as scikit-learn's f1_score does.
            "macro_f1": float(scores.macro_f1[0]),
            "weighted_f1": report["weighted avg"]["f1-score"],
        },
        "intervals": {
            "accuracy": score_interval(resampled.accuracy, held_out),
            "macro_f1": score_interval(resampled.macro_f1, held_out),
            "confidence": 0.95,
            "resamples": len(resampled.accuracy),
            "drawn": "groups of similar tickets",
        },
        "per_class": {label: report[label] for label in labels},
        "confusion_matrix": {"labels": list(labels), "rows_are": "true", "counts": counts.tolist()},
        "calibration": {**calibration_of(probabilities, truth), "bins": reliability_bins(probabilities, truth)},
        "baselines": baselines(truth, len(labels)),
        "by_length": by_length(probabilities, truth, n_words),
    }


def baselines(truth: NDArray[np.int64], n_labels: int) -> dict[str, float]:
    """Return the accuracy of always the most frequent label, and of labels drawn in proportion."""
    shares = np.bincount(truth, minlength=n_labels) / len(truth)
    return {"majority_accuracy": float(shares.max()), "prior_accuracy": float((shares**2).sum())}


def reliability_bins(probabilities: NDArray[np.float64], truth: NDArray[np.int64]) -> list[dict[str, float]]:
    """Return the bins of the expected calibration error that have tickets, by rising confidence."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == truth
    bins = bins_of(confidence)
    return [
        {
            "from": number / N_BINS,
            "to": (number + 1) / N_BINS,
            "n_tickets": int((bins == number).sum()),
            "confidence": float(confidence[bins == number].mean()),
            "accuracy": float(correct[bins == number].mean()),
        }
        for number in range(N_BINS)
        if (bins == number).any()
    ]


def lengths_in_words(tickets: Tickets) -> NDArray[np.int64]:
    texts = zip(tickets.titles, tickets.descriptions, strict=True)
    return np.array([len(words_of(*text).all) for text in texts], dtype=np.int64)


def by_length(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], n_words: NDArray[np.int64]
) -> list[dict[str, Any]]:
    """Return accuracy and mean confidence for each band of lengths in words that has tickets."""
    correct = probabilities.argmax(axis=1) == truth
    confidence = probabilities.max(axis=1)
    rows = []
    for smallest, following in zip(_LENGTH_BANDS, (*_LENGTH_BANDS[1:], None), strict=True):
        inside = n_words >= smallest
        if following is not None:
            inside &= n_words < following
        if inside.any():
            rows.append(
                {
                    "words": f"{smallest} to {following - 1}" if following else f"{smallest} or more",
                    "n_tickets": int(inside.sum()),
                    "accuracy": float(correct[inside].mean()),
                    "mean_confidence": float(confidence[inside].mean()),
                }
            )
    return rows


def wilson_interval(n_right: float, n: float) -> list[float] | None:
    """Return the 95 % interval of a share (Wilson 1927), which holds for few tickets and near 1; none of none."""
    if n == 0:
        return None
    share, squared = n_right / n, _NORMAL_95**2
    middle = (share + squared / (2 * n)) / (1 + squared / n)
    half = _NORMAL_95 / (1 + squared / n) * math.sqrt(share * (1 - share) / n + squared / (4 * n * n))
    return [max(0.0, middle - half), min(1.0, middle + half)]


def decisions_of(
    counts: Counts, points: Mapping[str, OperatingPoint], *, design_effect: float = 1.0
) -> dict[str, dict[str, Any]]:
    """Return how many tickets ``points`` decide each way, and how many of those answers are right.

    Intervals are as wide as for the tickets over the ``design_effect``, since those of a group count together. Unknown
    words are left aside: every ticket counts as made of known words.
    """
    results = decided(counts, points)
    n_tickets = sum(n for n, _ in results.values())
    return {
        decision: {
            "n_tickets": n,
            "coverage": n / n_tickets,
            "precision": n_right / n if n else None,
            "precision_interval": wilson_interval(n_right / design_effect, n / design_effect),
        }
        for decision, (n, n_right) in results.items()
    }

"""How good answers are in one number each: accuracy and macro-F1, of any number of confusion matrices at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Accuracy and macro-F1, ``(n_matrices,)`` each."""

    accuracy: NDArray[np.float64]
    macro_f1: NDArray[np.float64]


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], n_labels: int) -> NDArray[np.int64]:
    """Return counts ``(n_labels, n_labels)``; rows are true."""
    return np.bincount(truth * n_labels + predicted, minlength=n_labels**2).reshape(n_labels, n_labels)


def scores_of_counts(counts: NDArray[np.float64] | NDArray[np.int64]) -> Scores:
    """Return the scores of confusion matrices ``(n_matrices, n_labels, n_labels)``.

    The macro-F1 is the mean over the labels that occur in a matrix, in its rows or its columns.
    """
    right = np.diagonal(counts, axis1=1, axis2=2).astype(np.float64)
    involved = counts.sum(axis=1) + counts.sum(axis=2)
    f1 = 2 * right / np.maximum(involved, 1e-12)
    return Scores(right.sum(axis=1) / counts.sum(axis=(1, 2)), f1.sum(axis=1) / (involved > 0).sum(axis=1))

"""How far a figure could have come out otherwise: resampling of the tickets that it was measured on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from app.training.fitting.scores import Scores, confusion, scores_of_counts

N_RESAMPLES = 1_000
_CHUNK_CELLS = 20_000_000


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Tickets to measure on, ``(n_tickets,)`` each: the positions of their labels, and the groups that are drawn."""

    truth: NDArray[np.int64]
    groups: NDArray[np.int64]
    n_labels: int

    def confusion(self, predicted: NDArray[np.int64]) -> NDArray[np.int64]:
        return confusion(self.truth, predicted, self.n_labels)


def bootstrap_scores(predicted: NDArray[np.int64], held_out: HeldOut, *, seed: int) -> Scores:
    """Return the scores of ``N_RESAMPLES`` draws of whole groups with replacement (Efron 1979; cluster bootstrap).

    Tickets of one group are right or wrong together, so drawing single tickets would promise too much.
    """
    n_labels = held_out.n_labels
    cells, cell = np.unique(held_out.truth * n_labels + predicted, return_inverse=True)
    names, group = np.unique(held_out.groups, return_inverse=True)
    counts = csr_matrix((np.ones(len(predicted)), (group, cell)), shape=(len(names), len(cells)))
    random = np.random.default_rng(seed)
    parts = []
    step = max(1, min(N_RESAMPLES, _CHUNK_CELLS // max(len(names), n_labels * n_labels)))
    for start in range(0, N_RESAMPLES, step):
        size = min(step, N_RESAMPLES - start)
        draws = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=size)
        matrices = np.zeros((size, n_labels * n_labels))
        matrices[:, cells] = (counts.T @ draws.T).T
        parts.append(scores_of_counts(matrices.reshape(size, n_labels, n_labels)))
    return Scores(np.concatenate([p.accuracy for p in parts]), np.concatenate([p.macro_f1 for p in parts]))


def interval(values: NDArray[np.float64]) -> list[float]:
    """Return the 2.5th and the 97.5th percentile."""
    return [float(value) for value in np.percentile(values, [2.5, 97.5])]


def score_interval(values: NDArray[np.float64], held_out: HeldOut) -> list[float]:
    """Return the interval of a score; of groups without an error, no draw has one, though the next group may.

    Then the lower end is that of Clopper & Pearson (1934) for as many groups as were measured.
    """
    low, high = interval(values)
    return [min(low, 0.025 ** (1 / len(np.unique(held_out.groups)))) if low == 1 else low, high]

"""Tickets that nobody labelled, as a teacher labels them: softly, by what those with a label mean.

The teacher is a logistic regression on the vectors of a sentence encoder. A sentence encoder tells meanings apart from
a few tickets, which a model of words cannot; the words of the many that it labels are then enough for one. A ticket is
given shares of labels and not one label, because the teacher's doubt is worth knowing, too (Hinton et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import softmax

from app.training.fitting.softmax_regression import Float32s, fit_softmax
from app.training.splitting.splits import Indices

# Measured on three public sets with ten or sixteen tickets a label: a weaker penalty changed nothing, a stronger one
# cost a point. Below one, the temperature makes shares firmer than the regression's own, which is shy with few tickets.
_INVERSE_REGULARISATION = 10.0
_TEMPERATURE = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """The tickets of a part, by position in it, that a head is to learn from, and their shares of labels."""

    tickets: Indices
    shares: Float32s


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """``positions`` of the unlabelled tickets, and of all tickets, labelled first, ``vectors`` and ``groups``.

    ``vectors`` ``(n_tickets, n_dimensions)`` have length one; near-duplicates have the same number in ``groups``.
    """

    positions: Indices
    vectors: Float32s
    groups: NDArray[np.int64]

    def apart_from(self, others: Indices) -> Indices:
        """Return the positions of those that no ticket of ``others`` nearly repeats."""
        return self.positions[~np.isin(self.groups[self.positions], self.groups[others])]

    def sample(self, n_tickets: int, *, seed: int) -> Pool:
        """Return a pool of at most so many, drawn by chance."""
        if len(self.positions) <= n_tickets:
            return self
        drawn = np.random.default_rng(seed).permutation(self.positions)[:n_tickets]
        return Pool(np.sort(drawn), self.vectors, self.groups)

    def lesson(self, tickets: Indices, truth: NDArray[np.int64], n_labels: int, share: float) -> Lesson:
        """Return what ``tickets`` teach: all that have a label, and of the others the ``share`` that is surest.

        ``truth`` ``(n_tickets,)`` is -1 where a ticket has no label.
        """
        labelled, others = np.flatnonzero(truth >= 0), np.flatnonzero(truth < 0)
        teacher = fit_softmax(
            csr_matrix((len(labelled), 0)),
            truth[labelled],
            n_labels=n_labels,
            inverse_regularisation=_INVERSE_REGULARISATION,
            dense=self.vectors[tickets[labelled]],
        )
        logits = self.vectors[tickets[others]] @ teacher.dense + teacher.bias
        shares = softmax(logits / _TEMPERATURE, axis=1)
        surest = np.argsort(-shares.max(axis=1), kind="stable")[: round(share * len(others))]
        kept = np.sort(surest)
        one_hot = np.eye(n_labels, dtype=np.float32)[truth[labelled]]
        return Lesson(
            np.concatenate([labelled, others[kept]]), np.concatenate([one_hot, shares[kept]]).astype(np.float32)
        )

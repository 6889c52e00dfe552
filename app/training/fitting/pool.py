"""What is always on the training side: tickets that nobody labelled, as a teacher labels them, and texts on labels.

A sentence encoder tells meanings apart from a few tickets, which a model of words cannot; the words of the many that
the teacher labels are then enough for one. A ticket is given shares of labels and not one label, because the teacher's
doubt is worth knowing, too (Hinton et al. 2015).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.training.fitting.softmax_regression import Float32s
from app.training.fitting.teacher import shares_by_descriptions, shares_by_regression
from app.training.splitting.splits import Indices


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """The tickets of a part, by position in it, that a head is to learn from, and their shares of labels."""

    tickets: Indices
    shares: Float32s


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """``unlabelled`` and ``label_texts`` are positions; of every position, ``vectors`` and ``groups``.

    ``vectors`` ``(n_positions, n_dimensions)`` have length one, and are ``None`` where there is no encoder, so that
    nothing can be taught. Near-duplicates have the same number in ``groups``.
    """

    unlabelled: Indices
    label_texts: Indices
    vectors: Float32s | None
    groups: NDArray[np.int64]

    @property
    def teaches(self) -> bool:
        return self.vectors is not None and len(self.unlabelled) > 0

    def apart_from(self, others: Indices) -> Indices:
        """Return the positions of all but the tickets that one of ``others`` nearly repeats."""
        is_apart = ~np.isin(self.groups[self.unlabelled], self.groups[others])
        return np.concatenate([self.unlabelled[is_apart], self.label_texts])

    def sample(self, n_tickets: int, *, seed: int) -> Pool:
        """Return a pool of at most so many tickets, drawn by chance."""
        if len(self.unlabelled) <= n_tickets:
            return self
        drawn = np.random.default_rng(seed).permutation(self.unlabelled)[:n_tickets]
        return replace(self, unlabelled=np.sort(drawn))

    def lesson(self, tickets: Indices, truth: NDArray[np.int64], n_labels: int, share: float) -> Lesson:
        """Return what ``tickets`` teach: all that have a label, and of the others the ``share`` that is surest.

        ``truth`` ``(n_tickets,)`` is -1 where a ticket has no label.
        """
        labelled = np.flatnonzero(truth >= 0)
        # A text on labels of another head says nothing of this one.
        others = np.flatnonzero((truth < 0) & ~np.isin(tickets, self.label_texts))
        shares = self._shares(tickets, truth, n_labels, labelled, others)
        surest = np.argsort(-shares.max(axis=1), kind="stable")[: round(share * len(others))]
        kept = np.sort(surest)
        one_hot = np.eye(n_labels, dtype=np.float32)[truth[labelled]]
        return Lesson(np.concatenate([labelled, others[kept]]), np.concatenate([one_hot, shares[kept]]))

    def _shares(
        self, tickets: Indices, truth: NDArray[np.int64], n_labels: int, labelled: Indices, others: Indices
    ) -> Float32s:
        if self.vectors is None:
            raise ValueError("a pool without vectors has no teacher")
        is_text = np.isin(tickets[labelled], self.label_texts)
        texts, known = labelled[is_text], labelled[~is_text]
        if len(np.unique(truth[texts])) < n_labels:
            of_labelled, of_others = self.vectors[tickets[labelled]], self.vectors[tickets[others]]
            return shares_by_regression(of_labelled, truth[labelled], of_others, n_labels=n_labels)
        return shares_by_descriptions(
            self.vectors[tickets[texts]],
            truth[texts],
            self.vectors[tickets[others]],
            labelled=self.vectors[tickets[known]],
            truth=truth[known],
            n_labels=n_labels,
        )

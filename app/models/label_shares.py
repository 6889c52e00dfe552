"""How often each label is due among the tickets of now, estimated from answers alone: no ticket needs a judgement.

It supposes that what tickets of a label look like has stayed, and only how many there are of each has changed. Then the
answers of now are a mixture of the answers that each label got at training, and the shares that explain them best are
found by expectation maximisation (Saerens, Latinne & Decaestecker 2002), on the confusion matrix instead of on the
probabilities of each ticket (Garg et al. 2020): that needs nothing but counts, which many processes can add up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Shares of labels by head, each head's summing to one.
Shares = Mapping[str, Mapping[str, float]]
NO_SHARES: Shares = MappingProxyType({})

# With fewer tickets the shares of an estimate are chance.
FEWEST_ANSWERS = 200
# Tickets a label that are supposed to have come in as at training: no label's share becomes zero.
_PRIOR_TICKETS = 0.1
# How unsure each row of the confusion matrix is: one ticket more, shared out as the labels are.
_SMOOTHING_TICKETS = 1.0
_MOST_ROUNDS = 1_000
_SMALL_CHANGE = 1e-7


@dataclass(frozen=True, slots=True)
class Confusion:
    """Which labels tickets had that got each answer of a head, from models that did not see the ticket.

    ``cells`` are the answer's number, the label's number, and how many tickets, where there are any.
    """

    labels: tuple[str, ...]
    cells: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        numbers = range(len(self.labels))
        if not self.cells or len({cell[:2] for cell in self.cells}) != len(self.cells):
            raise ValueError("a confusion matrix has no cells, or one of them twice")
        if not all(answer in numbers and label in numbers and n > 0 for answer, label, n in self.cells):
            raise ValueError(f"a cell of a confusion matrix is outside its {len(numbers)} labels, or empty")

    @classmethod
    def of(cls, labels: Sequence[str], counts: NDArray[np.int64]) -> Confusion:
        """Return the confusion of ``counts`` ``(n_labels, n_labels)``; rows are answers."""
        cells = [(answer, label, int(counts[answer, label])) for answer, label in np.argwhere(counts).tolist()]
        return cls(tuple(labels), tuple(cells))

    @property
    def shares(self) -> Floats:
        """Return the share of each label at training ``(n_labels,)``; that of a label without tickets is tiny."""
        counts = self._counts().sum(axis=0) + _PRIOR_TICKETS
        shares: Floats = counts / counts.sum()
        return shares

    def shares_behind(self, n_answers: Sequence[float]) -> Floats:
        """Return the shares of the labels ``(n_labels,)`` behind tickets that got each answer ``n_answers`` times."""
        at_training = self.shares
        counts = self._counts() + _SMOOTHING_TICKETS * at_training
        of_answer = counts / counts.sum(axis=1, keepdims=True)
        n_now = np.asarray(n_answers, dtype=np.float64)
        prior = _PRIOR_TICKETS * len(self.labels) * at_training
        shares = at_training
        for _ in range(_MOST_ROUNDS):
            now = of_answer * (shares / at_training)
            now /= now.sum(axis=1, keepdims=True)
            before, shares = shares, n_now @ now + prior
            shares /= shares.sum()
            if np.abs(shares - before).max() < _SMALL_CHANGE:
                break
        return shares

    def log_ratios(self, shares: Mapping[str, float]) -> Floats:
        """Return what adds to the logits ``(n_labels,)`` when labels have ``shares`` instead of those at training.

        The shares are above zero, and count by what they are of their sum. Raise ``ValueError`` when they are not of
        these labels.
        """
        if set(shares) != set(self.labels):
            odd = sorted(set(shares) ^ set(self.labels))
            raise ValueError(
                f'shares and model differ in the label "{odd[0]}": expected those of {", ".join(self.labels)}'
            )
        values = np.array([shares[label] for label in self.labels], dtype=np.float64)
        ratios: Floats = np.log(values / values.sum() / self.shares)
        return ratios

    def _counts(self) -> Floats:
        counts = np.zeros((len(self.labels), len(self.labels)))
        for answer, label, n in self.cells:
            counts[answer, label] = n
        return counts

"""How much a ticket must be like those of training to be acted on: by its own terms, and by what they say together.

A confidence compares the labels of a model with each other. It is high as well for a text that is no ticket at all, and
so the text itself is compared with those that the confidences were measured on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TrainingLikeness:
    """The numbers that ``is_unlike`` needs; a difference of one is a standard deviation of the training's tickets.

    ``n_tickets``: how many there were at training. ``known_words``, ``known_pairs``, ``evidence``: what a unit of each
    is worth; ``least``: a ticket below it is unlike those of training. ``least_ticket``: so is one whose terms speak
    less for being a ticket at all, in the last column of the weights; ``None`` for a model without such a column.
    """

    n_tickets: int
    known_words: float
    known_pairs: float
    evidence: float
    least: float
    least_ticket: float | None = None

    def of(self, known_words: float, known_pairs: float, evidence: float) -> float:
        """Return how much a ticket is like those of training.

        ``known_words`` and ``known_pairs`` are the shares of its words, and of its pairs of words, that they had, and
        ``evidence`` is the sum over heads of the most that its terms say for a label.
        """
        return self.known_words * known_words + self.known_pairs * known_pairs + self.evidence * evidence

    def is_unlike(self, known_words: float, known_pairs: float, evidence: float, ticket: float) -> bool:
        """Say whether a ticket is unlike those of training; ``ticket`` is what its terms say for being one."""
        if self.least_ticket is not None and ticket < self.least_ticket:
            return True
        return self.of(known_words, known_pairs, evidence) < self.least

    def refuses(self, known_words: float, n_words: int, n_known_pairs: int, most: list[float]) -> bool:
        """Say the same by numbers of words and pairs; ``most`` speaks for a label of each head, then for a ticket."""
        ticket = 0.0 if self.least_ticket is None else most.pop()
        return self.is_unlike(known_words, n_known_pairs / (n_words - 1) if n_words > 1 else 0.0, sum(most), ticket)


def least_unseen_idf(n_tickets: int) -> float:
    """Return the inverse document frequency from which on a term was in none of the ``n_tickets`` of the training.

    It is ``ln((1 + n) / (1 + df)) + 1``, so that a term of none of them and one of a single ticket are ln 2 apart.
    """
    return math.log(1 + n_tickets) + 1 - math.log(2) / 2


def unseen_idf(likeness: TrainingLikeness | None, metadata: Mapping[str, Any]) -> float:
    """Return ``least_unseen_idf`` of a version, whose metadata say how many tickets there were if its model does not.

    Without either, every term counts as seen.
    """
    try:
        return least_unseen_idf(int(metadata["split"]["n_tickets"] if likeness is None else likeness.n_tickets))
    except (KeyError, TypeError, ValueError):
        return math.inf

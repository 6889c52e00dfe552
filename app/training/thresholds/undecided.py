"""What is decided for a head that too few tickets were judged of: nothing is acted on, and nothing is promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.models.decisions import DecisionPolicy, OperatingPoint
from app.models.likeness import TrainingLikeness
from app.training.fitting.fits import Fits
from app.training.intake.label_numbers import LabelNumbers
from app.training.thresholds.confidence_counts import Answered, HeadCounts
from app.training.thresholds.decide import AMBIGUITY_MARGIN, MIN_KNOWN_SHARE, Decisions, HeadDecisions
from app.training.thresholds.operating_points import Thresholds, figures_of_points

# No calibration says what a confidence is worth, so that a suggestion is what the model itself takes to be more likely
# than all other labels together.
_SUGGEST = 0.5


def undecided(
    fits: Fits, numbers: LabelNumbers, answers: Mapping[str, NDArray[np.float64]], *, target_precision: float
) -> Decisions:
    """Return decisions without ``auto``; ``answers`` ``(n_tickets, n_labels)`` of each head are the model's own."""
    heads = {head: _undecided_head(names, answers[head], target_precision) for head, names in numbers.names.items()}
    # No ticket is unlike others, since none is acted on; but how many there were says which words they had.
    n_tickets = len(fits.design.tickets)
    likeness = TrainingLikeness(n_tickets, known_words=0.0, known_pairs=0.0, evidence=0.0, least=0.0)
    return Decisions(heads, likeness, {})


def _undecided_head(labels: Sequence[str], answers: NDArray[np.float64], target_precision: float) -> HeadDecisions:
    points = {label: OperatingPoint(auto=None, suggest=_SUGGEST) for label in labels}
    nothing = np.zeros((0, len(labels)))
    answered = Answered.of(nothing, np.zeros(0, np.int64), ambiguity_margin=AMBIGUITY_MARGIN)
    counts = HeadCounts(answered.counts(labels))
    figures: dict[str, Any] = {"thresholds": {"chosen_by": "precision", "target_precision": target_precision}}
    return HeadDecisions(
        temperature=1.0,
        thresholds=Thresholds(points, {**figures, **figures_of_points(points, counts)}),
        policy=DecisionPolicy(points, AMBIGUITY_MARGIN, MIN_KNOWN_SHARE),
        counts=counts,
        before={},
        after={},
        unseen=answers,
    )

"""What a person's judgement of a ticket is expected to be worth, which is the order of the review queue.

``benchmarks/review_order.py`` measures what training on tickets in this order gains against others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from app.models.classifier import Prediction

# By head and label.
LabelWeights: TypeAlias = Mapping[str, Mapping[str, float]]

_ALL_EQUAL: Final[LabelWeights] = MappingProxyType({})
_NO_LABELS: Final[Mapping[str, float]] = MappingProxyType({})


def label_weights(metadata: Mapping[str, object]) -> LabelWeights:
    """Return how much a doubt about each label of each head weighs: the root of how rare the label was in training.

    It is what a ticket of the label weighs in training with a ``class_balance`` of one half. ``metadata`` is that of a
    model; where it does not say how often labels occurred, they weigh the same.
    """
    distributions = metadata.get("label_distributions")
    if not isinstance(distributions, dict):
        return _ALL_EQUAL
    weights = {}
    for head, counts in distributions.items():
        if isinstance(counts, dict) and counts and all(isinstance(n, int) and n > 0 for n in counts.values()):
            mean = sum(counts.values()) / len(counts)
            weights[head] = {label: math.sqrt(mean / n) for label, n in counts.items()}
    return weights


def review_worth(prediction: Prediction, weights: LabelWeights = _ALL_EQUAL, *, is_audit: bool = False) -> float:
    """Return 0 to 1: 1 for an audit, else more the less each head's label is ahead of the next, and the rarer it is."""
    if is_audit:
        return 1.0
    doubt = 0.0
    for name, (label, confidence, _, _, alternatives) in prediction.heads.items():
        lead = confidence - (alternatives[0].confidence if alternatives else 0.0)
        doubt += (1.0 - lead) * weights.get(name, _NO_LABELS).get(label, 1.0)
    # Any number becomes one below 1, and the order stays.
    return doubt / (1.0 + doubt)

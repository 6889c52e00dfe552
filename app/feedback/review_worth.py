"""What a person's judgement of a ticket is expected to be worth, which is the order of the review queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.models.classifier import Prediction


def review_worth(prediction: Prediction) -> float:
    """Return 0 to 1, the more the less the most doubtful head's label is ahead of the next one."""
    leads = [
        head.confidence - (head.alternatives[0].confidence if head.alternatives else 0.0)
        for head in prediction.heads.values()
    ]
    return 1 - min(leads)

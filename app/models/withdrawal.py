"""What is left of ``auto`` where it is not right as often as was promised: a suggestion."""

from __future__ import annotations

from collections.abc import Collection

from app.models.classifier import HeadPrediction, Prediction
from app.models.decisions import PROMISE_BROKEN


def withdraw(prediction: Prediction, withdrawn: Collection[tuple[str, str]]) -> Prediction:
    """Return ``prediction`` with ``suggest`` for ``auto`` where head and label are among those ``withdrawn``."""
    heads = {
        head: _suggested(answer) if answer.decision == "auto" and (head, answer.label) in withdrawn else answer
        for head, answer in prediction.heads.items()
    }
    return prediction._replace(heads=heads)


def _suggested(answer: HeadPrediction) -> HeadPrediction:
    return answer._replace(decision="suggest", reasons=(PROMISE_BROKEN,))

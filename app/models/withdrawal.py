"""What is left of ``auto`` where it is not right as often as was promised: a suggestion."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from app.models.classifier import HeadPrediction, Prediction
from app.models.decisions import PROMISE_BROKEN
from app.models.explanation import Explanation


def withdraw(prediction: Prediction, withdrawn: Collection[tuple[str, str]]) -> Prediction:
    """Return ``prediction`` with ``suggest`` for ``auto`` where head and label are among those ``withdrawn``."""
    heads = {
        head: _suggested(answer) if answer.decision == "auto" and (head, answer.label) in withdrawn else answer
        for head, answer in prediction.heads.items()
    }
    return prediction._replace(heads=heads)


def withdraw_explained(explanation: Explanation, withdrawn: Collection[tuple[str, str]]) -> Explanation:
    """Return ``explanation`` with the decisions and reasons that ``withdraw`` gives the answers."""
    heads = {
        name: replace(head, decision="suggest", reasons=(PROMISE_BROKEN,))
        if head.decision == "auto" and (name, head.label) in withdrawn
        else head
        for name, head in explanation.heads.items()
    }
    return replace(explanation, heads=heads)


def _suggested(answer: HeadPrediction) -> HeadPrediction:
    return answer._replace(decision="suggest", reasons=(PROMISE_BROKEN,))

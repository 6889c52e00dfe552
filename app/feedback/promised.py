"""What a version promises: a precision of ``auto``, for each label that may have it, and for each head as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.models.classifier import PROMISED_PRECISION
from app.store.promise import HeadLabel

if TYPE_CHECKING:
    from app.models.classifier import TicketClassifier


@dataclass(frozen=True, slots=True)
class Promise:
    """The share of ``auto`` answers that is to be right at least."""

    of: HeadLabel
    target: float


def promises_of(classifier: TicketClassifier) -> tuple[Promise, ...]:
    """Return the promises of a version, each head before its labels.

    There are none for a head whose thresholds were chosen by costs or by hand, nor for any of a version of before
    promises were stored with it.
    """
    stored = classifier.metadata.get(PROMISED_PRECISION)
    targets = stored if isinstance(stored, dict) else {}
    promises: list[Promise] = []
    for head in classifier.heads:
        target, labels = targets.get(head), classifier.labels_acted_on(head)
        if isinstance(target, float) and 0 < target < 1 and labels:
            promises += [Promise(HeadLabel(head, label), target) for label in ("", *labels)]
    return tuple(promises)

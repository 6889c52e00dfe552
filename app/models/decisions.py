"""What to do with a prediction: act on it (``auto``), show it (``suggest``), or ask a person (``review``), and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Decision = Literal["auto", "suggest", "review"]

BELOW_THRESHOLD = "below_threshold"
NO_OPERATING_POINT = "no_operating_point"
NO_KNOWN_WORDS = "no_known_words"
MOSTLY_UNKNOWN_WORDS = "mostly_unknown_words"
UNLIKE_TRAINING = "unlike_training"
AMBIGUOUS = "ambiguous"
PROMISE_BROKEN = "promise_broken"


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The confidences from which one label of one head is decided; ``None`` where no threshold keeps the promise."""

    auto: float | None
    suggest: float | None


@dataclass(frozen=True, slots=True)
class DecisionPolicy:
    """The operating points of one head by label, and what makes any confidence doubtful.

    ``ambiguity_margin``: the smallest lead of the first label over the second that is not ambiguous.
    ``min_known_share``: the share of a ticket's words that the model must know for ``auto``.
    """

    operating_points: Mapping[str, OperatingPoint]
    ambiguity_margin: float
    min_known_share: float

    def decide(
        self,
        label: str,
        confidence: float,
        lead: float,
        known_share: float,
        is_unlike: bool = False,  # noqa: FBT001, FBT002
    ) -> tuple[Decision, tuple[str, ...]]:
        """Return the decision and the reasons for it not being ``auto``; an ``auto`` has none.

        ``is_unlike``: whether the ticket is unlike those of training.
        """
        if known_share <= 0:
            return "review", (NO_KNOWN_WORDS,)
        reasons = []
        if known_share < self.min_known_share:
            reasons.append(MOSTLY_UNKNOWN_WORDS)
        if is_unlike:
            reasons.append(UNLIKE_TRAINING)
        point = self.operating_points[label]
        if point.auto is None:
            reasons.append(NO_OPERATING_POINT)
        elif confidence < point.auto:
            reasons.append(BELOW_THRESHOLD)
        if lead < self.ambiguity_margin:
            reasons.append(AMBIGUOUS)
        if not reasons:
            return "auto", ()
        suggestible = point.suggest is not None and confidence >= point.suggest
        return ("suggest" if suggestible and MOSTLY_UNKNOWN_WORDS not in reasons else "review"), tuple(reasons)

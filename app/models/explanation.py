"""Why a ticket has its labels: the model is linear, so each answer is taken apart exactly, term by term.

These are the values that say so; how they come about is left to ``app.models.explaining``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.models.decisions import Decision
from app.models.features import BlockKind
from app.models.summary import summary_of
from app.models.written_words import Span


# A tuple, because an explanation has hundreds of them.
class Term(NamedTuple):
    """A term of the ticket and what it adds to each logit; ``spans`` are where it was written.

    ``seen_in_training``: whether a ticket of the training had it, or the model knows it from word vectors alone.
    """

    term: str
    kind: BlockKind
    spans: tuple[Span, ...]
    seen_in_training: bool
    labels: tuple[str, ...]
    values: Sequence[float]

    @property
    def contributions(self) -> dict[str, float]:
        """Return what the term adds to the logit of each label."""
        return dict(zip(self.labels, self.values, strict=True))

    def as_document(self) -> dict[str, object]:
        return {
            "term": self.term,
            "kind": self.kind,
            "spans": [{"field": span.field, "start": span.start, "end": span.end} for span in self.spans],
            "seen_in_training": self.seen_in_training,
            "contributions": self.contributions,
        }


@dataclass(frozen=True, slots=True)
class Versus:
    """Why not ``label``: indexes of terms that speak most for the answer over it, and most against the answer.

    ``would_flip``: words without any of which ``label`` would win; none if there are none, or they were not looked for.
    """

    label: str
    speak_for: tuple[int, ...]
    speak_against: tuple[int, ...]
    would_flip: tuple[str, ...] | None

    def as_document(self) -> dict[str, object]:
        return {
            "label": self.label,
            "for": list(self.speak_for),
            "against": list(self.speak_against),
            "would_flip": None if self.would_flip is None else list(self.would_flip),
        }


@dataclass(frozen=True, slots=True)
class HeadExplanation:
    """The answer of one head, taken apart: for each label ``bias + contributions + remaining = logit``."""

    label: str
    confidence: float
    decision: Decision
    reasons: tuple[str, ...]
    logits: Mapping[str, float]
    bias: Mapping[str, float]
    terms: tuple[Term, ...]
    remaining: Mapping[str, float]
    versus: tuple[Versus, ...]
    runner_up: str
    # Indexes of the terms that say most that it is this label, rather than any other.
    speak_most: tuple[int, ...]

    @property
    def summary(self) -> str:
        """Return the answer, why it is that, and what is done with it, in one sentence."""
        return summary_of(self, [self.terms[i] for i in self.speak_most])

    def as_document(self) -> dict[str, object]:
        """Return the explanation in plain JSON values."""
        return {
            "label": self.label,
            "confidence": self.confidence,
            "decision": self.decision,
            "reasons": list(self.reasons),
            "logits": dict(self.logits),
            "bias": dict(self.bias),
            "terms": [term.as_document() for term in self.terms],
            "remaining": dict(self.remaining),
            "versus": [versus.as_document() for versus in self.versus],
            "summary": self.summary,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answers of all heads by name."""

    model_version: str
    heads: Mapping[str, HeadExplanation]

    def as_document(self) -> dict[str, object]:
        """Return the explanation in plain JSON values."""
        heads = {name: head.as_document() for name, head in self.heads.items()}
        return {"model_version": self.model_version, "heads": heads}

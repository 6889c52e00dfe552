"""What travels between the rules of judging and the tables: what was said of a ticket, and of which answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Source = Literal["review", "helpdesk", "api"]


@dataclass(frozen=True, slots=True)
class Remark:
    """What somebody says of one ticket: the right label of each head, and which ticket is meant.

    ``prediction_id`` or ``ticket_id`` says it, or the text alone; the text may also come along with either.
    """

    labels: Mapping[str, str]
    source: Source
    prediction_id: str | None = None
    ticket_id: str | None = None
    title: str | None = None
    description: str | None = None
    reviewer: str | None = None
    allow_new_labels: bool = False
    # A hash of the caller and the caller's key, and one of what was said under it.
    idempotency_key: str | None = None
    body_sha256: str | None = None
    # Said of all answers of a filter at once, none of which was read.
    accepted_together: bool = False


@dataclass(frozen=True, slots=True)
class HeadAnswer:
    """What one head had answered."""

    label: str
    decision: str
    alternatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A prediction that is judged."""

    prediction_id: str
    ticket_id: str | None
    model_version: str
    model_digest: str
    is_audit: bool
    asked_chance: float
    heads: Mapping[str, HeadAnswer]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The right label of one head, and what had been answered, as far as there was an answer."""

    head: str
    label: str
    predicted_label: str | None = None
    predicted_decision: str | None = None
    model_version: str | None = None
    model_digest: str | None = None
    is_audit: bool = False
    asked_chance: float | None = None


def agreed(judgements: Iterable[Judgement]) -> dict[str, bool]:
    """Return for each head that had answered whether its answer was right."""
    return {
        judgement.head: judgement.label == judgement.predicted_label
        for judgement in judgements
        if judgement.predicted_label is not None
    }


@dataclass(frozen=True, slots=True)
class Recorded:
    """A remark that is kept, and what it was found to say."""

    feedback_id: str
    prediction_id: str | None
    agreed: Mapping[str, bool]

"""A ticket as the page of review shows it: its labels with their keys, and a long text in two parts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.models.classifier import TicketClassifier
    from app.store.review_queue import ReviewItem

# What fits on a screen; the rest is a click away.
_BEGINNING_CHARACTERS: Final = 1_200
# A rest that is not worth a click.
_FEW_CHARACTERS: Final = 300
_WORD_CHARACTERS: Final = 100
_KEY_BYTES: Final = 16
_ONE_DIGIT: Final = 9
_TEN: Final = 10
_TWO_DIGITS: Final = 99


@dataclass(frozen=True, slots=True)
class ShownLabel:
    """A label to choose; ``keys`` are the digits that do it, empty where there are not enough."""

    label: str
    keys: str
    is_answer: bool


@dataclass(frozen=True, slots=True)
class ShownHead:
    """A question about the ticket; ``answer`` is the model's, None where nobody may know it."""

    name: str
    labels: tuple[ShownLabel, ...]
    answer: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class ShownTicket:
    """A ticket that is judged; ``key`` makes the judgement count once, however often its form is sent."""

    prediction_id: str
    ticket_id: str | None
    received_ms: int
    is_audit: bool
    title: str | None
    beginning: str
    rest: str
    heads: tuple[ShownHead, ...]
    key: str


def shown_ticket(item: ReviewItem, classifier: TicketClassifier) -> ShownTicket:
    """Return ``item`` with the labels of the model that serves, and those that its own answer has besides."""
    beginning, rest = _in_two(item.description or "")
    return ShownTicket(
        prediction_id=item.prediction_id,
        ticket_id=item.ticket_id,
        received_ms=item.received_ms,
        is_audit=item.is_audit,
        title=item.title,
        beginning=beginning,
        rest=rest,
        heads=_heads(item.predictions, {head: tuple(classifier.labels(head)) for head in classifier.heads}),
        key=secrets.token_hex(_KEY_BYTES),
    )


def keys_of(n_labels: int) -> list[str]:
    """Return the digits that choose each of so many labels: all of the same length, so that none begins another."""
    if n_labels <= _ONE_DIGIT:
        return [str(number) for number in range(1, n_labels + 1)]
    if n_labels == _TEN:
        return [*keys_of(_ONE_DIGIT), "0"]
    return [f"{number:02}" if number <= _TWO_DIGITS else "" for number in range(1, n_labels + 1)]


def _heads(
    predictions: Mapping[str, Mapping[str, Any]] | None, serving: Mapping[str, Sequence[str]]
) -> tuple[ShownHead, ...]:
    """Return the heads that were answered, in the order of the model; of an audit, all that the model has."""
    if predictions is None:
        return tuple(_head(name, labels, None) for name, labels in serving.items())
    names = [*(name for name in serving if name in predictions), *sorted(predictions.keys() - serving.keys())]
    return tuple(_head(name, serving.get(name, ()), predictions[name]) for name in names)


def _head(name: str, labels: Sequence[str], answer: Mapping[str, Any] | None) -> ShownHead:
    known = dict.fromkeys(labels)
    if answer is not None:
        known |= dict.fromkeys([answer["label"], *(other["label"] for other in answer["alternatives"])])
    answered = None if answer is None else answer["label"]
    shown = (ShownLabel(label, keys, label == answered) for label, keys in zip(known, keys_of(len(known)), strict=True))
    return ShownHead(name, tuple(shown), answer)


def _in_two(text: str) -> tuple[str, str]:
    """Return the beginning of a long text, which ends with a word if it can, and the rest."""
    if len(text) <= _BEGINNING_CHARACTERS + _FEW_CHARACTERS:
        return text, ""
    end = max(text.rfind(space, _BEGINNING_CHARACTERS - _WORD_CHARACTERS, _BEGINNING_CHARACTERS) for space in " \n")
    end = _BEGINNING_CHARACTERS if end < 0 else end + 1
    return text[:end], text[end:]

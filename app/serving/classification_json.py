"""Answers as JSON, as ``/classify`` gives them, written directly: dictionaries for an encoder cost three times as much.

An answer comes in two parts, because what is kept of it may be the one without the other. Numbers have at most six
decimals, which is more than a probability is good for, and never an exponent.
"""

from __future__ import annotations

from json.encoder import encode_basestring as _quoted
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.models.classifier import Prediction


class TicketContent(Protocol):
    """What an answer repeats of its ticket."""

    @property
    def title(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def customer_email(self) -> str | None: ...
    @property
    def ticket_id(self) -> str | None: ...


def text_members(ticket: TicketContent) -> str:
    """Return those members of a ``Classification`` in JSON that are the customer's, without braces."""
    email = ticket.customer_email
    return (
        f'"title":{_quoted(ticket.title)},"description":{_quoted(ticket.description)},'
        f'"customer_email":{"null" if email is None else _quoted(email)}'
    )


def prediction_members(prediction: Prediction, *, prediction_id: str, ticket_id: str | None, version: str) -> str:
    """Return all other members of a ``Classification`` in JSON, without braces."""
    needs_review = "false"
    predictions = []
    labels = {"priority": "null", "department": "null"}
    confidences = {"priority": "null", "department": "null"}
    for name, (label, probability, decision, reasons, others) in prediction.heads.items():
        quoted_label, confidence = _quoted(label), _decimal(probability)
        if decision == "review":
            needs_review = "true"
        if name in labels:
            labels[name], confidences[name] = quoted_label, confidence
        alternatives = [f'{{"label":{_quoted(other)},"confidence":{_decimal(p)}}}' for other, p in others]
        predictions.append(
            f'{_quoted(name)}:{{"label":{quoted_label},"confidence":{confidence},"decision":"{decision}",'
            f'"reasons":[{_strings(reasons) if reasons else ""}],"alternatives":[{",".join(alternatives)}]}}'
        )
    return (
        f'"prediction_id":"{prediction_id}","ticket_id":{"null" if ticket_id is None else _quoted(ticket_id)},'
        f'"predicted_priority":{labels["priority"]},"predicted_department":{labels["department"]},'
        f'"priority_confidence":{confidences["priority"]},"department_confidence":{confidences["department"]},'
        f'"model_version":{_quoted(version)},"needs_review":{needs_review},"predictions":{{{",".join(predictions)}}}'
    )


def _decimal(probability: float) -> str:
    digits = f"{probability:.6f}"
    if digits[-1] != "0":
        return digits
    digits = digits.rstrip("0")
    return f"{digits}0" if digits[-1] == "." else digits


def _strings(texts: Iterable[str]) -> str:
    return ",".join([_quoted(text) for text in texts])

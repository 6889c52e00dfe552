"""Which columns a classified ticket gets, and their values: three of each head, then what holds for the ticket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.models.classifier import HeadColumn

# Beyond this a probability says nothing, and machines begin to differ.
_CONFIDENCE_DIGITS = 6


def prediction_columns(heads: Sequence[str]) -> dict[str, type]:
    """Return names and types of the columns that are added."""
    columns: dict[str, type] = {}
    for head in heads:
        columns |= {f"predicted_{head}": str, f"{head}_confidence": float, f"{head}_decision": str}
    return {**columns, "needs_review": bool, "model_version": str}


def prediction_values(
    predictions: Mapping[str, HeadColumn], heads: Sequence[str], version: str, *, n_tickets: int
) -> list[list[Any]]:
    """Return the values of each of these columns."""
    columns: list[list[Any]] = []
    for head in (predictions[name] for name in heads):
        columns += [head.labels, [round(p, _CONFIDENCE_DIGITS) for p in head.confidences], head.decisions]
    of_ticket = zip(*(predictions[name].decisions for name in heads), strict=True)
    return [*columns, ["review" in decisions for decisions in of_ticket], [version] * n_tickets]

"""How often each label is due among the tickets of late, by head, beside its share at training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.insights.drift_report import DriftReport
    from app.models.reference import Reference


@dataclass(frozen=True, slots=True)
class LabelMix:
    """Shares of the labels of one head, each side summing to one; those of ``now`` are estimated."""

    training: Mapping[str, float]
    now: Mapping[str, float]


def label_mixes(report: DriftReport, reference: Reference | None) -> dict[str, LabelMix]:
    """Return the mix of each head; none while tickets are too few, or where it is not known how the head errs."""
    observed = {feature.head: feature.observed for feature in report.features if feature.feature == "label"}
    mixes = {}
    for name, head in ({} if reference is None else reference.heads).items():
        if head.confusion is None or name not in observed:
            continue
        labels = head.confusion.labels
        now = head.confusion.shares_behind([observed[name][label] * report.n_tickets for label in labels])
        at_training = head.confusion.shares
        mixes[name] = LabelMix(
            dict(zip(labels, at_training.tolist(), strict=True)), dict(zip(labels, now.tolist(), strict=True))
        )
    return mixes

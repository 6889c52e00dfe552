"""Which thresholds of a finished version to change by what people judged of its answers, and what to say of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from app.models.artifacts import read_verified, verify
from app.models.classifier import METADATA_NAME, PROMISED_PRECISION
from app.models.model_data import MODEL_NAME
from app.training.files.new_thresholds import Change, ThresholdError, known
from app.training.thresholds.judged_points import (
    FEWEST_ANSWERS,
    Evidence,
    JudgedPoint,
    choose_judged,
    effective_number,
)

_NOTHING = Evidence((), ())
_MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class JudgedChange:
    """The thresholds of ``auto`` of the heads that are chosen anew, for the precision of each, and lines to print."""

    change: Change
    target_precisions: Mapping[str, float]
    lines: tuple[str, ...]


def judged_change(
    directory: Path,
    evidence: Mapping[str, Mapping[str, Evidence]],
    *,
    target_precision: float | None = None,
    head: str | None = None,
) -> JudgedChange:
    """Choose by ``evidence``, which is by head and label, for ``target_precision`` or what each head promises.

    Raise ``ThresholdError``, with numbers, when no label has enough judged answers.
    """
    manifest = verify(directory)
    model, metadata = (
        json.loads(bytes(read_verified(directory, manifest, name))) for name in (MODEL_NAME, METADATA_NAME)
    )
    promised = metadata.get(PROMISED_PRECISION, {})
    points = {of_head["name"]: of_head["operating_points"] for of_head in model["heads"]}
    heads = list(points) if head is None else [known(head, points, what="head")]
    of_labels = {(name, label): evidence.get(name, {}).get(label, _NOTHING) for name in heads for label in points[name]}
    if all(effective_number(found) < FEWEST_ANSWERS for found in of_labels.values()):
        raise ThresholdError(_too_few(of_labels))
    change, targets, lines = {}, {}, []
    for (name, label), found in of_labels.items():
        target = target_precision or promised.get(name)
        if target is None:
            raise ThresholdError(f"{name} promises no precision to choose for: give --target-precision")
        targets[name] = target
        before = points[name][label]["auto"]
        # What nobody has judged may stay as it is, but not under a greater promise than was made for it.
        may_stay = before if (promised.get(name) or 0.0) >= target else None
        chosen = choose_judged(found, target, before=may_stay)
        change[name, label, "auto"] = chosen.auto
        lines.append(f"{name}.{label}: {_told(found, chosen, target)}")
    return JudgedChange(change, targets, tuple(lines))


def _told(found: Evidence, chosen: JudgedPoint, target: float) -> str:
    judged = f"{len(found.judged):,} of {found.n_answers:,} answers judged, worth {effective_number(found):,.0f}"
    if chosen.auto is not None and chosen.is_proven and chosen.share is not None:
        return (
            f"{judged}; from {chosen.auto:.3f} on, {chosen.share.least:.1%} are right, of "
            f"{chosen.share.n_answers / found.n_answers:.0%} of its answers"
        )
    if chosen.is_proven and chosen.share is not None:
        return f"{judged}; at most {chosen.share.greatest:.1%} are right where it acted alone, so it does no more"
    if chosen.auto is None:
        return f"{judged}; no confidence is proven to give {target:g}"
    return f"{judged}; too few to tell, so its threshold stays"


def _too_few(of_labels: Mapping[tuple[str, str], Evidence]) -> str:
    most = sorted(of_labels.items(), key=lambda pair: -effective_number(pair[1]))[:_MOST_NAMED]
    found = ", ".join(
        f"{name}.{label} {len(evidence.judged):,} (worth {effective_number(evidence):,.0f})"
        for (name, label), evidence in most
    )
    return f"too few answers of this version were judged: {found}; a label needs answers worth {FEWEST_ANSWERS}"

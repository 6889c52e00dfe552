"""Other thresholds for a finished version: its files again, with all that tells of decisions made consistent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.models.artifacts import ArtifactError, Manifest, read_verified, verify
from app.models.classifier import METADATA_NAME, PROMISED_PRECISION
from app.models.decisions import OperatingPoint
from app.models.model_data import MODEL_NAME
from app.training.files.version_files import METRICS_NAME, json_bytes
from app.training.measuring.evaluation import decisions_of
from app.training.report.metadata import promise_chance, promised_precision
from app.training.report.model_card import CARD_NAME, model_card
from app.training.thresholds.confidence_counts import COUNTS_NAME, HeadCounts, counts_from_bytes
from app.training.thresholds.operating_points import chosen_for, figures_of_points, points_for_precision

# Head, label, and "auto" or "suggest" to the threshold; ``None`` takes it away.
Change = Mapping[tuple[str, str, str], float | None]


class ThresholdError(Exception):
    """A wish that the version cannot fulfil; the message says what it has."""


def with_thresholds(
    directory: Path,
    version: str,
    *,
    change: Change | None = None,
    target_precision: float | None = None,
    head: str | None = None,
    judged_for: Mapping[str, float] | None = None,
) -> tuple[dict[str, bytes], list[str]]:
    """Return the files of a new ``version`` made from that in ``directory``, and lines on what changed and follows.

    Either ``change`` names thresholds, or ``target_precision`` chooses those of ``head``, or of all heads. With
    ``judged_for``, ``change`` was chosen by what people judged, for a precision of each head. Raise ``ThresholdError``
    for what the version does not have, and ``ArtifactError`` when it does not verify.
    """
    manifest = verify(directory)
    files = {name: bytes(read_verified(directory, manifest, name)) for name in manifest.files}
    counts = _counts(directory, manifest, files)
    model, metrics, metadata = (json.loads(files[name]) for name in (MODEL_NAME, METRICS_NAME, METADATA_NAME))
    before = {h["name"]: _points(h["operating_points"]) for h in model["heads"]}
    if change is None and target_precision is not None:
        chosen = [known(head, before, what="head")] if head is not None else list(before)
        after = {name: points_for_precision(counts[name], target_precision) for name in chosen}
        thresholds = {name: chosen_for(counts[name], target_precision) for name in chosen}
    else:
        after = _changed(before, change or {})
        thresholds = {name: _chosen_by(judged_for, name) for name in after}
    for of_head in model["heads"]:
        name = of_head["name"]
        if name in after:
            _describe(metrics[name], after[name], counts[name], thresholds[name])
            of_head["operating_points"] = metrics[name]["operating_points"]
    metadata |= {
        "version": version,
        "trained_as": metadata.get("trained_as", metadata["version"]),
        PROMISED_PRECISION: promised_precision(metrics),
        "promise_chance": promise_chance(metrics),
    }
    files[MODEL_NAME], files[METRICS_NAME], files[METADATA_NAME] = map(json_bytes, (model, metrics, metadata))
    files[CARD_NAME] = model_card(metadata, metrics).encode()
    summary = _summary(before, after)
    if judged_for is not None:
        return files, summary
    for name, points in after.items():
        of_labels = figures_of_points(points, counts[name])["operating_points_out_of_fold"]
        summary += [_outcome(f"{name}.{label}", figures["auto"]) for label, figures in of_labels.items()]
    if target_precision is not None:
        infeasible = [f"{name}.{label}" for name in after for label, point in after[name].items() if point.auto is None]
        summary += [f"{label}: a precision of {target_precision:g} is infeasible" for label in infeasible]
    return files, summary


def _chosen_by(judged_for: Mapping[str, float] | None, head: str) -> dict[str, Any]:
    if judged_for is None:
        return {"chosen_by": "hand", "target_precision": None}
    return {"chosen_by": "judgements", "target_precision": judged_for[head]}


def _counts(directory: Path, manifest: Manifest, files: Mapping[str, bytes]) -> dict[str, HeadCounts]:
    for name in (COUNTS_NAME, METRICS_NAME):
        if name not in manifest.files:
            raise ThresholdError(f"{directory} has no {name}: train the version again with this release")
    try:
        return counts_from_bytes(files[COUNTS_NAME])
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{directory / COUNTS_NAME} is not readable: {error}") from error


def _points(document: Mapping[str, Mapping[str, float | None]]) -> dict[str, OperatingPoint]:
    return {label: OperatingPoint(point["auto"], point["suggest"]) for label, point in document.items()}


def _changed(before: Mapping[str, dict[str, OperatingPoint]], change: Change) -> dict[str, dict[str, OperatingPoint]]:
    after: dict[str, dict[str, OperatingPoint]] = {}
    for (head, label, kind), threshold in change.items():
        of_head = after.setdefault(known(head, before, what="head"), dict(before[head]))
        point = of_head[known(label, of_head, what=f"label of {head}")]
        of_head[label] = (
            OperatingPoint(threshold, point.suggest) if kind == "auto" else OperatingPoint(point.auto, threshold)
        )
    return after


def known(name: str, names_there: Mapping[str, object], *, what: str) -> str:
    """Return ``name`` if it is one of those there; raise ``ThresholdError``, which names them, if not."""
    if name not in names_there:
        names = ", ".join(f'"{one}"' for one in names_there)
        raise ThresholdError(f'"{name}" is no {what}; expected one of {names}')
    return name


def _describe(
    figures: dict[str, Any], points: Mapping[str, OperatingPoint], counts: HeadCounts, thresholds: Mapping[str, Any]
) -> None:
    """Bring the figures of one head up to date with ``points``; those that need a table of costs are dropped."""
    figures.pop("costs_out_of_fold", None)
    figures |= {"thresholds": thresholds, **figures_of_points(points, counts)}
    if counts.validation is not None:
        figures["decisions"] = decisions_of(counts.validation, points, design_effect=counts.design_effect)


def _summary(
    before: Mapping[str, Mapping[str, OperatingPoint]], after: Mapping[str, Mapping[str, OperatingPoint]]
) -> list[str]:
    """Return a line for each threshold that changed, and for each label that still has none to act alone from."""
    lines = []
    for head, points in after.items():
        for label, point in points.items():
            if point.auto is None and before[head][label].auto is None:
                lines.append(f"{head}.{label}.auto: none, as before")
            for kind, old, new in (
                ("auto", before[head][label].auto, point.auto),
                ("suggest", before[head][label].suggest, point.suggest),
            ):
                if old != new:
                    lines.append(f"{head}.{label}.{kind}: {_shown(old)} -> {_shown(new)}")
    return lines or ["no threshold changed"]


def _outcome(label: str, auto: Mapping[str, Any]) -> str:
    if not auto["n_tickets"]:
        return f"{label}: answers no ticket alone"
    return f"{label}: answers {auto['coverage']:.1%} of all tickets alone, {auto['precision']:.1%} of them rightly"


def _shown(threshold: float | None) -> str:
    return "none" if threshold is None else f"{threshold:.3f}"

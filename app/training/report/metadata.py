"""``model_metadata.json``: where a version comes from, so that it can be told from others and made again."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import joblib
import numpy as np
import scipy
import sklearn

from app.models.classifier import PROMISED_PRECISION
from app.training.intake.label_texts import LabelTexts
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.unlabelled_tickets import Unlabelled
from app.training.splitting.overlap import Partition
from app.training.teaching.encoder import PACKAGE


def promised_precision(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """Return what each head promises of its ``auto``: none where thresholds were chosen by costs or by hand."""
    return {head: figures["thresholds"]["target_precision"] for head, figures in metrics.items()}


def promise_chance(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the chance that each head keeps what it promises: none where nothing was proven."""
    return {head: figures["thresholds"].get("chance") for head, figures in metrics.items()}


def metadata_of(
    tickets: Tickets,
    parts: Partition,
    metrics: Mapping[str, Mapping[str, Any]],
) -> dict[str, object]:
    """Return what it says of the data, the split, the libraries, and the precision that each head promises."""
    return {
        "data_sha256": tickets.sha256,
        **({} if tickets.feedback is None else {"feedback": asdict(tickets.feedback)}),
        "split": {
            "n_tickets": len(tickets),
            "n_train": len(parts.split.train),
            "n_validation": len(parts.split.validation),
            "n_groups": int(parts.grouping.ids.max()) + 1,
        },
        "label_distributions": {
            head: dict(sorted(Counter(labels).items())) for head, labels in tickets.given_labels().items()
        },
        **{
            f"{head}_macro_f1": metrics[head]["summary"]["macro_f1"] if "summary" in metrics[head] else None
            for head in tickets.labels
        },
        PROMISED_PRECISION: promised_precision(metrics),
        "promise_chance": promise_chance(metrics),
        "notes": list(tickets.notes),
        "libraries": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
            "joblib": joblib.__version__,
        },
    }


def beside_tickets(
    unlabelled: Unlabelled | None,
    label_texts: LabelTexts | None,
    calibration: Tickets | None,
    *,
    has_teacher: bool,
) -> dict[str, object]:
    """Return what it says of what was used beside the labelled tickets that were learned from."""
    beside: dict[str, object] = {}
    if unlabelled is not None:
        beside["unlabelled"] = {"n_tickets": len(unlabelled), "sha256": unlabelled.sha256}
    if label_texts is not None:
        beside["labels"] = {head: len(labels) for head, labels in label_texts.heads.items()} | {
            "sha256": label_texts.sha256
        }
    if beside and has_teacher:
        beside["teacher"] = PACKAGE
    if calibration is not None:
        beside["calibration"] = {"n_tickets": len(calibration), "sha256": calibration.sha256}
    return beside

"""The files of a version that are neither served weights nor pages: JSON, metadata and the scikit-learn parts."""

from __future__ import annotations

import io
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import joblib
import numpy as np
import scipy
import sklearn

from app.training.files.vectorizer import to_scikit_learn_union
from app.training.fitting.design import FittedFeatures
from app.training.fitting.fit import FittedHead, to_scikit_learn
from app.training.intake.labelled_tickets import Tickets
from app.training.splitting.overlap import Partition


def metadata_of(tickets: Tickets, parts: Partition, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, object]:
    """Return what ``model_metadata.json`` says of the data, the split and the libraries."""
    return {
        "data_sha256": tickets.sha256,
        "split": {
            "n_tickets": len(tickets),
            "n_train": len(parts.split.train),
            "n_validation": len(parts.split.validation),
            "n_groups": int(parts.grouping.ids.max()) + 1,
        },
        "label_distributions": {head: dict(sorted(Counter(labels).items())) for head, labels in tickets.labels.items()},
        **{
            f"{head}_macro_f1": metrics[head]["summary"]["macro_f1"] if "summary" in metrics[head] else None
            for head in tickets.labels
        },
        "notes": list(tickets.notes),
        "libraries": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
            "joblib": joblib.__version__,
        },
    }


def joblib_files(fitted: FittedFeatures, heads: Sequence[FittedHead]) -> dict[str, bytes]:
    vectorizer = _joblib_bytes(to_scikit_learn_union(fitted))
    files = {}
    for head in heads:
        files[f"{head.name}_vectorizer.joblib"] = vectorizer
        files[f"{head.name}_model.joblib"] = _joblib_bytes(to_scikit_learn(head))
    return files


def _joblib_bytes(value: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer, compress=("zlib", 6))
    return buffer.getvalue()


def json_bytes(document: object) -> bytes:
    return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()

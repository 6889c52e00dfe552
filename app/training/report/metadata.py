"""``model_metadata.json``: where a version comes from, so that it can be told from others and made again."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from typing import Any

import joblib
import numpy as np
import scipy
import sklearn

from app.training.intake.labelled_tickets import Tickets
from app.training.splitting.overlap import Partition


def metadata_of(tickets: Tickets, parts: Partition, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, object]:
    """Return what it says of the data, the split and the libraries."""
    return {
        "data_sha256": tickets.sha256,
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
        "notes": list(tickets.notes),
        "libraries": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
            "joblib": joblib.__version__,
        },
    }

"""What every peer serves: the joblib parts of a version, called as a notebook calls them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray

from app.models.features import join_fields


class JoblibParts:
    """One vectoriser and one regression a head, from the directory that the variable ``PEER_MODEL`` names."""

    def __init__(self) -> None:
        directory = Path(os.environ["PEER_MODEL"])
        names = sorted(path.name.removesuffix("_vectorizer.joblib") for path in directory.glob("*_vectorizer.joblib"))
        self._heads: dict[str, tuple[Any, Any]] = {
            name: (
                joblib.load(directory / f"{name}_vectorizer.joblib"),
                joblib.load(directory / f"{name}_model.joblib"),
            )
            for name in names
        }

    def probabilities(self, title: str, description: str) -> dict[str, NDArray[np.float64]]:
        """Return an array of shape (1, n_labels) for each head."""
        text = [join_fields(title, description)]
        return {
            name: model.predict_proba(vectorizer.transform(text)) for name, (vectorizer, model) in self._heads.items()
        }

    def label(self, head: str, probabilities: NDArray[np.float64]) -> str:
        """Return the most probable label of the only row."""
        return str(self._heads[head][1].classes_[probabilities[0].argmax()])

    def answer(self, title: str, description: str) -> dict[str, dict[str, str | float]]:
        """Return label and confidence of each head, ready for JSON."""
        return {
            head: {"label": self.label(head, row), "confidence": float(row.max())}
            for head, row in self.probabilities(title, description).items()
        }

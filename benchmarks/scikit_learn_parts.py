"""The other side of the comparison: a version's scikit-learn parts, used as a notebook would use them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion

from app.models.artifacts import verify
from app.models.features import BlockSpec
from app.models.model_data import ModelData, from_files


@dataclass(frozen=True, slots=True)
class Parts:
    """One vectoriser and one regression a head."""

    heads: Sequence[tuple[Any, Any]]
    has_characters: bool

    def predict_proba(self, texts: Sequence[str]) -> list[NDArray[np.float64]]:
        return [regression.predict_proba(vectorizer.transform(texts)) for vectorizer, regression in self.heads]


def stored_parts(directory: Path) -> Parts:
    """Return the joblib files of a version, which have its own way to cut words, in Python."""
    names = sorted(path.name.removesuffix("_vectorizer.joblib") for path in directory.glob("*_vectorizer.joblib"))
    heads = [
        (joblib.load(directory / f"{name}_vectorizer.joblib"), joblib.load(directory / f"{name}_model.joblib"))
        for name in names
    ]
    return Parts(heads, has_characters=_has_characters(from_files(directory, verify(directory))))


def plain_parts(directory: Path) -> Parts:
    """Return the same vocabulary and weights behind scikit-learn's own ways to cut text, and without any cleaning.

    These are the fastest parts that somebody could have who never saw this project.
    """
    model = from_files(directory, verify(directory))
    vectorizer = _plain_vectorizer(model)
    heads, start = [], 0
    for head in model.heads:
        end = start + len(head.labels)
        regression = LogisticRegression()
        regression.classes_ = np.array(head.labels)
        # In the order that fitting leaves them in, so that no product has to copy them.
        regression.coef_ = (model.weights[:, start:end].astype(np.float64) / model.idf[:, np.newaxis]).T
        regression.intercept_ = np.array(head.bias)
        if len(head.labels) == 2:  # noqa: PLR2004 - scikit-learn keeps one row for two labels
            regression.coef_ = np.asfortranarray(regression.coef_[1:] - regression.coef_[:1])
            regression.intercept_ = regression.intercept_[1:] - regression.intercept_[:1]
        heads.append((vectorizer, regression))
        start = end
    return Parts(heads, has_characters=_has_characters(model))


def _has_characters(model: ModelData) -> bool:
    return any(block.kind == "char" for block in model.features.blocks)


def _plain_vectorizer(model: ModelData) -> Any:  # noqa: ANN401 - scikit-learn has no types
    parts, start = [], 0
    for block, terms in zip(model.features.blocks, model.terms, strict=True):
        end = start + len(terms)
        vectorizer = TfidfVectorizer(
            analyzer="char_wb" if block.kind == "char" else "word",
            preprocessor=_preprocessor(block),
            token_pattern=r"(?u)\w+",  # noqa: S106 - no password
            ngram_range=(block.smallest, block.largest),
            vocabulary=dict(zip(terms, range(len(terms)), strict=True)),
            sublinear_tf=model.features.sublinear_tf,
        )
        vectorizer.idf_ = model.idf[start:end]
        parts.append((f"{block.kind} {start}", vectorizer))
        start = end
    return parts[0][1] if len(parts) == 1 else FeatureUnion(parts)


def _preprocessor(block: BlockSpec) -> Any:  # noqa: ANN401 - None stands for scikit-learn's own
    return (lambda text: text.partition("\n")[0].lower()) if block.kind == "title" else None

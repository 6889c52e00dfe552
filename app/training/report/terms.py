"""The terms that speak most for each label, read off the served weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from app.models.model_data import ModelData

_PREFIX = {"word": "", "title": "title: ", "char": "part: "}


def strongest_terms(model: ModelData, head: str, *, n_terms: int = 10) -> Mapping[str, list[str]]:
    """Return the terms that raise each label's logit most above the mean of the labels, the strongest first.

    Words only, where the model counts words; parts of words say little to a reader.
    """
    start = 0
    columns = slice(0, 0)
    labels: tuple[str, ...] = ()
    for candidate in model.heads:
        if candidate.name == head:
            columns, labels = slice(start, start + len(candidate.labels)), candidate.labels
        start += len(candidate.labels)
    kinds = [block.kind for block in model.features.blocks]
    names: list[str] = []
    rows: list[int] = []
    offset = 0
    for kind, terms in zip(kinds, model.terms, strict=True):
        if kind != "char" or "word" not in kinds:
            names += [f"{_PREFIX[kind]}{term}" for term in terms]
            rows += range(offset, offset + len(terms))
        offset += len(terms)
    weights = model.weights[rows, columns].astype(np.float64)
    weights -= weights.mean(axis=1, keepdims=True)
    strongest = np.argsort(-weights, axis=0, kind="stable")[:n_terms]
    return {
        label: [names[i] for i in strongest[:, column] if weights[i, column] > 0] for column, label in enumerate(labels)
    }

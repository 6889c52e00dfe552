"""The terms that speak most for each label, read off the served weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from app.models.model_data import ModelData

_N_TERMS = 10
_PREFIX = {"word": "", "title": "title: ", "char": "part: "}


def strongest_terms(model: ModelData, head: str) -> Mapping[str, list[str]]:
    """Return the terms that raise each label's logit most above the mean of the labels, the strongest first.

    Words only, where the model counts words; parts of words say little to a reader.
    """
    position = [candidate.name for candidate in model.heads].index(head)
    labels = model.heads[position].labels
    start = sum(len(before.labels) for before in model.heads[:position])
    kinds = [block.kind for block in model.features.blocks]
    names: list[str] = []
    rows: list[int] = []
    offset = 0
    for kind, terms in zip(kinds, model.terms, strict=True):
        if kind != "char" or "word" not in kinds:
            names += [f"{_PREFIX[kind]}{term}" for term in terms]
            rows += range(offset, offset + len(terms))
        offset += len(terms)
    weights = model.weights[rows, start : start + len(labels)].astype(np.float64)
    weights -= weights.mean(axis=1, keepdims=True)
    strongest = np.argsort(-weights, axis=0, kind="stable")[:_N_TERMS]
    return {
        label: [names[i] for i in strongest[:, column] if weights[i, column] > 0] for column, label in enumerate(labels)
    }

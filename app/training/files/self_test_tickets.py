"""Tickets for a model's own test, made of its strongest terms: they say nothing about the tickets it learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.models.model_data import ModelData

_TERMS_A_TICKET = 12
_MOST_LABELS = 32


def self_test_tickets(model: ModelData) -> Sequence[tuple[str, str]]:
    """Return pairs of title and description: one a label, an empty one, and one of words that no model knows."""
    n_words = len(model.terms[0])
    tickets = [("", ""), ("xqzzy", "wvvkj qqxj")]
    for output in range(min(_MOST_LABELS, model.weights.shape[1])):
        strongest = np.argsort(-model.weights[:n_words, output], kind="stable")[:_TERMS_A_TICKET]
        terms = [model.terms[0][i] for i in strongest]
        tickets.append((terms[0], ". ".join(terms[1:])))
    return tickets

"""Evaluation on a file of its own: the final model, on tickets that took no part in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.models.classifier import TicketClassifier
from app.training.intake.labelled_tickets import Tickets
from app.training.measuring.bootstrap import HeldOut
from app.training.measuring.evaluation import evaluate_head, lengths_in_words


def evaluate_separately(classifier: TicketClassifier, tickets: Tickets, seed: int) -> dict[str, dict[str, Any]]:
    """Return the figures of each head as plain JSON values."""
    n_words = lengths_in_words(tickets)
    predicted = classifier.predict_proba(tickets.titles, tickets.descriptions)
    figures = {}
    for head, given in tickets.labels.items():
        labels = classifier.labels(head)
        # What the model has no label for, it gets wrong.
        labels += tuple(sorted(set(given) - {*labels, ""}))
        probabilities = np.pad(predicted[head], ((0, 0), (0, len(labels) - predicted[head].shape[1])))
        position = {label: i for i, label in enumerate(labels)}
        measured = np.array([i for i, label in enumerate(given) if label], dtype=np.int64)
        truth = np.array([position[given[i]] for i in measured])
        held_out = HeldOut(truth, np.arange(len(measured)), len(labels))
        figures[head] = evaluate_head(probabilities[measured], held_out, labels, n_words=n_words[measured], seed=seed)
    return figures

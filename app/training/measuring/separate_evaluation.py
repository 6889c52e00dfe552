"""Evaluation on a file of its own: the final model, on tickets that took no part in training."""

from __future__ import annotations

import numpy as np

from app.models.classifier import TicketClassifier
from app.models.features import words_of
from app.training.intake.labelled_tickets import Tickets
from app.training.measuring.bootstrap import HeldOut
from app.training.measuring.evaluation import evaluate_head


def evaluate_separately(classifier: TicketClassifier, head: str, tickets: Tickets, seed: int) -> dict[str, object]:
    labels = classifier.labels(head)
    probabilities = classifier.predict_proba(tickets.titles, tickets.descriptions)[head]
    # What the model has no label for, it gets wrong.
    labels += tuple(sorted(set(tickets.labels[head]) - set(labels)))
    probabilities = np.pad(probabilities, ((0, 0), (0, len(labels) - probabilities.shape[1])))
    position = {label: i for i, label in enumerate(labels)}
    truth = np.array([position[label] for label in tickets.labels[head]])
    n_words = np.array([len(words_of(*text).all) for text in zip(tickets.titles, tickets.descriptions, strict=True)])
    held_out = HeldOut(truth, np.arange(len(tickets)), len(labels))
    return evaluate_head(probabilities, held_out, labels, n_words=n_words, seed=seed)

"""Explanations by the model that comes with the project: exact for each ticket, and each flip flips."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from app.models.classifier import TicketClassifier
from app.models.written_words import WrittenWords
from benchmarks.measuring import ROOT, Ticket, read_tickets

N_TICKETS = 2_000


@pytest.fixture(scope="module")
def classifier() -> TicketClassifier:
    return TicketClassifier.load(ROOT / "models" / "v1.0.0")


def check(classifier: TicketClassifier, ticket: Ticket) -> int:
    """Check the explanation of a ticket, and return how many flips it has."""
    probabilities = classifier.predict_proba([ticket.title], [ticket.description])
    n_flips = 0
    for name, head in classifier.explain(ticket.title, ticket.description).heads.items():
        logits = np.array(list(head.logits.values()))
        exponentials = np.exp(logits - logits.max())
        assert exponentials / exponentials.sum() == pytest.approx(probabilities[name][0], rel=0, abs=1e-9)
        for label, logit in head.logits.items():
            added = [term.contributions[label] for term in head.terms]
            assert abs(math.fsum([head.bias[label], head.remaining[label], *added]) - logit) < 1e-9
        for versus in head.versus:
            if versus.would_flip is not None:
                n_flips += 1
                left = WrittenWords(ticket.title, ticket.description).without(versus.would_flip)
                assert classifier.predict(*left).heads[name].label == versus.label
    return n_flips


def test_tickets_that_were_composed_like_those_of_its_training(classifier: TicketClassifier) -> None:
    tickets = read_tickets(ROOT / "data" / "mock_eval.csv")
    assert sum(check(classifier, ticket) for ticket in tickets) > len(tickets)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_real_tickets(classifier: TicketClassifier) -> None:
    directory = os.environ.get("TICKET_DATA_DIR")
    if directory is None:
        pytest.skip("TICKET_DATA_DIR names no directory with it-tickets-dev.csv")
    tickets = read_tickets(Path(directory) / "it-tickets-dev.csv")[:N_TICKETS]
    assert sum(check(classifier, ticket) for ticket in tickets) > len(tickets)

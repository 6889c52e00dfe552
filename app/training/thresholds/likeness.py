"""How much a ticket must be like those of training: so much that few of them, read by models without them, are refused.

What is compared was chosen by measuring how well it tells other texts from tickets: the shares of words and of pairs of
words that training tickets had, what the terms say for labels, and, by itself, what they say for being a ticket at all.
Where the shares are low for a ticket, its labels are a guess from word vectors and parts of words; where the evidence
is low, from the bias.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from app.models.likeness import TrainingLikeness
from app.training.fitting.fitter import UNSEEN_LABEL_LOGIT, Familiarity

# Which share of the training's tickets may be refused: so many that of requests outside of all labels at most one in
# twenty is acted on, and most of these tickets would not be acted on anyway. Where a second test says whether a text is
# a ticket at all, each of the two needs to refuse less.
_REFUSED = 0.14
_REFUSED_BY_EACH = 0.05
# Standard deviations of the evidence count three times those of either share.
_EVIDENCE_WEIGHT = 3.0

Floats = NDArray[np.float64]


def evidence_of(logits: Mapping[str, Floats], temperatures: Mapping[str, float]) -> Floats:
    """Return the sum over heads of how far the highest calibrated logit is above their mean ``(n_tickets,)``.

    ``logits`` are ``(n_tickets, n_labels)`` a head; labels that a model could not know count for nothing.
    """
    evidence: Floats = np.zeros(())
    for head, of_head in logits.items():
        known = of_head > UNSEEN_LABEL_LOGIT
        mean = np.where(known, of_head, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        evidence = evidence + (of_head.max(axis=1) - mean) / temperatures[head]
    return evidence


def choose_likeness(familiarity: Familiarity, evidence: Floats, *, n_tickets: int) -> TrainingLikeness:
    """Choose on out-of-fold figures of the training's tickets, for a model of all ``n_tickets``."""
    numbers = {
        "known_words": _per_deviation(familiarity.known_words),
        "known_pairs": _per_deviation(familiarity.known_pairs),
        "evidence": _EVIDENCE_WEIGHT * _per_deviation(evidence),
    }
    likeness = TrainingLikeness(n_tickets, **numbers, least=-np.inf)
    scores = [
        likeness.of(*of_ticket)
        for of_ticket in zip(
            familiarity.known_words.tolist(), familiarity.known_pairs.tolist(), evidence.tolist(), strict=True
        )
    ]
    share, least_ticket = _REFUSED, None
    if familiarity.ticket is not None and familiarity.title is not None:
        share = _REFUSED_BY_EACH
        titles = familiarity.title[~np.isnan(familiarity.title)]
        least_ticket = _quantile(np.concatenate([familiarity.ticket, titles]), share)
    return TrainingLikeness(n_tickets, **numbers, least=_quantile(np.array(scores), share), least_ticket=least_ticket)


def are_unlike(likeness: TrainingLikeness, familiarity: Familiarity, evidence: Floats) -> NDArray[np.bool_]:
    """Return which tickets are unlike those of training ``(n_tickets,)``."""
    ticket = np.zeros(len(evidence)) if familiarity.ticket is None else familiarity.ticket
    figures = (familiarity.known_words, familiarity.known_pairs, evidence, ticket)
    return np.array([likeness.is_unlike(*of_ticket) for of_ticket in zip(*(f.tolist() for f in figures), strict=True)])


def _per_deviation(values: Floats) -> float:
    """Return what makes a unit of ``values`` a standard deviation; values that are all the same say nothing."""
    deviation = float(values.std())
    return 1 / deviation if deviation > 1e-9 else 0.0  # noqa: PLR2004 - rounding


def _quantile(values: Floats, share: float) -> float:
    # Of few tickets rather none than more than the share.
    return float(np.quantile(values, share, method="lower"))

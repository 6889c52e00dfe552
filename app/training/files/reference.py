"""The reference histograms of a version: what its training tickets look like to a model that has not seen them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from app.models.features import words_of
from app.models.label_shares import Confusion
from app.models.reference import HeadReference, Histogram, LabelCounts, Reference, unknown_share
from app.training.fitting.scores import confusion
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.learnable_words import FEWEST_SENDERS, is_number, words_outside_addresses

_N_BINS = 10
_N_PARTS = 5
# Confidences and shares are told apart down to this; more digits in an edge would only look exact.
_DIGITS = 4


def reference_of(
    tickets: Tickets,
    unseen: Mapping[str, NDArray[np.float64]],
    *,
    labels: Mapping[str, Sequence[str]],
    senders: NDArray[np.int64],
    enough_senders: Mapping[str, int] = MappingProxyType({}),
    seed: int,
) -> Reference:
    """Return the histograms of ``tickets``.

    ``unseen`` has probabilities ``(n_tickets, n_labels)`` a head, ``labels`` in order, from models that did not see the
    ticket, NaN where there are none: answers to the tickets that a model was fitted on look too confident. Words count
    as unknown that too few of the other ``senders`` (numbers, ``(n_tickets,)``) have, four fifths of them drawn by
    chance as those of tickets to come will be; ``enough_senders`` names words of which fewer are enough.
    """
    lengths = [len(title) + len(text) for title, text in zip(tickets.titles, tickets.descriptions, strict=True)]
    shares = _unknown_shares(tickets, senders, enough_senders, seed)
    return Reference(
        text_length=histogram_of(np.array(lengths, dtype=np.float64)),
        unknown_share=histogram_of(shares),
        heads=MappingProxyType(
            {head: _head_reference(of_head, tickets.labels[head], unseen[head]) for head, of_head in labels.items()}
        ),
    )


def histogram_of(values: NDArray[np.float64]) -> Histogram:
    """Return about ten bins that hold equally many of ``values``, fewer where many values are the same.

    Bins of equal width would leave most of them empty, and the index is the least certain where bins are.
    """
    quantiles = np.quantile(values, np.arange(1, _N_BINS) / _N_BINS)
    # The largest value as an edge would make a last bin that nothing was in.
    largest = float(values.max())
    edges = [edge for edge in np.unique(np.round(quantiles, _DIGITS)).tolist() if edge < largest]
    if not edges:
        # All are the same: what is larger is something else.
        edges = [largest]
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    return Histogram(tuple(edges), tuple(counts.tolist()))


def _head_reference(
    labels: Sequence[str], of_tickets: Sequence[str], probabilities: NDArray[np.float64]
) -> HeadReference:
    """Return the reference of one head; a blank one of the labels ``of_tickets`` is none."""
    is_known = ~np.isnan(probabilities).any(axis=1)
    known = probabilities[is_known]
    answers, n_labels = known.argmax(axis=1), len(labels)
    numbers = {label: number for number, label in enumerate(labels)}
    truth = np.array([numbers.get(label, -1) for label in of_tickets], dtype=np.int64)[is_known]
    counts = np.bincount(answers, minlength=n_labels)
    return HeadReference(
        LabelCounts(tuple(labels), tuple(counts.tolist())),
        histogram_of(known.max(axis=1)),
        Confusion.of(labels, confusion(answers[truth >= 0], truth[truth >= 0], n_labels))
        if (truth >= 0).any()
        else None,
    )


def _unknown_shares(
    tickets: Tickets, senders: NDArray[np.int64], enough_senders: Mapping[str, int], seed: int
) -> NDArray[np.float64]:
    """Return for each ticket the share of its words that a model of the other parts of the senders would not know."""
    texts = list(zip(tickets.titles, tickets.descriptions, strict=True))
    words = [words_of(*fields).all for fields in texts]
    of_senders: dict[int, set[str]] = {sender: set() for sender in np.unique(senders).tolist()}
    for sender, fields, of_ticket in zip(senders.tolist(), texts, words, strict=True):
        outside = words_outside_addresses(*fields)
        of_senders[sender].update(
            word for word in (of_ticket if outside is None else outside.all) if not is_number(word)
        )
    drawn = np.random.default_rng(seed).integers(_N_PARTS, size=len(of_senders)).tolist()
    parts = dict(zip(of_senders, drawn, strict=True))
    everywhere: Counter[str] = Counter()
    within = [Counter[str]() for _ in range(_N_PARTS)]
    for sender, distinct in of_senders.items():
        everywhere.update(distinct)
        within[parts[sender]].update(distinct)
    shares = []
    for sender, of_ticket in zip(senders.tolist(), words, strict=True):
        own = within[parts[sender]]
        unknown = [
            word for word in of_ticket if everywhere[word] - own[word] < enough_senders.get(word, FEWEST_SENDERS)
        ]
        shares.append(unknown_share(n_tokens=len(of_ticket), n_unknown_tokens=len(unknown)))
    return np.array(shares, dtype=np.float64)

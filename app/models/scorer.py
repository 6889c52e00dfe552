"""TF-IDF and logistic regression of all heads in one pass over a batch of tickets: text in, logits out.

For the block b of a ticket with the counts c, the features are ``x = tf(c) * idf``, divided by their Euclidean norm,
with ``tf(c) = 1 + ln c`` or ``c``; the logits are the bias plus the sum of all features times their coefficients.
``ModelData.weights`` has ``idf * coefficient`` already, so that one gather and one product remain.

Sums run over one ticket in the order of its features, so that its logits have the same bits in any batch. Which
features a ticket has is left to ``app.models.lookup``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.models.lookup import LookedUp, Lookup, Occurrences, ticket_of
from app.models.model_data import ModelData
from app.models.word_index import END_OF_TICKET

Floats = NDArray[np.float64]

_COUNTS_IN_TABLE = 1024
_NOTHING = np.empty(0, dtype=np.int64)
_FROM_THE_START = np.zeros(1, dtype=np.int64)


class Scores(NamedTuple):
    """``logits`` ``(n_tickets, n_outputs)``; how many words each ticket has, and how many of them are unknown.

    ``known_shares``: the share of the words that is known; of no words, none is. ``are_unlike``: whether each ticket is
    unlike those of training.
    """

    logits: Floats
    n_words: list[int]
    n_unknown_words: list[int]
    known_shares: list[float]
    are_unlike: list[bool]


class _Counted(NamedTuple):
    """The features of each ticket, each once and in ascending order, and how often it has them."""

    features: NDArray[np.int64]
    ticket_of: NDArray[np.int64]
    counts: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TicketTerms:
    """One ticket taken apart: ``features`` ``(n,)`` in ascending order, how often it has each, and what each adds.

    ``contributions`` are ``(n_outputs, n)``. ``occurrences`` are all of them, in no order; ``order`` is that of their
    features, so that those of one feature follow each other.
    """

    scores: Scores
    features: NDArray[np.int64]
    counts: NDArray[np.int64]
    contributions: Floats
    occurrences: list[Occurrences]
    order: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TermWeights:
    """What some features ``(n,)`` weigh before any norm: their blocks, their idf, and ``(n, n_outputs)`` weights."""

    blocks: NDArray[np.int8]
    idf: Floats
    weights: NDArray[np.float32]


class Scorer:
    """Immutable to its callers, and safe to share between threads."""

    def __init__(self, model: ModelData) -> None:
        self._idf = model.idf
        self._weights = model.weights
        self._sublinear_tf = model.features.sublinear_tf
        biases = [bias for head in model.heads for bias in head.bias] + [0.0] * model.tells_tickets
        self._bias = np.array(biases, dtype=np.float64)[:, np.newaxis]
        self._likeness = model.likeness
        # Where each head's outputs start, and after them what is said for being a ticket.
        starts = [0, *np.cumsum([len(head.labels) for head in model.heads])]
        self._starts = np.array(starts if model.tells_tickets else starts[:-1])
        # The entry of zero is never asked for.
        self._tf = self.tf_of(np.arange(_COUNTS_IN_TABLE).clip(min=1))
        sizes = [len(terms) for terms in model.terms]
        self._n_blocks = len(sizes)
        self._block_of = np.arange(self._n_blocks, dtype=np.int8).repeat(sizes)
        self._feature_bits = len(model.idf).bit_length()
        self._feature_mask = (1 << self._feature_bits) - 1
        self.lookup = Lookup(model)

    def score(self, titles: Sequence[str], descriptions: Sequence[str]) -> Scores:
        n_tickets = len(titles)
        if n_tickets == 0:
            return Scores(np.empty((0, len(self._bias))), [], [], [], [])
        found = self.lookup.find(titles, descriptions)
        cells = self._cells(found, n_tickets)
        cells.sort()
        logits = self._logits(cells, n_tickets)
        return self._one(logits, found) if n_tickets == 1 else self._many(logits, found)

    def take_apart(self, title: str, description: str) -> TicketTerms:
        """Return the scores of one ticket, with the bits of ``score``, and what each of its terms adds to them."""
        found = self.lookup.find((title,), (description,))
        cells = self._cells(found, 1)
        # Sorting numbers is quicker than finding their order, and so their places go along with them.
        place_bits = len(cells).bit_length()
        cells <<= place_bits
        cells |= np.arange(len(cells))
        cells.sort()
        order = cells & ((1 << place_bits) - 1)
        cells >>= place_bits
        counted, contributions = _Counted(_NOTHING, _NOTHING, _NOTHING), np.empty((len(self._bias), 0))
        if len(cells):
            counted = self._counted(cells, 1)
            contributions = self._contributions(counted, n_occurrences=len(cells))
        return TicketTerms(
            scores=self._one(self._summed(counted, contributions, 1), found),
            features=counted.features,
            counts=counted.counts,
            contributions=contributions,
            occurrences=self.lookup.occurrences(found),
            order=order,
        )

    def idf_of(self, features: NDArray[np.int64]) -> Floats:
        return self._idf.take(features)

    def weights_of(self, features: NDArray[np.int64]) -> TermWeights:
        """Return what ``features`` weigh in a ticket that has each of them once."""
        return TermWeights(
            self._block_of.take(features), self._idf.take(features), self._weights.take(features, axis=0)
        )

    @property
    def bias(self) -> Floats:
        """Return the logits of a ticket without any term ``(n_outputs,)``."""
        return self._bias[:, 0]

    def tf_of(self, counts: NDArray[np.int64]) -> Floats:
        """Return how much a term weighs more that a ticket has ``counts`` times; none of them is zero."""
        tf: Floats = 1.0 + np.log(counts) if self._sublinear_tf else counts.astype(np.float64)
        return tf

    def _one(self, logits: Floats, found: LookedUp) -> Scores:
        """Return the scores of the only ticket, with the bits of ``_many`` in half the time."""
        n_words, n_unknown = len(found.sequence) - 1, int(np.count_nonzero(self.lookup.is_unknown(found.sequence)))
        share = 1 - n_unknown / n_words if n_words else 0.0
        is_unlike = False
        if self._likeness is not None:
            most = np.maximum.reduceat(logits[0], self._starts).tolist()
            is_unlike = self._likeness.refuses(share, n_words, self.lookup.n_known_pairs(found), most)
        return Scores(logits, [n_words], [n_unknown], [share], [is_unlike])

    def _many(self, logits: Floats, found: LookedUp) -> Scores:
        sequence = found.sequence
        ends = (sequence == END_OF_TICKET).nonzero()[0]
        starts = np.concatenate([[0], ends[:-1] + 1])
        n_words = (ends - starts).tolist()
        n_unknown = np.add.reduceat(self.lookup.is_unknown(sequence), starts, dtype=np.int64).tolist()
        shares = [1 - unknown / n if n else 0.0 for n, unknown in zip(n_words, n_unknown, strict=True)]
        are_unlike = [False] * len(logits)
        if self._likeness is not None:
            most = np.maximum.reduceat(logits, self._starts, axis=1).tolist()
            n_pairs = self.lookup.n_known_pairs_of(found, len(logits))
            are_unlike = list(map(self._likeness.refuses, shares, n_words, n_pairs, most))
        return Scores(logits, n_words, n_unknown, shares, are_unlike)

    def _cells(self, found: LookedUp, n_tickets: int) -> NDArray[np.int64]:
        """Return ticket and feature of each occurrence as one number."""
        parts: list[NDArray[np.integer[Any]]]
        if n_tickets == 1:
            parts = [features for _, features in found.of_words + found.of_titles + found.of_characters]
        else:
            parts = []
            for looked_up, of_blocks in found.by_sequence:
                ticket_bits = ticket_of(looked_up) << self._feature_bits
                parts += [ticket_bits.take(places) | features for places, features in of_blocks]
        return np.concatenate(parts or [_NOTHING], dtype=np.int64)

    def _logits(self, cells: NDArray[np.int64], n_tickets: int) -> Floats:
        if not len(cells):
            return np.ascontiguousarray(np.repeat(self._bias, n_tickets, axis=1).T)
        counted = self._counted(cells, n_tickets)
        return self._summed(counted, self._contributions(counted, n_occurrences=len(cells)), n_tickets)

    def _counted(self, cells: NDArray[np.int64], n_tickets: int) -> _Counted:
        firsts, counts = _runs(cells)
        cells = cells.take(firsts)
        if n_tickets == 1:
            return _Counted(cells, np.zeros(len(cells), dtype=np.int64), counts)
        return _Counted(cells & self._feature_mask, cells >> self._feature_bits, counts)

    def _contributions(self, counted: _Counted, *, n_occurrences: int) -> Floats:
        """Return what each feature of each ticket adds to the logits, ``(n_outputs, n)``."""
        features = counted.features
        # No count is larger than the number of occurrences, and a table is quicker than a logarithm.
        tf = self._tf.take(counted.counts) if n_occurrences < len(self._tf) else self.tf_of(counted.counts)
        scale = tf / self._norms(tf * self._idf.take(features), counted)
        contributions = np.empty((len(self._bias), len(features)))
        np.multiply(self._weights.take(features, axis=0).T, scale, out=contributions)
        return contributions

    def _summed(self, counted: _Counted, contributions: Floats, n_tickets: int) -> Floats:
        if n_tickets == 1:
            sums = np.add.reduceat(contributions, _FROM_THE_START, axis=1) if len(counted.features) else 0.0
            return (self._bias + sums).T
        starts, _ = _runs(counted.ticket_of)
        logits = np.repeat(self._bias, n_tickets, axis=1)
        logits[:, counted.ticket_of.take(starts)] += np.add.reduceat(contributions, starts, axis=1)
        # Row by row, so that sums over a row have the same bits whatever the number of rows.
        return np.ascontiguousarray(logits.T)

    def _norms(self, x: Floats, counted: _Counted) -> Floats:
        """Return for each feature the Euclidean norm of the block of the ticket that it is in."""
        part_of = counted.ticket_of
        if self._n_blocks > 1:
            part_of = part_of * self._n_blocks + self._block_of.take(counted.features)
        norms: Floats = np.sqrt(np.bincount(part_of, weights=x * x)).take(part_of)
        return norms


def _runs(ascending: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where each run of equal numbers starts, and how long it is; there must be a number."""
    is_first = np.empty(len(ascending), dtype=np.bool_)
    is_first[0] = True
    np.not_equal(ascending[1:], ascending[:-1], out=is_first[1:])
    starts = is_first.nonzero()[0]
    lengths = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=lengths[:-1])
    lengths[-1] = len(ascending) - starts[-1]
    return starts, lengths


def softmax(logits: Floats) -> Floats:
    """Return the probabilities of the last axis; large logits do not overflow."""
    exponentials = np.exp(logits - np.maximum.reduce(logits, axis=-1, keepdims=True))
    exponentials /= np.add.reduce(exponentials, axis=-1, keepdims=True)
    return exponentials

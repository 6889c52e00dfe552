"""TF-IDF and logistic regression of all heads in one pass over a batch of tickets: text in, logits out.

For the block b of a ticket with the counts c, the features are ``x = tf(c) * idf``, divided by their Euclidean norm,
with ``tf(c) = 1 + ln c`` or ``c``; the logits are the bias plus the sum of all features times their coefficients.
``ModelData.weights`` has ``idf * coefficient`` already, so that one gather and one product remain.

A batch is one sequence of words. Only cutting and numbering them is work for each word; everything after that is done
for all tickets at once, and a single ticket is a batch of one. Sums run over one ticket in the order of its features,
so that its logits have the same bits in any batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.models.char_ngrams import CharNGrams
from app.models.features import MAX_WORD_CHARACTERS, spaced_words
from app.models.model_data import ModelData
from app.models.word_index import END_OF_TICKET, FIRST_WORD, UNKNOWN, WordNGrams, number_words

# Bytes that stand after fields as words of their own; cutting turns control characters of a ticket into spaces.
_AFTER_TITLE, _AFTER_TICKET = b"\x01", b"\x02"
_END_OF_TITLE = -1
_COUNTS_IN_TABLE = 1024
_NOTHING = np.empty(0, dtype=np.int64)
_FROM_THE_START = np.zeros(1, dtype=np.int64)


class Scores(NamedTuple):
    """``logits`` ``(n_tickets, n_outputs)``; how many words each ticket has, and how many of them no block knows."""

    logits: NDArray[np.float64]
    n_words: list[int]
    n_unknown_words: list[int]

    def known_shares(self) -> list[float]:
        """Return the share of each ticket's words that a block knows; of no words, none is known."""
        return [
            1 - n_unknown / n_words if n_words else 0.0
            for n_words, n_unknown in zip(self.n_words, self.n_unknown_words, strict=True)
        ]


class Scorer:
    """Immutable to its callers, and safe to share between threads."""

    def __init__(self, model: ModelData) -> None:
        self._idf = model.idf
        self._weights = model.weights
        self._sublinear_tf = model.features.sublinear_tf
        self._bias = np.array([bias for head in model.heads for bias in head.bias], dtype=np.float64)[:, np.newaxis]
        # The entry of zero is never asked for.
        self._tf = self._tf_of(np.arange(_COUNTS_IN_TABLE).clip(min=1))
        sizes = [len(terms) for terms in model.terms]
        self._n_blocks = len(sizes)
        self._block_of = np.arange(self._n_blocks, dtype=np.int8).repeat(sizes)
        self._feature_bits = len(model.idf).bit_length()
        self._feature_mask = (1 << self._feature_bits) - 1
        starts = accumulate(sizes, initial=0)
        blocks = list(zip(model.features.blocks, model.terms, starts, strict=False))
        numbers = number_words(terms for block, terms, _ in blocks if block.kind != "char")
        self._of_words, self._of_titles = (
            [
                WordNGrams(terms, numbers, block, first_feature=start)
                for block, terms, start in blocks
                if block.kind == kind
            ]
            for kind in ("word", "title")
        )
        self._of_characters = [
            CharNGrams(terms, block, first_feature=start, separators=(_AFTER_TITLE, _AFTER_TICKET))
            for block, terms, start in blocks
            if block.kind == "char"
        ]
        self._is_unknown = np.ones(FIRST_WORD + len(numbers), dtype=np.bool_)
        self._is_unknown[END_OF_TICKET] = False
        for ngrams in self._of_words:
            self._is_unknown &= ~ngrams.has
        self._numbers = {word.encode(): number for word, number in numbers.items()}
        self._numbers |= {_AFTER_TITLE: _END_OF_TITLE, _AFTER_TICKET: END_OF_TICKET}

        # Where no block asks where the title ends, nothing has to mark it.
        self._after_title = b" %b " % _AFTER_TITLE if self._of_titles else b" "
        self._after_ticket = b" %b " % _AFTER_TICKET

    def score(self, titles: Sequence[str], descriptions: Sequence[str]) -> Scores:
        n_tickets = len(titles)
        if n_tickets == 0:
            return Scores(np.empty((0, len(self._bias))), [], [])
        after_title, after_ticket = self._after_title, self._after_ticket
        texts = [
            b"".join((spaced_words(title), after_title, spaced_words(description), after_ticket))
            for title, description in zip(titles, descriptions, strict=True)
        ]
        words = b"".join(texts).split()
        everything = self._numbered(words)
        sequence = everything[everything != _END_OF_TITLE] if self._of_titles else everything
        cells = self._cells(words, everything, sequence, n_tickets)
        unknown = self._is_unknown.take(sequence)
        if n_tickets == 1:
            return Scores(self._logits(cells, 1), [len(sequence) - 1], [int(np.count_nonzero(unknown))])
        ends = (sequence == END_OF_TICKET).nonzero()[0]
        starts = np.concatenate([[0], ends[:-1] + 1])
        return Scores(
            logits=self._logits(cells, n_tickets),
            n_words=(ends - starts).tolist(),
            n_unknown_words=np.add.reduceat(unknown, starts, dtype=np.int64).tolist(),
        )

    def _numbered(self, words: list[bytes]) -> NDArray[np.int64]:
        """Return the number of each word, or which other thing it is."""
        numbers = self._numbers
        sequence = np.fromiter(map(numbers.get, words, repeat(UNKNOWN)), np.int64, len(words))
        for place in (sequence == UNKNOWN).nonzero()[0].tolist():
            if len(words[place]) > MAX_WORD_CHARACTERS:
                beginning = words[place].decode()[:MAX_WORD_CHARACTERS].encode()
                sequence[place] = numbers.get(beginning, UNKNOWN)
        return sequence

    def _cells(
        self, words: list[bytes], everything: NDArray[np.int64], sequence: NDArray[np.int64], n_tickets: int
    ) -> NDArray[np.int64]:
        """Return ticket and feature of each occurrence as one number, in ascending order."""
        lookups = [(sequence, [found for ngrams in self._of_words for found in ngrams.find(sequence)])]
        if self._of_titles:
            titles = _only_titles(everything)
            lookups.append((titles, [found for ngrams in self._of_titles for found in ngrams.find(titles)]))
        if self._of_characters:
            lookups.append((everything, [ngrams.find(words) for ngrams in self._of_characters]))
        parts: list[NDArray[np.integer[Any]]]
        if n_tickets == 1:
            parts = [features for _, of_blocks in lookups for _, features in of_blocks]
        else:
            parts = []
            for looked_up, of_blocks in lookups:
                ticket_bits = _ticket_of(looked_up) << self._feature_bits
                parts += [ticket_bits.take(places) | features for places, features in of_blocks]
        cells = np.concatenate(parts or [_NOTHING], dtype=np.int64)
        cells.sort()
        return cells

    def _logits(self, cells: NDArray[np.int64], n_tickets: int) -> NDArray[np.float64]:
        if not len(cells):
            return np.ascontiguousarray(np.repeat(self._bias, n_tickets, axis=1).T)
        n_occurrences = len(cells)
        firsts, counts = _runs(cells)
        cells = cells.take(firsts)
        if n_tickets == 1:
            features, ticket_of = cells, np.zeros(len(cells), dtype=np.int64)
        else:
            features, ticket_of = cells & self._feature_mask, cells >> self._feature_bits
        # No count is larger than the number of occurrences, and a table is quicker than a logarithm.
        tf = self._tf.take(counts) if n_occurrences < len(self._tf) else self._tf_of(counts)
        scale = tf / self._norms(tf * self._idf.take(features), features, ticket_of)
        contributions = np.empty((len(self._bias), len(cells)))
        np.multiply(self._weights.take(features, axis=0).T, scale, out=contributions)
        if n_tickets == 1:
            return (self._bias + np.add.reduceat(contributions, _FROM_THE_START, axis=1)).T
        starts, _ = _runs(ticket_of)
        logits = np.repeat(self._bias, n_tickets, axis=1)
        logits[:, ticket_of.take(starts)] += np.add.reduceat(contributions, starts, axis=1)
        # Row by row, so that sums over a row have the same bits whatever the number of rows.
        return np.ascontiguousarray(logits.T)

    def _tf_of(self, counts: NDArray[np.int64]) -> NDArray[np.float64]:
        tf: NDArray[np.float64] = 1.0 + np.log(counts) if self._sublinear_tf else counts.astype(np.float64)
        return tf

    def _norms(
        self, x: NDArray[np.float64], features: NDArray[np.int64], ticket_of: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return for each feature the Euclidean norm of the block of the ticket that it is in."""
        part_of = ticket_of
        if self._n_blocks > 1:
            part_of = ticket_of * self._n_blocks + self._block_of.take(features)
        norms: NDArray[np.float64] = np.sqrt(np.bincount(part_of, weights=x * x)).take(part_of)
        return norms


def _ticket_of(sequence: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each place how many tickets ended before it."""
    is_end = sequence == END_OF_TICKET
    ticket_of: NDArray[np.int64] = is_end.cumsum() - is_end
    return ticket_of


def _only_titles(everything: NDArray[np.int64]) -> NDArray[np.int64]:
    is_end = everything == END_OF_TICKET
    title_has_ended = (everything == _END_OF_TITLE).cumsum() > _ticket_of(everything)
    titles: NDArray[np.int64] = everything[is_end | ~title_has_ended]
    return titles


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


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities of the last axis; large logits do not overflow."""
    exponentials = np.exp(logits - np.maximum.reduce(logits, axis=-1, keepdims=True))
    exponentials /= np.add.reduce(exponentials, axis=-1, keepdims=True)
    return exponentials

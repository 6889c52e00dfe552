"""What a ticket's logits would be without some of its words, from what its terms add: an estimate that scores nothing.

Terms that hold such a word go, and the norms of their blocks change. That is exact but for the words that become
neighbours where something was taken out between them, which is why the ticket is scored again in the end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from app.models.scorer import Scorer, TicketTerms

Numbers = NDArray[np.int64]
Floats = NDArray[np.float64]

# The least that is left of a squared norm in which something is left: a weight is at least one, an idf too.
_NO_NORM = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Which distinct word is part of which occurrence, sorted by word, then by the occurrence's term.

    A group is one word with one term, and so in one block; a part is one word with one block. ``group_of`` says of each
    pair in which group it is; groups of a part, and parts of a word, follow each other.
    """

    words: Numbers
    occurrences: Numbers
    group_of: Numbers
    group_terms: Numbers
    group_starts: Numbers
    part_blocks: Numbers
    part_starts: Numbers
    part_words: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """What is left of a ticket: which occurrences, how often each term, and by block the sums that logits are made of.

    ``sums`` are ``(n_blocks, n_outputs)`` before the norm, whose square is in ``squares`` ``(n_blocks,)``.
    """

    occurrences: NDArray[np.bool_]
    counts: Floats
    sums: Floats
    squares: Floats


class Removal:
    """The words of one ticket by number, and what some ``outputs`` of the model would say without them."""

    def __init__(self, ticket: TicketTerms, words: Sequence[str], scorer: Scorer) -> None:
        numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
        self.words = tuple(numbers)
        self._scorer = scorer
        weights = scorer.weights_of(ticket.features)
        self._weights, self._squared_idf = weights.weights.astype(np.float64), weights.idf**2
        # Terms are in the order of their blocks.
        blocks, self._block_starts, self._block_of = np.unique(weights.blocks, return_index=True, return_inverse=True)
        self._n_blocks = len(blocks)
        self._term_of = np.empty(len(ticket.order), dtype=np.int64)
        self._term_of[ticket.order] = np.arange(len(ticket.features)).repeat(ticket.counts)
        number_of = np.array([numbers[word] for word in words], dtype=np.int64)
        self._pairs = self._paired(*_parts_of_occurrences(ticket, number_of))

    def left_without(self, words: Collection[int], outputs: Numbers) -> Left:
        """Take ``words`` out, by number; sums are those of ``outputs``."""
        occurrences = np.ones(len(self._term_of), dtype=np.bool_)
        gone = np.isin(self._pairs.words, np.fromiter(words, np.int64, len(words)))
        occurrences[self._pairs.occurrences[gone]] = False
        counts: Floats = np.bincount(self._term_of, weights=occurrences, minlength=len(self._block_of)).astype(
            np.float64
        )
        tf = self._tf(counts)
        return Left(
            occurrences,
            counts,
            np.add.reduceat(tf[:, np.newaxis] * self._weights[:, outputs], self._block_starts, axis=0),
            np.add.reduceat(tf * tf * self._squared_idf, self._block_starts),
        )

    def logits(self, left: Left, bias: Floats) -> Floats:
        """Return the logits ``(n_outputs,)`` of what is left."""
        logits: Floats = bias + _normalised(left.sums, left.squares).sum(axis=0)
        return logits

    def logits_without_each(self, left: Left, bias: Floats, outputs: Numbers) -> tuple[Numbers, Floats]:
        """Return numbers of words ``(n,)``, and the logits ``(n, n_outputs)`` if each alone were taken out, too."""
        pairs = self._pairs
        n_groups = len(pairs.group_terms)
        fewer = np.bincount(pairs.group_of, weights=left.occurrences[pairs.occurrences], minlength=n_groups)
        before = left.counts[pairs.group_terms]
        tf_before, tf_after = self._tf(before), self._tf(before - fewer)
        change = (tf_after - tf_before)[:, np.newaxis] * self._weights[pairs.group_terms[:, np.newaxis], outputs]
        squares = (tf_after**2 - tf_before**2) * self._squared_idf[pairs.group_terms]
        sums_after = left.sums[pairs.part_blocks] + np.add.reduceat(change, pairs.group_starts, axis=0)
        squares_after = left.squares[pairs.part_blocks] + np.add.reduceat(squares, pairs.group_starts)
        moved = _normalised(sums_after, squares_after) - _normalised(left.sums, left.squares)[pairs.part_blocks]
        return pairs.part_words, self.logits(left, bias) + np.add.reduceat(moved, pairs.part_starts, axis=0)

    def _tf(self, counts: Floats) -> Floats:
        # Counts are whole numbers that went through sums.
        return np.where(counts > 0.5, self._scorer.tf_of(np.maximum(np.rint(counts), 1).astype(np.int64)), 0.0)  # noqa: PLR2004

    def _paired(self, words: Numbers, occurrences: Numbers) -> _Pairs:
        terms = self._term_of[occurrences]
        n_terms = len(self._block_of)
        # A word that stands twice in one occurrence takes it away once.
        order = np.unique(words * len(self._term_of) + occurrences, return_index=True)[1]
        words, occurrences, terms = words[order], occurrences[order], terms[order]
        keys, group_of = np.unique(words * n_terms + terms, return_inverse=True)
        group_terms = keys % n_terms
        parts, group_starts = np.unique(
            keys // n_terms * self._n_blocks + self._block_of[group_terms], return_index=True
        )
        part_words, part_starts = np.unique(parts // self._n_blocks, return_index=True)
        return _Pairs(
            words, occurrences, group_of, group_terms, group_starts, parts % self._n_blocks, part_starts, part_words
        )


def _parts_of_occurrences(ticket: TicketTerms, number_of: Numbers) -> tuple[Numbers, Numbers]:
    """Return word and occurrence of each word that is part of an occurrence."""
    words, occurrences = [], []
    starts = accumulate((len(found.features) for found in ticket.occurrences), initial=0)
    for found, start in zip(ticket.occurrences, starts, strict=False):
        for offset in range(found.n_words):
            words.append(number_of[found.places + offset])
            occurrences.append(np.arange(start, start + len(found.features)))
    return np.concatenate(words), np.concatenate(occurrences)


def _normalised(sums: Floats, squares: Floats) -> Floats:
    norms = np.sqrt(np.where(squares > _NO_NORM, squares, np.inf))
    normalised: Floats = sums / norms[:, np.newaxis]
    return normalised

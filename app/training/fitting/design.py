"""Tickets as matrices: terms are counted once, and weighed anew for each part of the data that is trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack

from app.models.features import BlockSpec, FeatureSpec, char_ngrams, terms_of, words_of
from app.models.likeness import least_unseen_idf
from app.training.intake.learnable_words import has_number, is_number, words_outside_addresses
from app.training.splitting.splits import Indices

Floats = NDArray[np.float64]
# The sender of a text that no customer wrote.
NO_SENDER = -1


@dataclass(frozen=True, slots=True, eq=False)
class BlockCounts:
    """``counts`` ``(n_tickets, n_terms)`` of one block; the terms are in the order of their code points.

    ``learnable`` ``(n_terms,)`` says which of them may enter a vocabulary; ``n_rare`` terms more are not even counted.
    """

    block: BlockSpec
    terms: NDArray[np.str_]
    counts: csr_matrix
    learnable: NDArray[np.bool_]
    n_rare: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class FittedBlock:
    """The vocabulary and the inverse document frequencies that one part of the tickets gives a block."""

    block: BlockSpec
    terms: NDArray[np.str_]
    idf: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FittedFeatures:
    """The features of a model: those of one block after the other."""

    blocks: tuple[FittedBlock, ...]
    sublinear_tf: bool

    @property
    def idf(self) -> NDArray[np.float64]:
        return np.concatenate([fitted.idf for fitted in self.blocks])

    @property
    def starts(self) -> list[int]:
        """Return the first feature of each block."""
        sizes = [len(fitted.terms) for fitted in self.blocks]
        return [sum(sizes[:i]) for i in range(len(sizes))]


class TermCounts:
    """The counts of every block that a model may use, made when they are first asked for.

    A term that tickets of fewer than ``fewest_senders`` have is in no vocabulary, unless it is a word that is known
    from elsewhere: what one sender alone writes would give that sender away. ``senders`` ``(n_tickets,)`` are numbers,
    the same for tickets that may be of one; by default each ticket is of its own, and what has ``NO_SENDER`` may be
    known to all. Terms with a number in them, and
    those that are in e-mail addresses only, are in no vocabulary either.
    """

    def __init__(
        self,
        titles: Sequence[str],
        descriptions: Sequence[str],
        *,
        senders: NDArray[np.int64] | None = None,
        fewest_senders: int = 1,
    ) -> None:
        self._fewest_senders = fewest_senders
        self._senders = np.arange(len(titles)) if senders is None else senders
        self._is_public = self._senders == NO_SENDER
        self._senders = np.where(self._is_public, self._senders.max(initial=0) + 1, self._senders)
        self._has_others = np.bincount(self._senders, minlength=1)[self._senders] > 1
        self._words = [words_of(*fields) for fields in zip(titles, descriptions, strict=True)]
        outside = map(words_outside_addresses, titles, descriptions)
        self._outside_addresses = {i: words for i, words in enumerate(outside) if words is not None}
        self._blocks: dict[BlockSpec, BlockCounts] = {}

    @property
    def words(self) -> NDArray[np.str_]:
        """Return every word that any of the tickets has, sorted."""
        return self.of(BlockSpec("word")).terms

    def words_of(self, tickets: Indices) -> NDArray[np.str_]:
        """Return the words that enter the vocabulary of ``tickets``, sorted."""
        (words,) = self.fit(FeatureSpec((BlockSpec("word"),)), tickets).blocks
        return words.terms

    def of(self, block: BlockSpec) -> BlockCounts:
        if block not in self._blocks:
            self._blocks[block] = self._count_characters(block) if block.kind == "char" else self._count_terms(block)
        return self._blocks[block]

    def fit(
        self,
        features: FeatureSpec,
        tickets: Indices,
        *,
        extra_words: NDArray[np.str_] | None = None,
    ) -> FittedFeatures:
        """Return the vocabularies of ``tickets``: terms in enough of them, and ``extra_words`` in blocks of words."""
        fitted = []
        for block in features.blocks:
            counted = self.of(block)
            frequencies = np.bincount(counted.counts[tickets].indices, minlength=len(counted.terms))
            kept = counted.learnable & (self._n_senders(counted.counts, tickets) >= self._fewest_senders)
            extra = extra_words if extra_words is not None and takes_extra_words(block) else np.array([], dtype=np.str_)
            kept |= np.isin(counted.terms, extra)
            unseen = np.setdiff1d(extra, counted.terms)
            terms = np.concatenate([counted.terms[kept], unseen])
            document_frequencies = np.concatenate([frequencies[kept], np.zeros(len(unseen), dtype=np.int64)])
            order = np.argsort(terms, kind="stable")
            # As in scikit-learn, with smoothing: one more ticket, which has every term.
            idf = np.log((1 + len(tickets)) / (1 + document_frequencies)) + 1
            fitted.append(FittedBlock(block, terms[order], idf[order]))
        return FittedFeatures(tuple(fitted), features.sublinear_tf)

    def n_left_out(self, fitted: FittedFeatures) -> int:
        """Return how many terms any ticket has that are in no vocabulary of ``fitted``."""
        counted = [self.of(block.block) for block in fitted.blocks]
        known = (int(np.isin(mine.terms, of.terms).sum()) for mine, of in zip(counted, fitted.blocks, strict=True))
        return sum(len(mine.terms) + mine.n_rare - n_known for mine, n_known in zip(counted, known, strict=True))

    def features(self, fitted: FittedFeatures, tickets: Indices) -> csr_matrix:
        """Return ``X`` ``(n_tickets, n_features)``, each block of a row with a Euclidean norm of one."""
        return hstack(
            [self._weighed(block, tickets, sublinear_tf=fitted.sublinear_tf) for block in fitted.blocks], format="csr"
        )

    def known_share(self, fitted: FittedFeatures, tickets: Indices, *, n_words: int, n_fitted: int) -> Floats:
        """Return which share of the n-grams of ``n_words`` of each ticket those ``n_fitted`` had ``(n_tickets,)``."""
        n_known = np.zeros(len(tickets))
        for mine in fitted.blocks:
            if mine.block.kind == "word" and mine.block.smallest <= n_words <= mine.block.largest:
                counted = self.of(mine.block)
                has_length = np.char.count(counted.terms, " ") == n_words - 1
                seen = mine.terms[mine.idf < least_unseen_idf(n_fitted)]
                columns = np.flatnonzero(has_length & np.isin(counted.terms, seen))
                n_known += np.asarray(counted.counts[tickets][:, columns].sum(axis=1)).ravel()
        n_all = np.array([len(self._words[i].all) - n_words + 1 for i in tickets.tolist()])
        share: Floats = n_known / np.maximum(n_all, 1)
        return share

    def _weighed(self, fitted: FittedBlock, tickets: Indices, *, sublinear_tf: bool) -> csr_matrix:
        counted = self.of(fitted.block)
        columns = np.searchsorted(fitted.terms, counted.terms)
        columns = np.minimum(columns, max(len(fitted.terms) - 1, 0))
        kept = (fitted.terms[columns] == counted.terms) if len(fitted.terms) else np.zeros(len(columns), np.bool_)
        selection = csr_matrix(
            (np.ones(int(kept.sum())), (np.flatnonzero(kept), columns[kept])),
            shape=(len(counted.terms), len(fitted.terms)),
        )
        counts = (counted.counts[tickets] @ selection).tocsr()
        if sublinear_tf:
            counts.data = 1 + np.log(counts.data)
        weighed = (counts @ diags(fitted.idf)).tocsr()
        norms = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).ravel())
        return (diags(1 / np.where(norms > 0, norms, 1)) @ weighed).tocsr()

    def _count_terms(self, block: BlockSpec) -> BlockCounts:
        terms, counts = _counted(terms_of(words, block) for words in self._words)
        learnable = self._stands_outside_addresses(terms, counts, block)
        learnable &= np.array([not has_number(term) for term in terms.tolist()], dtype=np.bool_)
        counted = BlockCounts(block, terms, counts, learnable)
        if block.largest == 1:
            return counted
        return self._without_rare(counted, keep=np.char.find(terms, " ") < 0)

    def _count_characters(self, block: BlockSpec) -> BlockCounts:
        # The n-grams of a word are made once, however often the word occurs.
        words = self.of(BlockSpec("word"))
        terms, of_words = _counted(char_ngrams(word, block.smallest, block.largest) for word in words.terms.tolist())
        learnable = np.bincount(of_words[words.learnable].indices, minlength=len(terms)) > 0
        learnable &= np.array([not is_number(term) for term in terms.tolist()], dtype=np.bool_)
        counted = BlockCounts(block, terms, (words.counts @ of_words).tocsr(), learnable)
        return self._without_rare(counted, keep=np.zeros(len(terms), dtype=np.bool_))

    def _stands_outside_addresses(
        self, terms: NDArray[np.str_], counts: csr_matrix, block: BlockSpec
    ) -> NDArray[np.bool_]:
        has_address = np.zeros(counts.shape[0], dtype=np.bool_)
        has_address[list(self._outside_addresses)] = True
        stands: NDArray[np.bool_] = np.bincount(counts[~has_address].indices, minlength=len(terms)) > 0
        outside = {term for words in self._outside_addresses.values() for term in terms_of(words, block)}
        stands |= np.isin(terms, np.array(sorted(outside), dtype=np.str_))
        return stands

    def _without_rare(self, counted: BlockCounts, *, keep: NDArray[np.bool_]) -> BlockCounts:
        n_senders = self._n_senders(counted.counts, np.arange(counted.counts.shape[0]))
        kept = np.flatnonzero(keep | (n_senders >= self._fewest_senders))
        return BlockCounts(
            counted.block,
            counted.terms[kept],
            counted.counts[:, kept].tocsr(),
            counted.learnable[kept],
            n_rare=len(counted.terms) - len(kept),
        )

    def _n_senders(self, counts: csr_matrix, tickets: Indices) -> NDArray[np.int64]:
        """Return how many senders of ``tickets`` have each term, ``(n_terms,)``."""
        has_others = self._has_others[tickets]
        n_terms = counts.shape[1]
        n_senders = np.bincount(counts[tickets[~has_others]].indices, minlength=n_terms)
        if has_others.any():
            _, numbers = np.unique(self._senders[tickets[has_others]], return_inverse=True)
            ones = np.ones(len(numbers), dtype=np.float32)
            by_sender = csr_matrix((ones, (numbers, np.arange(len(numbers))))) @ counts[tickets[has_others]]
            n_senders += np.bincount(by_sender.indices, minlength=n_terms)
        is_public = np.bincount(counts[tickets[self._is_public[tickets]]].indices, minlength=n_terms) > 0
        return np.where(is_public, np.maximum(n_senders, self._fewest_senders), n_senders)


def takes_extra_words(block: BlockSpec) -> bool:
    """Say whether ``block`` holds single words of the whole ticket, which word vectors can teach a meaning."""
    return block.kind == "word" and block.smallest == 1


def _counted(bags: Iterable[Iterable[str]]) -> tuple[NDArray[np.str_], csr_matrix]:
    """Return the terms of the bags, sorted, and how often each bag has each, ``(n_bags, n_terms)``."""
    numbers: dict[str, int] = {}
    indices: list[int] = []
    ends = [0]
    for bag in bags:
        indices.extend([numbers.setdefault(term, len(numbers)) for term in bag])
        ends.append(len(indices))
    terms = np.array(list(numbers), dtype=np.str_)
    order = np.argsort(terms, kind="stable")
    position = np.empty(len(order), dtype=np.int32)
    position[order] = np.arange(len(order), dtype=np.int32)
    columns = position[np.array(indices, dtype=np.int64)] if indices else np.array([], dtype=np.int32)
    counts = csr_matrix((np.ones(len(columns)), columns, np.array(ends)), shape=(len(ends) - 1, len(terms)))
    counts.sum_duplicates()
    return terms[order], counts

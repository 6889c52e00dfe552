"""The words of a model as numbers, and its word n-grams as features: lookups for a whole batch of tickets at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.models.features import MAX_WORD_CHARACTERS, BlockSpec
from app.models.ngram_table import NGramTable

# What stands in a sequence of words besides words, whose numbers come after these.
END_OF_TICKET = 0
UNKNOWN = 1
FIRST_WORD = 2
_NOT_A_FEATURE = -1
_TERMS_AT_ONCE = 4096

# Features ``(n,)``, and before them the place in the sequence where each begins ``(n,)``.
Found = tuple[NDArray[np.int64], NDArray[np.int32]]


def number_words(vocabularies: Iterable[Sequence[str]]) -> dict[str, int]:
    """Return a number for each word in the n-grams of ``vocabularies``, except for what no ticket can have."""
    words = dict.fromkeys(chain.from_iterable(words for terms in vocabularies for words in _words_in(terms)))
    possible = (word for word in words if 0 < len(word) <= MAX_WORD_CHARACTERS)
    return {word: number for number, word in enumerate(possible, start=FIRST_WORD)}


def _words_in(terms: Sequence[str]) -> Iterator[list[str]]:
    """Yield the words of all terms, some thousand at a time: other threads get no turn within one call of a builtin."""
    for start in range(0, max(1, len(terms)), _TERMS_AT_ONCE):
        yield " ".join(terms[start : start + _TERMS_AT_ONCE]).split(" ")


class _Level(NamedTuple):
    """The n-grams of ``n`` words and the beginnings of longer ones, and by slot which feature they are, if any."""

    n: int
    table: NGramTable
    feature_of: NDArray[np.int32]
    all_are_features: bool


class WordNGrams:
    """The n-grams of one block; ``terms[i]`` is the feature ``first_feature + i``."""

    def __init__(self, terms: Sequence[str], numbers: dict[str, int], block: BlockSpec, *, first_feature: int) -> None:
        self._n_numbers = np.int64(FIRST_WORD + len(numbers))
        self._smallest = block.smallest
        # How many words the n-grams have that ``find`` returns, in its order.
        self.lengths = range(block.smallest, block.largest + 1)
        words = np.concatenate(
            [np.fromiter(map(numbers.get, some, repeat(UNKNOWN)), np.int64, len(some)) for some in _words_in(terms)]
        )
        lengths = np.fromiter(map(str.count, terms, repeat(" ")), np.int64, len(terms)) + 1
        starts = np.cumsum(lengths) - lengths
        possible = (block.smallest <= lengths) & (lengths <= block.largest)
        if len(terms):
            possible &= np.minimum.reduceat(words, starts) >= FIRST_WORD
        features = (first_feature + possible.nonzero()[0]).astype(np.int32)
        starts, lengths = starts[possible], lengths[possible]
        self._unigrams = np.full(self._n_numbers, _NOT_A_FEATURE, dtype=np.int32)
        self._unigrams[words[starts[lengths == 1]]] = features[lengths == 1]
        self._longer: list[_Level] = []
        beginnings = words[starts]
        for n in range(2, block.largest + 1):
            longer = lengths >= n
            starts, lengths = starts[longer], lengths[longer]
            features, beginnings = features[longer], beginnings[longer]
            keys, key_of = np.unique(beginnings * self._n_numbers + words[starts + n - 1], return_inverse=True)
            table = NGramTable(keys)
            beginnings = table.slots[key_of]
            feature_of = np.full(table.n_slots, _NOT_A_FEATURE, dtype=np.int32)
            feature_of[beginnings[lengths == n]] = features[lengths == n]
            all_are_features = bool((feature_of[table.slots] != _NOT_A_FEATURE).all())
            self._longer.append(_Level(n, table, feature_of, all_are_features))

    def has(self, is_known: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """By number, whether a word on its own is a feature that ``is_known`` ``(n_features,)``: ``(n_numbers,)``."""
        is_feature: NDArray[np.bool_] = self._unigrams != _NOT_A_FEATURE
        is_feature[is_feature] = is_known[self._unigrams[is_feature]]
        return is_feature

    def find(self, sequence: NDArray[np.int64]) -> list[Found]:
        """Look ``sequence`` up, which is the words of tickets by number, each ticket followed by ``END_OF_TICKET``.

        Return what is found of each of ``lengths``.
        """
        found = []
        if self._smallest == 1:
            features = self._unigrams.take(sequence)
            known = (features >= 0).nonzero()[0]
            found.append((known, features.take(known)))
        places, beginnings, following = None, sequence[:-1], sequence[1:]
        for level in self._longer:
            if places is not None:
                following = sequence.take(places + (level.n - 1))
            which, beginnings = level.table.find(beginnings * self._n_numbers + following)
            places = which if places is None else places.take(which)
            if level.n < self._smallest:
                continue
            features = level.feature_of.take(beginnings)
            if level.all_are_features:
                found.append((places, features))
            else:
                are_features = (features >= 0).nonzero()[0]
                found.append((places.take(are_features), features.take(are_features)))
        return found

"""The character n-grams of words as features, remembered by word: tickets repeat words more than they invent them."""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from app.models.features import MAX_WORD_CHARACTERS, BlockSpec, char_ngrams
from app.models.word_index import Found

# About 5 MB. What comes after that is computed each time, so that memory stays bounded whatever is sent.
_MAX_REMEMBERED_WORDS = 20_000
_FEATURE = np.dtype(np.int32)


class Place(NamedTuple):
    """An n-gram of a word, and where it begins in the word as it is padded."""

    feature: int
    term: str
    start: int


class CharNGrams:
    """The n-grams of one block; ``terms[i]`` is the feature ``first_feature + i``. Any thread may call ``find``.

    ``separators`` are what stands between words without being one.
    """

    def __init__(
        self, terms: Sequence[str], block: BlockSpec, *, first_feature: int, separators: Iterable[bytes]
    ) -> None:
        self._of_word = _FeaturesOfWords(dict(zip(terms, count(first_feature), strict=False)), block)
        self._of_word.update(dict.fromkeys(separators, b""))

    def find(self, words: Sequence[bytes]) -> Found:
        """Look ``words`` up; the place of a feature is that of its word."""
        of_words = list(map(self._of_word.__getitem__, words))
        n_features = np.fromiter(map(len, of_words), np.int64, len(of_words)) // _FEATURE.itemsize
        return np.arange(len(words)).repeat(n_features), np.frombuffer(b"".join(of_words), _FEATURE)

    def places(self, word: str, features: Container[int]) -> list[Place]:
        """Return which of ``features`` are n-grams of ``word``, each as often as it is there."""
        return self._of_word.places(word, features)


class _FeaturesOfWords(dict[bytes, bytes]):
    """For each word the numbers of its features, as the bytes of an array: joined, they are that of many words."""

    def __init__(self, features: Mapping[str, int], block: BlockSpec) -> None:
        super().__init__()
        self._features = features
        self._block = block

    def __missing__(self, encoded: bytes) -> bytes:
        word, known = encoded.decode(), self._features.get
        grams = char_ngrams(word[:MAX_WORD_CHARACTERS], self._block.smallest, self._block.largest)
        # array is much quicker than NumPy for the few features that one word has.
        of_word = array(_FEATURE.char, [feature for gram in grams if (feature := known(gram)) is not None]).tobytes()
        if len(word) <= MAX_WORD_CHARACTERS and len(self) < _MAX_REMEMBERED_WORDS:
            self[encoded] = of_word
        return of_word

    def places(self, word: str, features: Container[int]) -> list[Place]:
        known, padded, places = self._features.get, f" {word} ", []
        for n in range(self._block.smallest, self._block.largest + 1):
            grams = [padded[start : start + n] for start in range(len(padded) - n + 1)]
            places += [
                Place(feature, grams[start], start)
                for start, feature in enumerate(map(known, grams))
                if feature in features and feature is not None
            ]
        return places

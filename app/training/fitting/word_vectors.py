"""What words mean, for those that the tickets never say: a table of word vectors, folded into the words' own weights.

The vector of a ticket is the average of its words' vectors, weighed like its features. A regression on that average is
linear in the words, so its weights become coefficients of the words, and nothing of the table is needed to serve. It
is scripts/make_word_vectors.py that makes the table, from an English sentence-embedding model.

Vectors are stored by product quantisation (Jégou, Douze & Schmid 2011): each is cut into parts, and each part is the
number of the nearest of 256 centres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from app.training.fitting.design import FittedFeatures, takes_extra_words

DEFAULT_PATH = Path(__file__).parents[3] / "data" / "word_vectors.npz"
# Rare words say more than frequent ones; with the whole idf, which the features have already, they would say too much.
_IDF_POWER = -0.5


@dataclass(frozen=True, slots=True, eq=False)
class WordVectors:
    """``words`` sorted, ``codes`` ``(n_words, n_parts)`` uint8, ``centres`` ``(n_parts, 256, n_dimensions_a_part)``."""

    words: NDArray[np.str_]
    codes: NDArray[np.uint8]
    centres: NDArray[np.float32]

    @classmethod
    def load(cls) -> WordVectors:
        with np.load(DEFAULT_PATH, allow_pickle=False) as arrays:
            words = np.array(bytes(arrays["words"]).decode().split("\n"), dtype=np.str_)
            return cls(words, arrays["codes"], arrays["centres"].astype(np.float32))

    @property
    def n_dimensions(self) -> int:
        n_parts, _, of_part = self.centres.shape
        return int(n_parts * of_part)

    def restricted_to(self, words: NDArray[np.str_]) -> WordVectors:
        kept = np.isin(self.words, words)
        return WordVectors(self.words[kept], self.codes[kept], self.centres)

    def of(self, terms: NDArray[np.str_]) -> NDArray[np.float32]:
        """Return ``(n_terms, n_dimensions)``; the vector of a term that is not in the table is zero."""
        known = np.isin(terms, self.words)
        positions = np.searchsorted(self.words, terms[known])
        vectors = np.zeros((len(terms), self.n_dimensions), np.float32)
        parts = np.arange(self.centres.shape[0])
        vectors[known] = self.centres[parts, self.codes[positions]].reshape(-1, self.n_dimensions)
        return vectors


@dataclass(frozen=True, slots=True, eq=False)
class VectorBlock:
    """The way from the features of the words to the vector of a ticket, and back from its weights to theirs.

    ``projection`` is ``(n_words, n_dimensions)``; the words are the features of ``columns``.
    """

    columns: slice
    projection: NDArray[np.float32]

    def scaled(self, strength: float) -> VectorBlock:
        """Return the block whose vectors are ``strength`` times as long."""
        return VectorBlock(self.columns, self.projection * np.float32(strength))

    def of_tickets(self, X: csr_matrix) -> NDArray[np.float32]:
        """Return ``(n_tickets, n_dimensions)``."""
        vectors: NDArray[np.float32] = X[:, self.columns].astype(np.float32) @ self.projection
        return vectors

    def fold(self, dense_weights: NDArray[np.float32], n_features: int) -> NDArray[np.float32]:
        """Return the coefficients ``(n_features, n_labels)`` that say the same as ``dense_weights``."""
        coefficients = np.zeros((n_features, dense_weights.shape[1]), np.float32)
        coefficients[self.columns] = self.projection @ dense_weights
        return coefficients


def vector_block(vectors: WordVectors, fitted: FittedFeatures, X: csr_matrix, *, scale: float) -> VectorBlock | None:
    """Return the block such that the tickets of ``X`` have vectors of root mean square length ``scale``.

    ``None`` when the features have no block of single words, or the table none of their words.
    """
    for block, start in zip(fitted.blocks, fitted.starts, strict=True):
        if takes_extra_words(block.block):
            projection = vectors.of(block.terms) * (block.idf[:, np.newaxis] ** _IDF_POWER).astype(np.float32)
            unscaled = VectorBlock(slice(start, start + len(block.terms)), projection)
            mean_square = float(np.square(unscaled.of_tickets(X)).sum(axis=1).mean())
            if mean_square > 0:
                return VectorBlock(unscaled.columns, projection * np.float32(scale / np.sqrt(mean_square)))
    return None

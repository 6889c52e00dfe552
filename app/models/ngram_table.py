"""An exact, read-only set of numbers for looking many of them up at once: a perfect hash table.

A bigram is the pair of its words, as one number; a trigram is the pair of its first two words and its third. A number
can only be in one slot, so that a lookup costs the same however many there are. A slot takes 8 bytes, and there are two
to four for each number, where a dictionary of strings takes 200 bytes for each.

The method is hash and displace (Belazzougui, Botelho and Dietzfelbinger 2009): numbers are hashed into small buckets,
and each bucket gets a displacement that sends its numbers into slots that are still free, the largest buckets first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Odd, and with no pattern in their bits: 2**64 over the golden ratio, and the multiplier of MurmurHash3's finaliser.
_TO_BUCKETS = np.uint64(0x9E3779B97F4A7C15)
_TO_SLOTS = np.uint64(0xFF51AFD7ED558CCD)
_WORD_BITS = 64
_KEYS_IN_BUCKET = 4
_EMPTY = -1
_MAX_ROUNDS = 10_000


class NGramTable:
    """The distinct, not negative ``keys`` ``(n,)``; ``slots`` are where they are, below ``n_slots``."""

    def __init__(self, keys: NDArray[np.int64]) -> None:
        slots_log2 = max(1, (2 * len(keys) - 1).bit_length())
        buckets_log2 = max(1, (len(keys) // _KEYS_IN_BUCKET).bit_length())
        self._to_slot_shift = np.uint64(_WORD_BITS - slots_log2)
        self._to_bucket_shift = np.uint64(_WORD_BITS - buckets_log2)
        self._displacements = np.zeros(1 << buckets_log2, dtype=np.uint64)
        self._keys = np.full(1 << slots_log2, _EMPTY, dtype=np.int64)
        self.n_slots = len(self._keys)
        self._place(keys)
        self.slots = self._slots_of(keys)

    def find(self, keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of ``keys`` are in the table, ascending, and their slots."""
        slots = self._slots_of(keys)
        which = (self._keys.take(slots) == keys).nonzero()[0]
        return which, slots.take(which)

    def _slots_of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        hashes = keys.view(np.uint64) * _TO_BUCKETS
        displacements = self._displacements.take((hashes >> self._to_bucket_shift).view(np.int64))
        return (((hashes ^ displacements) * _TO_SLOTS) >> self._to_slot_shift).view(np.int64)

    def _place(self, keys: NDArray[np.int64]) -> None:
        buckets = ((keys.view(np.uint64) * _TO_BUCKETS) >> self._to_bucket_shift).view(np.int64)
        keys = keys[np.argsort(buckets, kind="stable")]
        sizes = np.bincount(buckets, minlength=len(self._displacements))
        starts = np.cumsum(sizes) - sizes
        claims = np.empty(self.n_slots, dtype=np.int64)
        rng = np.random.default_rng(0)
        for size in range(int(sizes.max(initial=0)), 0, -1):
            waiting = (sizes == size).nonzero()[0]
            rounds = 0
            while len(waiting):
                if (rounds := rounds + 1) > _MAX_ROUNDS:
                    raise ValueError("two n-grams of the vocabulary are the same")
                self._displacements[waiting] = rng.integers(1 << 63, size=len(waiting), dtype=np.uint64)
                waiting = waiting[~self._place_what_fits(keys[starts[waiting, np.newaxis] + np.arange(size)], claims)]

    def _place_what_fits(self, keys: NDArray[np.int64], claims: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Put the buckets whose keys ``(n_buckets, size)`` all have free slots there, and return which these are.

        ``claims`` ``(n_slots,)`` is room to work in: of several that want a slot, the last to write its number has it.
        """
        slots = self._slots_of(keys)
        numbers = np.arange(slots.size).reshape(slots.shape)
        claims[slots] = numbers
        fits: NDArray[np.bool_] = ((self._keys[slots] == _EMPTY) & (claims[slots] == numbers)).all(axis=1)
        self._keys[slots[fits]] = keys[fits]
        return fits

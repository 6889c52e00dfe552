"""Near-duplicate texts in linear time: MinHash signatures, banded buckets, and the exact similarity of who meets there.

The similarity of two tickets is the Jaccard index of their shingles, which are their words and pairs of neighbouring
words, where every word with a digit counts as the same word: tickets that differ in a number are one ticket.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from app.models.features import words_of

# One word of nine may differ. In short customer questions the pairs that are this similar have the same label nine
# times of ten; at 0.5, chains of ever so similar questions join a tenth of all tickets into one group.
SIMILARITY = 0.7
# Where boilerplate chains more than a fifth of all tickets together, only the more similar ones are taken as one.
STRICTER = (0.8, 0.9, 1.0)
_LARGEST_SHARE = 0.2
_SMALLEST_LARGE_GROUP = 50
# A pair as similar as 0.7 meets in one of 20 buckets of 3 hashes with a probability of 0.9998.
_N_BANDS, _BAND_HASHES = 20, 3
_NEIGHBOURS = 4
_CHUNK_TICKETS = 20_000
_CHUNK_PAIRS = 100_000
_SEED = 20_010

Key = TypeVar("Key", np.int64, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Grouping:
    """A group number for each ticket, and the similarity from which two tickets were put in one group."""

    ids: NDArray[np.int64]
    similarity: float


def group_near_duplicates(shingles: csr_matrix, known_groups: Sequence[object] | None = None) -> Grouping:
    """Group tickets that are near-duplicates, or have the same value in ``known_groups``, or are linked by such."""
    n_tickets = shingles.shape[0]
    # Equal sets are one ticket to what follows, which costs time for every pair that it meets.
    representatives, stands_for = _distinct(shingles)
    first, second, similarity = _similar_pairs(shingles[representatives])
    first, second = representatives[first], representatives[second]
    known = np.concatenate(
        [_links_of_known_groups(known_groups), [representatives[stands_for], range(n_tickets)]], axis=1
    )
    limit = max(_SMALLEST_LARGE_GROUP, _LARGEST_SHARE * n_tickets)
    ids, threshold = np.arange(n_tickets), SIMILARITY
    for threshold in (SIMILARITY, *STRICTER):
        kept = similarity >= threshold
        pairs = np.concatenate([known, np.stack([first[kept], second[kept]])], axis=1)
        links = csr_matrix((np.ones(pairs.shape[1], dtype=np.int8), (pairs[0], pairs[1])), shape=(n_tickets, n_tickets))
        ids = connected_components(links, directed=False)[1].astype(np.int64)
        if np.bincount(ids).max() <= limit:
            break
    return Grouping(ids, threshold)


def shingles_of(titles: Sequence[str], descriptions: Sequence[str]) -> csr_matrix:
    """Return ``(n_tickets, n_shingles)`` of ones: the set of each ticket's shingles; none is empty."""
    ids: dict[str, int] = {}
    known: dict[str, int] = {}
    chunks: list[NDArray[np.uint64]] = []
    for start in range(0, len(titles), _CHUNK_TICKETS):
        words: list[int] = []
        lengths = []
        for i in range(start, min(start + _CHUNK_TICKETS, len(titles))):
            # A ticket without words is its text.
            ticket = words_of(titles[i], descriptions[i]).all or (f" {titles[i]} {descriptions[i]}",)
            lengths.append(len(ticket))
            for word in ticket:
                number = known.get(word)
                if number is None:
                    number = known[word] = ids.setdefault("0" if _has_digit(word) else word, len(ids))
                words.append(number)
        chunk = _word_shingles(np.array(words, dtype=np.uint64), np.array(lengths))
        chunks.append(chunk + np.uint64(start << 32))
    keys = np.concatenate(chunks)
    names, columns = np.unique((keys & np.uint64(0xFFFFFFFF)).astype(np.uint32), return_inverse=True)
    sizes = np.bincount((keys >> np.uint64(32)).astype(np.int64), minlength=len(titles))
    return csr_matrix(
        (np.ones(len(keys), dtype=np.float32), columns, np.concatenate([[0], np.cumsum(sizes)])),
        shape=(len(titles), len(names)),
    )


def similarities(shingles: csr_matrix, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the Jaccard index of each pair of rows."""
    sizes = np.diff(shingles.indptr)
    result = np.empty(len(first))
    for start in range(0, len(first), _CHUNK_PAIRS):
        chunk = slice(start, start + _CHUNK_PAIRS)
        shared = np.asarray(shingles[first[chunk]].multiply(shingles[second[chunk]]).sum(axis=1)).ravel()
        result[chunk] = shared / (sizes[first[chunk]] + sizes[second[chunk]] - shared)
    return result


def _has_digit(word: str) -> bool:
    return any(character.isdigit() for character in word) and not word.startswith(" ")


def _word_shingles(words: NDArray[np.uint64], lengths: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the distinct shingles of a chunk, row by row, as ``row << 32 | hash``."""
    rows = np.repeat(np.arange(len(lengths), dtype=np.uint64), lengths)
    singles = _mixed(words + np.uint64(1))
    together = rows[1:] == rows[:-1]
    pairs = _mixed(singles[:-1][together] * np.uint64(0x9E3779B97F4A7C15) + singles[1:][together])
    keys = np.concatenate(
        [rows << np.uint64(32) | singles >> np.uint64(32), rows[1:][together] << np.uint64(32) | pairs >> np.uint64(32)]
    )
    return _sorted_set(keys)


def _sorted_set(keys: NDArray[Key]) -> NDArray[Key]:
    """Return the distinct keys in order, several times as fast as ``np.unique``, which hashes them first."""
    keys = np.sort(keys)
    first = np.concatenate([np.ones(min(1, len(keys)), dtype=bool), keys[1:] != keys[:-1]])
    distinct: NDArray[Key] = keys[first]
    return distinct


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter numbers over 64 bits: the finaliser of SplitMix64 (Steele, Lea & Flood 2014)."""
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)


def _distinct(shingles: csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return one row for each different set, and for each row the position of the one that is equal to it."""
    scattered = _mixed(np.arange(shingles.shape[1], dtype=np.uint64))
    fingerprints = np.add.reduceat(scattered[shingles.indices], shingles.indptr[:-1])
    _, representatives, stands_for = np.unique(fingerprints, return_index=True, return_inverse=True)
    return representatives, stands_for


def _similar_pairs(shingles: csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return pairs of rows and their similarity, which is ``SIMILARITY`` or more."""
    signatures = _signatures(shingles)
    n_tickets = len(signatures)
    candidates = []
    for band in range(_N_BANDS):
        keys = np.zeros(n_tickets, dtype=np.uint64)
        for hash_ in signatures[:, band * _BAND_HASHES : (band + 1) * _BAND_HASHES].T:
            keys = _mixed(keys * np.uint64(31) + hash_)
        # Within a bucket, tickets that agree in another hash stand side by side.
        order = np.lexsort((signatures[:, (band + 1) * _BAND_HASHES % signatures.shape[1]], keys))
        starts = np.flatnonzero(np.concatenate([[True], keys[order][1:] != keys[order][:-1]]))
        leaders = np.repeat(order[starts], np.diff(np.append(starts, n_tickets)))
        candidates.append(_packed(leaders, order, n_tickets))
        for distance in range(1, _NEIGHBOURS + 1):
            same = keys[order][distance:] == keys[order][:-distance]
            candidates.append(_packed(order[distance:][same], order[:-distance][same], n_tickets))
    packed = _sorted_set(np.concatenate(candidates))
    first, second = packed // n_tickets, packed % n_tickets
    # The share of equal hashes estimates the similarity with a standard error of 0.06 or less: far below is out.
    near = (
        np.concatenate(
            [
                (signatures[first[i : i + _CHUNK_PAIRS]] == signatures[second[i : i + _CHUNK_PAIRS]]).mean(axis=1)
                for i in range(0, max(1, len(first)), _CHUNK_PAIRS)
            ]
        )
        >= SIMILARITY - 0.2
    )
    first, second = first[near], second[near]
    similarity = similarities(shingles, first, second)
    similar = similarity >= SIMILARITY
    return first[similar], second[similar], similarity[similar]


def _packed(first: NDArray[np.int64], second: NDArray[np.int64], n_tickets: int) -> NDArray[np.int64]:
    different = first != second
    first, second = first[different], second[different]
    return _sorted_set(np.minimum(first, second) * n_tickets + np.maximum(first, second))


def _signatures(shingles: csr_matrix) -> NDArray[np.uint32]:
    """Return MinHash signatures ``(n_tickets, n_hashes)`` (Broder 1997): the smallest of each hash over the set."""
    random = np.random.default_rng(_SEED)
    signatures = np.empty((shingles.shape[0], _N_BANDS * _BAND_HASHES), dtype=np.uint32)
    salts = random.integers(0, 2**63, signatures.shape[1], dtype=np.uint64)
    columns = np.arange(shingles.shape[1], dtype=np.uint64)
    for i, salt in enumerate(salts):
        values = (_mixed(columns + salt) >> np.uint64(32)).astype(np.uint32)
        signatures[:, i] = np.minimum.reduceat(values[shingles.indices], shingles.indptr[:-1])
    return signatures


def _links_of_known_groups(groups: Sequence[object] | None) -> NDArray[np.int64]:
    if groups is None:
        return np.empty((2, 0), dtype=np.int64)
    first: dict[object, int] = {}
    leaders = [first.setdefault(group, i) for i, group in enumerate(groups)]
    return np.array([leaders, range(len(leaders))], dtype=np.int64)

"""What training and validation have in common, counted from the texts and not from how they were split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from app.training.intake.labelled_tickets import Tickets
from app.training.intake.unlabelled_tickets import Unlabelled
from app.training.splitting.near_duplicates import (
    SIMILARITY,
    Grouping,
    group_near_duplicates,
    shingles_of,
    similarities,
)
from app.training.splitting.splits import Indices, Split, hold_out

_CHUNK_TICKETS = 1_000
_MOST_CHECKED = 10_000
_ROUNDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Overlap:
    """What of ``n_checked`` validation tickets is in training too; ``torn`` has the positions of those tickets."""

    n_checked: int
    n_same_text: int
    n_near_duplicates: int
    n_same_group: int
    torn: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """The split of a training run, what it kept together, and the overlap that was found afterwards.

    ``unlabelled_groups`` are the group numbers of tickets without labels, which are not split.
    """

    grouping: Grouping
    split: Split
    overlap: Overlap
    unlabelled_groups: NDArray[np.int64] = field(default_factory=lambda: np.array([], dtype=np.int64))

    @property
    def all_groups(self) -> NDArray[np.int64]:
        """Return the group numbers of the labelled tickets and then of the others."""
        return np.concatenate([self.grouping.ids, self.unlabelled_groups])


def partition(tickets: Tickets, *, share: float, seed: int, unlabelled: Unlabelled | None = None) -> Partition:
    """Hold out about ``share`` of the tickets so that nothing like them is in training.

    What the count finds torn apart all the same, because grouping is approximate, goes to the training side, group by
    group, until the count finds nothing. Raise ``OneGroupError`` when all tickets of a head are in one group.
    """
    every, shingles = _grouped(tickets, unlabelled)
    grouping = Grouping(every.ids[: len(tickets)], every.similarity)
    split = hold_out(tickets.labels, grouping.ids, share=share, seed=seed)
    found = overlap(tickets, shingles, split, grouping.similarity)
    for _ in range(_ROUNDS):
        stays = ~np.isin(grouping.ids[split.validation], grouping.ids[found.torn])
        remaining = split.validation[stays].tolist()
        if stays.all() or not all(any(of_head[i] for i in remaining) for of_head in tickets.labels.values()):
            break
        split = Split(np.sort(np.append(split.train, split.validation[~stays])), split.validation[stays])
        found = overlap(tickets, shingles, split, grouping.similarity)
    return Partition(grouping, split, found, every.ids[len(tickets) :])


def nothing_held_out(tickets: Tickets) -> Partition:
    """Return the partition that has all tickets on the training side."""
    grouping = group_near_duplicates(shingles_of(tickets.titles, tickets.descriptions), tickets.groups)
    nothing = np.array([], dtype=np.int64)
    return Partition(grouping, Split(np.arange(len(tickets)), nothing), Overlap(0, 0, 0, 0, nothing))


def _grouped(tickets: Tickets, unlabelled: Unlabelled | None) -> tuple[Grouping, csr_matrix]:
    """Return the groups of all tickets, the unlabelled ones last, and the shingles of the labelled ones."""
    if unlabelled is None:
        shingles = shingles_of(tickets.titles, tickets.descriptions)
        return group_near_duplicates(shingles, tickets.groups), shingles
    shingles = shingles_of([*tickets.titles, *unlabelled.titles], [*tickets.descriptions, *unlabelled.descriptions])
    # Where groups are not named on one side, a ticket of it is in no group but its own.
    n_tickets, n_unlabelled = len(tickets), len(unlabelled)
    of_tickets = range(n_tickets) if tickets.groups is None else tickets.groups
    of_others = range(n_tickets, n_tickets + n_unlabelled) if unlabelled.groups is None else unlabelled.groups
    known = [*of_tickets, *of_others]
    return group_near_duplicates(shingles, known), shingles[: len(tickets)]


def overlap_figures(found: Partition) -> dict[str, float | int]:
    """Return the overlap as plain JSON values."""
    return {
        "tickets_checked": found.overlap.n_checked,
        "texts": found.overlap.n_same_text,
        "near_duplicates": found.overlap.n_near_duplicates,
        "groups": found.overlap.n_same_group,
        "similarity": found.grouping.similarity,
    }


def overlap(tickets: Tickets, shingles: csr_matrix, split: Split, similarity: float) -> Overlap:
    """Count validation tickets with a training ticket of the same text, the same named group, or nearly the same text.

    ``similarity`` is the Jaccard index of shingles from which a text is nearly the same. At most 10,000 validation
    tickets, evenly spread, are compared.
    """
    step = max(1, -(-len(split.validation) // _MOST_CHECKED))
    checked = split.validation[::step]
    texts = list(map(_plain, tickets.titles, tickets.descriptions))
    same_text = _also_in_training(texts, split.train, checked)
    same_group = np.zeros(len(checked), dtype=bool)
    if tickets.groups is not None:
        same_group = _also_in_training(tickets.groups, split.train, checked)
    near = _near_duplicates(shingles, split.train, checked, similarity)
    return Overlap(
        n_checked=len(checked),
        n_same_text=int(same_text.sum()),
        n_near_duplicates=int(near.sum()),
        n_same_group=int(same_group.sum()),
        torn=checked[same_text | same_group | near],
    )


def overlap_of_files(training: Tickets, evaluation: Tickets) -> dict[str, int]:
    """Return how many tickets of another file are in the training file, too, as plain JSON values.

    ``near_duplicates`` does not count those that ``texts`` does, which are the same but for letter case and spaces.
    """
    n_training, n_all = len(training), len(training) + len(evaluation)
    both = Tickets(
        titles=[*training.titles, *evaluation.titles],
        descriptions=[*training.descriptions, *evaluation.descriptions],
        labels={},
        groups=None,
        sha256="",
        notes=(),
    )
    sides = Split(np.arange(n_training), np.arange(n_training, n_all))
    found = overlap(both, shingles_of(both.titles, both.descriptions), sides, SIMILARITY)
    return {
        "tickets_checked": found.n_checked,
        "texts": found.n_same_text,
        "near_duplicates": len(found.torn) - found.n_same_text,
    }


def _plain(title: str, description: str) -> str:
    return " ".join(f"{title} {description}".casefold().split())


def _also_in_training(values: Sequence[str], train: Indices, checked: Indices) -> NDArray[np.bool_]:
    seen = {values[i] for i in train.tolist()}
    return np.array([values[i] in seen for i in checked.tolist()], dtype=bool)


def _near_duplicates(shingles: csr_matrix, train: Indices, checked: Indices, similarity: float) -> NDArray[np.bool_]:
    """Compare exactly: two sets that are similar enough share one of their rarest shingles (Chaudhuri et al. 2006).

    A set of n shingles keeps its rarest ``n - ceil(similarity * n) + 1``, the prefix; only pairs whose prefixes meet
    are compared in full.
    """
    prefixes = _rarest(shingles, similarity)
    in_training = prefixes[train].T.tocsr()
    sizes = np.diff(shingles.indptr)
    found = np.zeros(len(checked), dtype=bool)
    for start in range(0, len(checked), _CHUNK_TICKETS):
        chunk = checked[start : start + _CHUNK_TICKETS]
        meets = (prefixes[chunk] @ in_training).tocoo()
        first, second = chunk[meets.row], train[meets.col]
        close = np.minimum(sizes[first], sizes[second]) >= similarity * np.maximum(sizes[first], sizes[second]) - 1e-9
        rows, first, second = meets.row[close], first[close], second[close]
        similar = similarities(shingles, first, second) >= similarity
        found[start + rows[similar]] = True
    return found


def _rarest(shingles: csr_matrix, similarity: float) -> csr_matrix:
    frequency = np.bincount(shingles.indices, minlength=shingles.shape[1])
    sizes = np.diff(shingles.indptr)
    rows = np.repeat(np.arange(shingles.shape[0]), sizes)
    order = np.lexsort((shingles.indices, frequency[shingles.indices], rows))
    rank = np.arange(len(order)) - shingles.indptr[rows]
    kept = rank < sizes[rows] - np.ceil(similarity * sizes[rows] - 1e-9) + 1
    return csr_matrix(
        (np.ones(int(kept.sum()), dtype=np.float32), (rows[kept], shingles.indices[order][kept])), shape=shingles.shape
    )

"""Splits that keep together what belongs together, so that no validation ticket was seen in training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

# A combination of labels with fewer tickets than this cannot be dealt to folds in proportion.
_FEWEST_TICKETS_A_STRATUM = 5


class OneGroupError(Exception):
    """Tickets that cannot be split, because all of them belong together."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Positions of tickets, in order, on either side."""

    train: Indices
    validation: Indices


def hold_out(labels: Mapping[str, Sequence[str]], groups: NDArray[np.int64], *, share: float, seed: int) -> Split:
    """Hold out about ``share`` of the tickets, whole groups, with the labels of all heads in proportion.

    A label that is in one group alone stays in training. Blank labels are none; every head has tickets with a label on
    either side. Raise ``OneGroupError`` when a head has them in fewer than two groups.
    """
    of_labels = strata(labels)
    parts = _deal(of_labels, groups, (1 - share, share), seed)
    labelled = {head: np.array(list(map(bool, of_head)), dtype=np.bool_) for head, of_head in labels.items()}
    for has_label in labelled.values():
        if _is_on_one_side(parts, has_label):
            # So few groups that proportion wants them on one side: the smallest that is not alone with a label goes.
            parts[groups == _most_dispensable(of_labels[has_label], groups[has_label])] ^= 1
    for head, has_label in labelled.items():
        if _is_on_one_side(parts, has_label):
            which = "all tickets" if has_label.all() else f'all tickets with a label of "{head}"'
            raise OneGroupError(f"{which} are one group of similar texts, so none can be held out to measure on")
    return Split(np.flatnonzero(parts == 0), np.flatnonzero(parts == 1))


def _is_on_one_side(parts: NDArray[np.int64], has_label: NDArray[np.bool_]) -> bool:
    return len(set(parts[has_label].tolist())) == 1


def folds(
    labels: Mapping[str, Sequence[str]], groups: NDArray[np.int64], *, n_folds: int, seed: int
) -> Iterator[Split]:
    """Yield at most ``n_folds`` splits; every ticket is in the validation part of exactly one."""
    parts = _deal(strata(labels), groups, (1 / n_folds,) * n_folds, seed)
    for fold in range(n_folds):
        split = Split(np.flatnonzero(parts != fold), np.flatnonzero(parts == fold))
        if len(split.train) and len(split.validation):
            yield split


def strata(labels: Mapping[str, Sequence[str]]) -> NDArray[np.int64]:
    """Return a number for each ticket's combination of labels; a rare combination falls back to its rarest label.

    A blank label is one that other tickets have not: it is part of a combination, and the rarest only where all are.
    """
    combinations = list(zip(*labels.values(), strict=True))
    frequency = Counter(combinations)
    label_frequency = [Counter(values) for values in labels.values()]
    for of_head in label_frequency:
        of_head[""] = len(combinations) + 1
    numbers: dict[object, int] = {}

    def stratum(combination: tuple[str, ...]) -> int:
        if frequency[combination] >= _FEWEST_TICKETS_A_STRATUM:
            return numbers.setdefault(combination, len(numbers))
        head = min(range(len(combination)), key=lambda i: label_frequency[i][combination[i]])
        return numbers.setdefault((head, combination[head]), len(numbers))

    known = {combination: stratum(combination) for combination in frequency}
    return np.array([known[combination] for combination in combinations], dtype=np.int64)


def _deal(
    strata: NDArray[np.int64], groups: NDArray[np.int64], shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Return the part of each ticket: whole groups, largest first, each to the part that its labels lack most.

    The part of a single ticket is the one where its stratum would have the smallest ``(count + 1/2) / share``, which
    is the method of Sainte-Laguë for proportional seats.
    """
    members = _members(strata, groups)
    order = np.random.default_rng(seed).permutation(len(members))
    order = order[np.argsort([-sum(members[i].values()) for i in order], kind="stable")]
    counts = np.zeros((int(strata.max()) + 1, len(shares))).tolist()
    totals = [0.0] * len(shares)
    part_of_group = np.empty(len(members), dtype=np.int64)
    parts = range(len(shares))
    for i in order.tolist():
        group = members[i]
        size = sum(group.values())
        best = min(
            parts,
            key=lambda part: (
                sum(n * (counts[s][part] + n / 2) for s, n in group.items()) / shares[part],
                (totals[part] + size / 2) / shares[part],
            ),
        )
        for stratum, n in group.items():
            counts[stratum][best] += n
        totals[best] += size
        part_of_group[i] = best
    return part_of_group[np.unique(groups, return_inverse=True)[1]]


def _members(strata: NDArray[np.int64], groups: NDArray[np.int64]) -> list[dict[int, int]]:
    """Return, for each group in the order of its number, how many tickets of each stratum it has."""
    members: dict[int, dict[int, int]] = {}
    for group, stratum in zip(groups.tolist(), strata.tolist(), strict=True):
        counts = members.setdefault(group, {})
        counts[stratum] = counts.get(stratum, 0) + 1
    return [members[group] for group in sorted(members)]


def _most_dispensable(strata: NDArray[np.int64], groups: NDArray[np.int64]) -> int:
    """Return the smallest group of which every stratum is in another group too, else the smallest; -1: one group."""
    members = _members(strata, groups)
    if len(members) == 1:
        return -1
    elsewhere = Counter(stratum for group in members for stratum in group)
    best = min(
        range(len(members)),
        key=lambda i: (any(elsewhere[s] == 1 for s in members[i]), sum(members[i].values())),
    )
    return int(np.unique(groups)[best])

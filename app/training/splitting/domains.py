"""Splits that leave out a whole domain: what a model says of its tickets that learned from none of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.training.splitting.splits import Indices, Split

# Fewer tickets show little, and a model without most of the tickets is another model.
FEWEST_TICKETS = 100
_LARGEST_SHARE = 0.5
# Each costs a fit of every head.
_MOST_DOMAINS = 12


@dataclass(frozen=True, slots=True, eq=False)
class DomainSplit:
    """Without the ``domain`` on the one side, and nothing but the domain on the other."""

    domain: str
    split: Split


def domain_splits(domains: Sequence[str], groups: NDArray[np.int64], tickets: Indices) -> list[DomainSplit]:
    """Leave each domain of ``tickets`` out that is neither too small nor too large, the largest of them first.

    A group that has tickets of the domain is left out with it. Blank names are none.
    """
    counts = Counter(name for i in tickets.tolist() if (name := domains[i].strip()))
    left_out = [
        name
        for name, n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if FEWEST_TICKETS <= n <= _LARGEST_SHARE * len(tickets)
    ]
    names = np.array([domains[i].strip() for i in tickets.tolist()], dtype=object)
    splits = []
    for name in left_out[:_MOST_DOMAINS]:
        inside = tickets[names == name]
        others = tickets[~np.isin(groups[tickets], groups[inside])]
        if len(others):
            splits.append(DomainSplit(name, Split(others, inside)))
    return splits

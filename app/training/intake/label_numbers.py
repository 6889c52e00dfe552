"""Labels as numbers, which is what is fitted and measured: the positions of their names in alphabetical order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

_NONE: Mapping[str, Iterable[str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class LabelNumbers:
    """``names`` of each head in order, and ``truth`` ``(n_tickets,)``: the position of each ticket's label in them.

    Where a ticket has no label of the head, its ``truth`` is -1.
    """

    names: Mapping[str, tuple[str, ...]]
    truth: Mapping[str, NDArray[np.int64]]

    def labelled(self, head: str, tickets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of ``tickets`` that have a label of ``head``, in the same order."""
        return tickets[self.truth[head][tickets] >= 0]


def number_labels(labels: Mapping[str, Sequence[str]], also: Mapping[str, Iterable[str]] = _NONE) -> LabelNumbers:
    """Return the numbers of the labels of each head; a blank one is none. ``also`` names more labels."""
    names = {head: tuple(sorted({*of_head, *also.get(head, ())} - {""})) for head, of_head in labels.items()}
    truth = {}
    for head, of_head in labels.items():
        position = {"": -1, **{name: i for i, name in enumerate(names[head])}}
        truth[head] = np.array([position[label] for label in of_head], dtype=np.int64)
    return LabelNumbers(names, truth)

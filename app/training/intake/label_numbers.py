"""Labels as numbers, which is what is fitted and measured: the positions of their names in alphabetical order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class LabelNumbers:
    """``names`` of each head in order, and ``truth`` ``(n_tickets,)``: the position of each ticket's label in them."""

    names: Mapping[str, tuple[str, ...]]
    truth: Mapping[str, NDArray[np.int64]]


def number_labels(labels: Mapping[str, Sequence[str]]) -> LabelNumbers:
    numbered = {head: np.unique(np.asarray(y, dtype=object), return_inverse=True) for head, y in labels.items()}
    return LabelNumbers(
        names={head: tuple(str(name) for name in names) for head, (names, _) in numbered.items()},
        truth={head: truth for head, (_, truth) in numbered.items()},
    )

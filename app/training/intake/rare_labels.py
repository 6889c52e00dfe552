"""Labels with too few tickets to promise anything about: they are learned, and their answers are left to review."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

FEWEST_TICKETS = 10


def rare_labels(labels: Sequence[str] | Mapping[str, int]) -> dict[str, int]:
    """Return the labels with fewer than ``FEWEST_TICKETS`` tickets, and how many each has, the rarest first.

    ``labels``: those of all tickets, or how many each has.
    """
    counts = Counter(labels)
    return dict(sorted(((k, n) for k, n in counts.items() if n < FEWEST_TICKETS), key=lambda pair: (pair[1], pair[0])))


def rare_label_note(head: str, label: str, n_tickets: int) -> str:
    return f'{head}: label "{label}" has {n_tickets} tickets; below {FEWEST_TICKETS} it is left to review'

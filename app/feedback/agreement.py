"""How far two people agree who judged the same tickets: pairs of labels in, figures out; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.feedback.share_interval import share_interval

if TYPE_CHECKING:
    from app.store.second_readings import Pair


@dataclass(frozen=True, slots=True)
class Share:
    """A share of ``n``, None of nothing, and bounds that hold the true one in 95 of 100 cases."""

    n: int
    n_of_these: int
    low: float
    high: float

    @property
    def share(self) -> float | None:
        return self.n_of_these / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often two people gave the same label of one head, and Cohen's kappa; None where that is not defined.

    Kappa is 0 for people who agree as often as chance would have it with their habits, and 1 for those who always do.
    """

    head: str
    same: Share
    kappa: float | None


def agreements(pairs: Iterable[Pair]) -> list[Agreement]:
    """Return the agreement on each head, in the order of their names."""
    by_head: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for pair in pairs:
        by_head[pair.head].append((pair.first, pair.second))
    return [
        Agreement(head, share_of(sum(first == second for first, second in said), len(said)), cohens_kappa(said))
        for head, said in sorted(by_head.items())
    ]


def share_of(n_of_these: int, n: int) -> Share:
    """Return a share with its interval."""
    low, high = share_interval(n_of_these, n)
    return Share(n, n_of_these, low, high)


def cohens_kappa(said: Sequence[tuple[str, str]]) -> float | None:
    """Return how far two people agree beyond chance: (observed - expected) / (1 - expected).

    ``expected`` is what their habits alone would give, the sum over labels of the product of both shares (Cohen 1960,
    "A coefficient of agreement for nominal scales"). It is not defined without pairs, nor where both used one and the
    same label only: then chance alone explains everything.
    """
    n = len(said)
    firsts, seconds = Counter(first for first, _ in said), Counter(second for _, second in said)
    n_by_chance = sum(n_first * seconds[label] for label, n_first in firsts.items())
    if n_by_chance == n * n:
        return None
    n_same = sum(first == second for first, second in said)
    return (n * n_same - n_by_chance) / (n * n - n_by_chance)

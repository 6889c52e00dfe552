"""Which labels are withdrawn, by model: in memory that the workers of a service share, so that it outlives each.

A worker that starts while the store is away goes on from what the others knew; once it hears the store, that counts.
"""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from app.metrics.shared_values import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.metrics.shared_values import SharedValues

Withdrawn = frozenset[tuple[str, str]]

_NAME: Final = "promise_withdrawn"


class WithdrawnLabels:
    """Pairs of head and label whose ``auto`` is withdrawn, by the digest of the model; changed by one thread."""

    def __init__(self, values: SharedValues) -> None:
        self._values = values
        found: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        for process in values.processes({_NAME}):
            for key, numbers in process.numbers.items():
                digest, head, label = key.labels
                if numbers[0]:
                    found[digest].add((head, label))
        self._by_digest: dict[str, Withdrawn] = {}
        self.by_digest: Mapping[str, Withdrawn] = MappingProxyType(self._by_digest)
        for digest, withdrawn in found.items():
            self.put(digest, frozenset(withdrawn))

    def put(self, digest: str, withdrawn: Withdrawn) -> None:
        """Say what is withdrawn of a model from now on."""
        before = self._by_digest.get(digest, frozenset())
        self._by_digest[digest] = withdrawn
        for pairs, number in ((withdrawn - before, 1.0), (before - withdrawn, 0.0)):
            for pair in pairs:
                self._values.numbers[self._values.slot(Key(_NAME, (digest, *pair)))] = number

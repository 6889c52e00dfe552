"""Everything that a training run found out, for the pages that tell people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.models.model_data import ModelData
from app.training.intake.labelled_tickets import Tickets
from app.training.measuring.label_errors import Suspect
from app.training.splitting.overlap import Partition


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Findings:
    """The results of one training run.

    ``unseen`` has, for each head, probabilities ``(n_tickets, n_labels)`` from models that did not see the ticket, or
    NaN; its labels are those of ``model``.
    """

    tickets: Tickets
    partition: Partition
    model: ModelData
    unseen: Mapping[str, NDArray[np.float64]]
    suspects: Mapping[str, Sequence[Suspect]]
    metadata: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    show_examples: bool

    def measured_on(self, head: str) -> NDArray[np.int64]:
        """Return the validation tickets that have a label of ``head``."""
        given = self.tickets.labels[head]
        return np.array([i for i in self.partition.split.validation.tolist() if given[i]], dtype=np.int64)

"""What the encoder makes of the tickets of a run, labelled and not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from app.models.cleaning import clean
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.unlabelled_tickets import Unlabelled
from app.training.teaching.encoder import SentenceEncoder
from app.training.teaching.minilm import Float32s


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """The unlabelled ``tickets``, and ``vectors`` ``(n_labelled + n_unlabelled, n_dimensions)``, the labelled first."""

    tickets: Unlabelled
    vectors: Float32s

    @classmethod
    def of(
        cls, tickets: Tickets, unlabelled: Unlabelled, encoder: SentenceEncoder, progress: Callable[[str], None]
    ) -> Taught:
        texts = [
            f"{clean(title)}\n{clean(description)}".strip()
            for title, description in (
                *zip(tickets.titles, tickets.descriptions, strict=True),
                *zip(unlabelled.titles, unlabelled.descriptions, strict=True),
            )
        ]
        n_texts = f"{len(texts):,}"
        return cls(unlabelled, encoder.vectors(texts, lambda done: progress(f"reading tickets, {done:,} of {n_texts}")))

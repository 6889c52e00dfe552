"""What stands beside the tickets of a run that are split: others without labels, texts on labels, and what all mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.models.cleaning import clean
from app.training.intake.label_numbers import LabelNumbers
from app.training.intake.label_texts import LabelText
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.unlabelled_tickets import Unlabelled
from app.training.teaching.encoder import SentenceEncoder
from app.training.teaching.minilm import Float32s


@dataclass(frozen=True, slots=True, eq=False)
class Taught:
    """Unlabelled tickets, and texts that describe labels, which follow the tickets of the run in this order.

    ``vectors`` ``(n_tickets + n_unlabelled + n_label_texts, n_dimensions)``; ``None`` where there is no encoder.
    """

    unlabelled: Unlabelled
    label_texts: tuple[LabelText, ...]
    vectors: Float32s | None

    @classmethod
    def of(
        cls,
        tickets: Tickets,
        unlabelled: Unlabelled,
        label_texts: tuple[LabelText, ...],
        encoder: SentenceEncoder | None,
        progress: Callable[[str], None],
    ) -> Taught:
        if encoder is None:
            return cls(unlabelled, label_texts, None)
        titles = [*tickets.titles, *unlabelled.titles]
        descriptions = [*tickets.descriptions, *unlabelled.descriptions]
        texts = [f"{clean(t)}\n{clean(d)}".strip() for t, d in zip(titles, descriptions, strict=True)]
        texts += [one.text for one in label_texts]
        n_texts = f"{len(texts):,}"
        vectors = encoder.vectors(texts, lambda done: progress(f"reading tickets, {done:,} of {n_texts}"))
        return cls(unlabelled, label_texts, vectors)

    def texts_after(self, tickets: Tickets) -> tuple[list[str], list[str]]:
        """Return the titles and descriptions of ``tickets`` and of what follows them."""
        titles = [*tickets.titles, *self.unlabelled.titles, *("" for _ in self.label_texts)]
        descriptions = [*tickets.descriptions, *self.unlabelled.descriptions, *(one.text for one in self.label_texts)]
        return titles, descriptions

    def numbers_after(self, numbers: LabelNumbers) -> LabelNumbers:
        """Return ``numbers`` of the tickets and of what follows them, where only texts on labels have any."""
        nothing = np.full(len(self.unlabelled), -1)
        truth: dict[str, NDArray[np.int64]] = {}
        for head, of_tickets in numbers.truth.items():
            position = {name: i for i, name in enumerate(numbers.names[head])}
            of_texts = [position[one.label] if one.head == head else -1 for one in self.label_texts]
            truth[head] = np.concatenate([of_tickets, nothing, np.array(of_texts, dtype=np.int64)])
        return LabelNumbers(numbers.names, truth)

"""Whether there is enough to learn from: at least two labels a head, and of each label more than one ticket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from app.tickets.input_error import InputError, quoted
from app.training.intake.rare_labels import rare_label_note, rare_labels

FEWEST_LABELS = 2
FEWEST_TICKETS_A_LABEL = 2
# Of fewer labelled tickets a part held out would be ten or less, on which a figure says nothing.
FEWEST_TO_MEASURE = 50


def check_labels(labels: Mapping[str, Sequence[str]], place: Callable[[str, int], str]) -> list[str]:
    """Return notes on rare labels; raise ``InputError`` for a head that cannot be learned.

    ``labels`` are those of all tickets, blank where a ticket has none; ``place`` says in words where the label of a
    head of the ticket at a position stands.
    """
    notes = []
    for head, values in labels.items():
        counts = Counter(filter(None, values))
        if len(counts) < FEWEST_LABELS:
            (only,) = counts
            raise InputError(
                f"{place(head, values.index(only))}: every ticket has the label {quoted(only)}; "
                "there is nothing to learn from fewer than two labels"
            )
        rare = next((label for label, count in counts.items() if count < FEWEST_TICKETS_A_LABEL), None)
        if rare is not None:
            raise InputError(
                f"{place(head, values.index(rare))}: the label {quoted(rare)} occurs once; "
                "give it more tickets, or join it to another with --label-map"
            )
        notes += [rare_label_note(head, label, n) for label, n in rare_labels(counts).items()]
    return notes

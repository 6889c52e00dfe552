"""Labelled tickets for temperature and thresholds alone: of other people than those of training, and never learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from app.tickets.input_error import InputError, quoted
from app.tickets.table import read_table
from app.training.intake.duplicates import text_key
from app.training.intake.labelled_tickets import Intake, Tickets, read_tickets

# What comes with the project, for the model of generated tickets.
DEFAULT_PATH = Path(__file__).parents[3] / "data" / "calibration_tickets.csv"
DEFAULT_DOMAIN = "sector"


def read_calibration(
    path: Path,
    *,
    besides: Tickets,
    column_map: Mapping[str, str],
    label_map: Mapping[str, str],
    domain: str | None = None,
) -> Tickets:
    """Read those that are not among ``besides``, with the labels of its heads; they are domains by their ``domain``.

    Raise ``InputError`` for a label that no ticket of ``besides`` has, and when no ticket is left.
    """
    tickets = read_tickets(
        path,
        Intake(
            targets=tuple(besides.labels),
            column_map={name: column for name, column in column_map.items() if name != "id"},
            label_map=label_map,
            domain=domain if domain is not None and read_table(path).find(domain) is not None else None,
            skip_blank_labels=True,
            for_training=False,
        ),
    )
    for head, given in tickets.labels.items():
        known = {"", *besides.labels[head]}
        strange = next((i for i, label in enumerate(given) if label not in known), None)
        if strange is not None:
            raise InputError(
                f"--calibrate-on: {path}, row {tickets.row_number(strange)}: no ticket to train on has the label "
                f"{quoted(given[strange])} of {quoted(head)}; rename it with --label-map, or leave the row out"
            )
    learned = set(map(text_key, besides.titles, besides.descriptions))
    kept = [
        i
        for i, text in enumerate(zip(tickets.titles, tickets.descriptions, strict=True))
        if text_key(*text) not in learned
    ]
    if not kept:
        raise InputError(f"--calibrate-on: every ticket of {path} is among those to train on; give others")
    return replace(
        tickets,
        titles=[tickets.titles[i] for i in kept],
        descriptions=[tickets.descriptions[i] for i in kept],
        labels={head: [given[i] for i in kept] for head, given in tickets.labels.items()},
        domains=None if tickets.domains is None else [tickets.domains[i] for i in kept],
        row_numbers=[tickets.row_number(i) for i in kept],
    )

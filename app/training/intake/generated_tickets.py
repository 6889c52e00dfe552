"""Tickets for a team that has none yet: composed from the situations that come with the project."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from app.tickets.columns import DEFAULT_TARGETS
from app.tickets.input_error import InputError
from app.training.intake.labelled_tickets import Tickets
from data.generate_dataset import DEFAULT_ROWS, generate


def generated_tickets(rows: int | None, *, seed: int, targets: Sequence[str] | None) -> Tickets:
    """Return ``rows`` tickets, grouped by situation, each of the domain that its sector is.

    Raise ``InputError`` for other ``targets`` than they have.
    """
    generated = list(generate(rows or DEFAULT_ROWS, seed=seed))
    labels = {head: [getattr(ticket, head) for ticket in generated] for head in DEFAULT_TARGETS}
    unknown = [head for head in targets or () if head not in labels]
    if unknown:
        raise InputError(
            f'--targets: generated tickets have no "{unknown[0]}", only priority and department; give --data'
        )
    titles, descriptions = [t.title for t in generated], [t.description for t in generated]
    content = json.dumps([titles, descriptions, labels], ensure_ascii=False).encode()
    return Tickets(
        titles=titles,
        descriptions=descriptions,
        labels={head: labels[head] for head in targets or labels},
        groups=[ticket.situation for ticket in generated],
        domains=[ticket.sector for ticket in generated],
        sha256=hashlib.sha256(content).hexdigest(),
        notes=(f"trained on {len(generated)} generated tickets",),
    )

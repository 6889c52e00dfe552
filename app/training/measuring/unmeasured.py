"""What ``metrics.json`` says of a head that nothing could be measured of: how it was fitted, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping

from app.training.fitting.fits import Chosen
from app.training.intake.enough_labels import FEWEST_TO_MEASURE
from app.training.intake.labelled_tickets import Tickets
from app.training.measuring.measure import Measures
from app.training.thresholds.decide import HeadDecisions


def unmeasured(
    tickets: Tickets, chosen: Chosen, decisions: Mapping[str, HeadDecisions], *, n_unlabelled: int
) -> Measures:
    """Return the figures of a model of described labels."""
    given = tickets.given_labels()
    metrics = {
        head: {
            "recipe": chosen.figures(head),
            "described": {
                "n_labelled": len(given[head]),
                "n_unlabelled": n_unlabelled,
                "fewest_labelled": FEWEST_TO_MEASURE,
            },
            **decided.thresholds.figures,
        }
        for head, decided in decisions.items()
    }
    return Measures(metrics, {head: [] for head in decisions})

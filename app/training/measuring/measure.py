"""What ``metrics.json`` says of each head: how it was fitted, how it decides, how good it was on held-out tickets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.training.fitting.fits import Chosen
from app.training.intake.labelled_tickets import Tickets
from app.training.measuring.bootstrap import HeldOut
from app.training.measuring.evaluation import decisions_of, evaluate_head, lengths_in_words
from app.training.measuring.label_errors import Method, Suspect, find_suspects
from app.training.measuring.learning_curve import learning_curve
from app.training.splitting.overlap import Partition, overlap_figures
from app.training.thresholds.decide import HeadDecisions


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """By head: the figures as plain JSON values, and the tickets whose label is probably wrong."""

    metrics: Mapping[str, dict[str, Any]]
    suspects: Mapping[str, list[Suspect]]


def measure(
    tickets: Tickets,
    parts: Partition,
    chosen: Chosen,
    decisions: Mapping[str, HeadDecisions],
    *,
    method: Method,
    seed: int,
) -> Measures:
    """Measure on the validation part, from which nothing was chosen, where there are answers to it.

    Each head is measured on the tickets that have a label of it.
    """
    metrics, suspects = {}, {}
    n_words = lengths_in_words(tickets)
    for head, decided in decisions.items():
        calibration = {"temperature": decided.temperature, "before": decided.before, "after": decided.after}
        figures = {"recipe": chosen.figures(head), "calibration_out_of_fold": calibration}
        figures |= decided.thresholds.figures
        figures |= _on_validation(head, parts, chosen, decided, n_words=n_words, seed=seed)
        names = chosen.numbers.names[head]
        suspects[head] = find_suspects(decided.unseen, tickets.labels[head], names, method=method)
        figures["label_errors"] = {"n_suspects": len(suspects[head]), "method": method}
        metrics[head] = figures
    return Measures(metrics, suspects)


def _on_validation(
    head: str,
    parts: Partition,
    chosen: Chosen,
    decided: HeadDecisions,
    *,
    n_words: NDArray[np.int64],
    seed: int,
) -> dict[str, Any]:
    if decided.counts.validation is None:
        return {}
    validation = chosen.numbers.labelled(head, parts.split.validation)
    names, truth = chosen.numbers.names[head], chosen.numbers.truth[head][validation]
    probabilities = decided.unseen[validation]
    held_out = HeldOut(truth, parts.grouping.ids[validation], len(names))
    figures = evaluate_head(probabilities, held_out, names, n_words=n_words[validation], seed=seed)
    figures["decisions"] = decisions_of(
        decided.counts.validation, decided.policy.operating_points, design_effect=decided.counts.design_effect
    )
    figures["learning_curve"] = learning_curve(
        lambda some: chosen.logits(head, some, validation).argmax(axis=1),
        chosen.numbers.labelled(head, parts.split.train),
        predicted=probabilities.argmax(axis=1),
        held_out=held_out,
        seed=seed,
    )
    figures["overlap"] = overlap_figures(parts)
    return figures

"""What models say of tickets from elsewhere: of a domain that they learned nothing of, or of tickets kept for that.

A model knows the words, the trades and the habits that it learned from. How sure it may be where they are others shows
only there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.training.fitting.design import TermCounts
from app.training.fitting.fits import Chosen, Logits, Progress
from app.training.fitting.fitter import Familiarity
from app.training.intake.labelled_tickets import Tickets
from app.training.splitting.domains import domain_splits
from app.training.splitting.overlap import Partition


@dataclass(frozen=True, slots=True, eq=False)
class Elsewhere:
    """The answers to the tickets of one ``domain``, by head.

    ``truth`` are label numbers ``(n_tickets,)``, -1 for none; ``familiar`` compares with what was learned from.
    """

    domain: str
    truth: Mapping[str, NDArray[np.int64]]
    logits: Mapping[str, Logits]
    familiar: Familiarity


def answers_elsewhere(
    chosen: Chosen, tickets: Tickets, parts: Partition, calibration: Tickets | None, progress: Progress
) -> tuple[Elsewhere, ...]:
    """Return those to each domain of the training part by models without it, and those to ``calibration`` tickets.

    The latter, whose labels are those that ``chosen`` has numbers of, are by a model of the training part.
    """
    answers = [] if tickets.domains is None else _left_out(chosen, tickets.domains, parts, progress)
    if calibration is not None:
        answers += _kept_apart(chosen, calibration, parts, progress)
    return tuple(answers)


def _left_out(chosen: Chosen, domains: list[str], parts: Partition, progress: Progress) -> list[Elsewhere]:
    answers = []
    for one in domain_splits(domains, parts.grouping.ids, parts.split.train):
        progress(f"without {one.domain}")
        train, inside = one.split.train, one.split.validation
        answers.append(
            Elsewhere(
                one.domain,
                {head: truth[inside] for head, truth in chosen.numbers.truth.items()},
                {head: chosen.logits(head, train, inside) for head in chosen.numbers.names},
                chosen.fitter.familiarity(train, inside),
            )
        )
    return answers


def _kept_apart(chosen: Chosen, tickets: Tickets, parts: Partition, progress: Progress) -> list[Elsewhere]:
    progress("tickets for calibration")
    terms, train = TermCounts(tickets.titles, tickets.descriptions), parts.split.train
    position = {head: {label: i for i, label in enumerate(names)} for head, names in chosen.numbers.names.items()}
    domains = np.array([""] * len(tickets) if tickets.domains is None else tickets.domains, dtype=object)
    answers = []
    for domain in sorted(set(domains.tolist())):
        mine = np.flatnonzero(domains == domain)
        answers.append(
            Elsewhere(
                f"kept for calibration: {domain}" if domain else "kept for calibration",
                {
                    head: np.array([of_head.get(tickets.labels[head][i], -1) for i in mine.tolist()], dtype=np.int64)
                    for head, of_head in position.items()
                },
                {head: chosen.logits(head, train, mine, apart=terms) for head in position},
                chosen.fitter.familiarity(train, mine, apart=terms),
            )
        )
    return answers

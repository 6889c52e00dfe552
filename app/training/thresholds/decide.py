"""How each head is calibrated and its answers decided, by what models said of tickets that they had not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.models.decisions import DecisionPolicy
from app.models.likeness import TrainingLikeness
from app.models.scorer import softmax
from app.training.fitting.fit import FittedHead
from app.training.fitting.fits import Fits
from app.training.fitting.fitter import UNSEEN_LABEL_LOGIT
from app.training.intake.label_numbers import LabelNumbers
from app.training.intake.rare_labels import rare_labels
from app.training.splitting.overlap import Partition
from app.training.splitting.splits import Split
from app.training.thresholds.calibration import calibration_of, fit_temperature
from app.training.thresholds.confidence_counts import Answered, HeadCounts
from app.training.thresholds.costs import HeadCosts
from app.training.thresholds.design_effect import design_effect_of
from app.training.thresholds.likeness import are_unlike, choose_likeness, evidence_of
from app.training.thresholds.operating_points import Thresholds, choose

# See ``DecisionPolicy``.
AMBIGUITY_MARGIN = 0.1
MIN_KNOWN_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Aims:
    """What thresholds are chosen for; a head without ``costs`` gets those for ``target_precision``."""

    target_precision: float = 0.95
    costs: Mapping[str, HeadCosts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class HeadDecisions:
    """What was decided for one head, and by what.

    ``before`` and ``after`` measure the calibration out of fold without the temperature and with it. ``unseen`` has
    probabilities ``(n_tickets, n_labels)`` from models that did not see the ticket, NaN where there are none.
    """

    temperature: float
    thresholds: Thresholds
    policy: DecisionPolicy
    counts: HeadCounts
    before: dict[str, float]
    after: dict[str, float]
    unseen: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What is known of all heads before any is decided; ``unlike`` ``(n_tickets,)`` are those unlike the others."""

    fits: Fits
    numbers: LabelNumbers
    parts: Partition
    temperatures: Mapping[str, float]
    unlike: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What was decided for each head by name, and how much a ticket must be like those of training.

    ``shares_unlike`` of the tickets out of fold, and of those of the validation part, are not; none of neither where
    there is nothing to tell it from.
    """

    heads: Mapping[str, HeadDecisions]
    likeness: TrainingLikeness | None
    shares_unlike: Mapping[str, float]


def decide(
    fits: Fits, numbers: LabelNumbers, parts: Partition, labels: Mapping[str, Sequence[str]], aims: Aims
) -> Decisions:
    """Calibrate and set thresholds on the out-of-fold logits alone; ``labels`` are those that tickets have."""
    split = parts.split
    temperatures = {head: _temperature(head, fits, numbers, split) for head in labels}
    likeness = None
    unlike = np.zeros(len(numbers.truth[next(iter(labels))]), dtype=np.bool_)
    shares = {}
    if fits.familiar_out_of_fold is not None:
        evidence = evidence_of(fits.out_of_fold, temperatures)
        likeness = choose_likeness(fits.familiar_out_of_fold, evidence, n_tickets=len(fits.design.tickets))
        unlike[split.train] = are_unlike(likeness, fits.familiar_out_of_fold, evidence)
        shares["out_of_fold"] = float(unlike[split.train].mean())
        if fits.familiar_validation is not None:
            of_validation = evidence_of(fits.validation, temperatures)
            unlike[split.validation] = are_unlike(likeness, fits.familiar_validation, of_validation)
            shares["validation"] = float(unlike[split.validation].mean())
    known = _Known(fits, numbers, parts, temperatures, unlike)
    heads = {head: _decide_head(head, known, tuple(rare_labels(labels[head])), aims) for head in labels}
    return Decisions(heads, likeness, shares)


def calibrated_heads(
    fits: Fits, numbers: LabelNumbers, decisions: Mapping[str, HeadDecisions]
) -> tuple[FittedHead, ...]:
    """Return the heads of all tickets as they are served."""
    idf = fits.design.fitted.idf
    return tuple(
        FittedHead(
            head,
            numbers.names[head],
            fits.heads[head].with_temperature(decided.temperature).centred().as_served(idf),
            decided.policy,
        )
        for head, decided in decisions.items()
    )


def _temperature(head: str, fits: Fits, numbers: LabelNumbers, split: Split) -> float:
    train = numbers.labelled(head, split.train)
    truth = numbers.truth[head][train]
    logits = fits.out_of_fold[head][np.searchsorted(split.train, train)]
    # A ticket whose label the fold could not know says nothing about confidence in the labels that it knew; nor does
    # one that no fold could have labelled otherwise.
    known = logits[np.arange(len(truth)), truth] > UNSEEN_LABEL_LOGIT
    known &= np.sort(logits, axis=1)[:, -2] > UNSEEN_LABEL_LOGIT
    return fit_temperature(logits[known], truth[known])


def _decide_head(head: str, known: _Known, left_to_review: tuple[str, ...], aims: Aims) -> HeadDecisions:
    fits, numbers, split, unlike = known.fits, known.numbers, known.parts.split, known.unlike
    temperature = known.temperatures[head]
    names = numbers.names[head]
    train, validation = numbers.labelled(head, split.train), numbers.labelled(head, split.validation)
    truth = numbers.truth[head][train]
    logits = fits.out_of_fold[head][np.searchsorted(split.train, train)]
    unseen = np.full((len(numbers.truth[head]), len(names)), np.nan)
    unseen[split.train] = softmax(fits.out_of_fold[head] / temperature)
    before, after = softmax(logits), unseen[train]
    answered = Answered.of(after, truth, ambiguity_margin=AMBIGUITY_MARGIN, are_unlike=unlike[train])
    clear = answered.is_clear
    design_effect = design_effect_of(answered.predicted[clear] == truth[clear], known.parts.grouping.ids[train][clear])
    thresholds = choose(
        answered,
        names,
        target_precision=aims.target_precision,
        costs=aims.costs.get(head),
        left_to_review=left_to_review,
        design_effect=design_effect,
    )
    of_validation = None
    if head in fits.validation:
        unseen[split.validation] = softmax(fits.validation[head] / temperature)
        of_validation = Answered.of(
            unseen[validation],
            numbers.truth[head][validation],
            ambiguity_margin=AMBIGUITY_MARGIN,
            are_unlike=unlike[validation],
        ).counts(names)
    return HeadDecisions(
        temperature=temperature,
        thresholds=thresholds,
        policy=DecisionPolicy(thresholds.points, AMBIGUITY_MARGIN, MIN_KNOWN_SHARE),
        counts=HeadCounts(thresholds.counts, of_validation, left_to_review, design_effect),
        before=calibration_of(before, truth),
        after=calibration_of(after, truth),
        unseen=unseen,
    )

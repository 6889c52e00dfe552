"""How each head is calibrated and its answers decided, by what models said of tickets that they had not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.models.decisions import DecisionPolicy
from app.models.likeness import TrainingLikeness
from app.models.scorer import softmax
from app.training.fitting.elsewhere import Elsewhere
from app.training.fitting.fit import FittedHead
from app.training.fitting.fits import Fits
from app.training.fitting.fitter import UNSEEN_LABEL_LOGIT
from app.training.intake.label_numbers import LabelNumbers
from app.training.intake.rare_labels import rare_labels
from app.training.splitting.overlap import Partition
from app.training.splitting.splits import Split
from app.training.thresholds.calibration import calibration_of, fit_temperature
from app.training.thresholds.confidence_counts import Answered, Counts, HeadCounts
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
    """What is known of all heads before any is decided.

    ``unlike`` ``(n_tickets,)`` are tickets unlike the others, and ``unlike_elsewhere`` those of each domain.
    """

    fits: Fits
    numbers: LabelNumbers
    parts: Partition
    temperatures: Mapping[str, float]
    unlike: NDArray[np.bool_]
    elsewhere: Sequence[Elsewhere]
    unlike_elsewhere: Sequence[NDArray[np.bool_]]


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
    fits: Fits,
    numbers: LabelNumbers,
    parts: Partition,
    labels: Mapping[str, Sequence[str]],
    aims: Aims,
    elsewhere: Sequence[Elsewhere] = (),
) -> Decisions:
    """Calibrate and set thresholds on the out-of-fold logits and those ``elsewhere`` alone.

    ``labels`` are those that tickets have.
    """
    split = parts.split
    temperatures = {head: _temperature(head, fits, numbers, split, elsewhere) for head in labels}
    likeness = None
    unlike = np.zeros(len(numbers.truth[next(iter(labels))]), dtype=np.bool_)
    unlike_elsewhere = [np.zeros(len(one.familiar.known_words), dtype=np.bool_) for one in elsewhere]
    shares = {}
    if fits.familiar_out_of_fold is not None:
        evidence = evidence_of(fits.out_of_fold, temperatures)
        likeness = choose_likeness(fits.familiar_out_of_fold, evidence, n_tickets=len(fits.design.tickets))
        unlike[split.train] = are_unlike(likeness, fits.familiar_out_of_fold, evidence)
        shares["out_of_fold"] = float(unlike[split.train].mean())
        unlike_elsewhere = [
            are_unlike(likeness, one.familiar, evidence_of(one.logits, temperatures)) for one in elsewhere
        ]
        if fits.familiar_validation is not None:
            of_validation = evidence_of(fits.validation, temperatures)
            unlike[split.validation] = are_unlike(likeness, fits.familiar_validation, of_validation)
            shares["validation"] = float(unlike[split.validation].mean())
    known = _Known(fits, numbers, parts, temperatures, unlike, elsewhere, unlike_elsewhere)
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


def _temperature(head: str, fits: Fits, numbers: LabelNumbers, split: Split, elsewhere: Sequence[Elsewhere]) -> float:
    train = numbers.labelled(head, split.train)
    logits = np.concatenate(
        [fits.out_of_fold[head][np.searchsorted(split.train, train)], *(one.logits[head] for one in elsewhere)]
    )
    truth = np.concatenate([numbers.truth[head][train], *(one.truth[head] for one in elsewhere)])
    logits, truth = logits[truth >= 0], truth[truth >= 0]
    # A ticket whose label the fold could not know says nothing about confidence in the labels that it knew; nor does
    # one that no fold could have labelled otherwise.
    known = logits[np.arange(len(truth)), truth] > UNSEEN_LABEL_LOGIT
    known &= np.sort(logits, axis=1)[:, -2] > UNSEEN_LABEL_LOGIT
    return fit_temperature(logits[known], truth[known])


def _decide_head(head: str, known: _Known, left_to_review: tuple[str, ...], aims: Aims) -> HeadDecisions:
    fits, numbers, split = known.fits, known.numbers, known.parts.split
    temperature, names = known.temperatures[head], numbers.names[head]
    train = numbers.labelled(head, split.train)
    truth = numbers.truth[head][train]
    unseen = np.full((len(numbers.truth[head]), len(names)), np.nan)
    unseen[split.train] = softmax(fits.out_of_fold[head] / temperature)
    of_validation = None
    if head in fits.validation:
        unseen[split.validation] = softmax(fits.validation[head] / temperature)
        validation = numbers.labelled(head, split.validation)
        of_validation = _answered(unseen[validation], numbers.truth[head][validation], known.unlike[validation])
    answered = _answered(unseen[train], truth, known.unlike[train])
    clear = answered.is_clear
    counts = HeadCounts(
        answered.counts(names),
        None if of_validation is None else of_validation.counts(names),
        left_to_review,
        design_effect_of(answered.predicted[clear] == truth[clear], known.parts.grouping.ids[train][clear]),
        _counts_elsewhere(head, known),
    )
    thresholds = choose(answered, counts, target_precision=aims.target_precision, costs=aims.costs.get(head))
    return HeadDecisions(
        temperature=temperature,
        thresholds=thresholds,
        policy=DecisionPolicy(thresholds.points, AMBIGUITY_MARGIN, MIN_KNOWN_SHARE),
        counts=counts,
        before=calibration_of(softmax(fits.out_of_fold[head][np.searchsorted(split.train, train)]), truth),
        after=calibration_of(unseen[train], truth),
        unseen=unseen,
    )


def _counts_elsewhere(head: str, known: _Known) -> dict[str, Counts]:
    counts: dict[str, Counts] = {}
    for one, unlike in zip(known.elsewhere, known.unlike_elsewhere, strict=True):
        probabilities, has_label = softmax(one.logits[head] / known.temperatures[head]), one.truth[head] >= 0
        answered = _answered(probabilities[has_label], one.truth[head][has_label], unlike[has_label])
        counts[one.domain] = answered.counts(known.numbers.names[head])
    return counts


def _answered(probabilities: NDArray[np.float64], truth: NDArray[np.int64], are_unlike: NDArray[np.bool_]) -> Answered:
    return Answered.of(probabilities, truth, ambiguity_margin=AMBIGUITY_MARGIN, are_unlike=are_unlike)

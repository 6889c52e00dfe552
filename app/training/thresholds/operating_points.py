"""From which confidence on each label is acted on, or shown: for a promised precision, or at the lowest cost.

Both are chosen on out-of-fold predictions. A threshold counts only with enough answers above it, and without one the
label is never answered without a person: "infeasible" is an answer, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.models.decisions import OperatingPoint
from app.training.thresholds.confidence_counts import (
    ALL,
    CLEAR,
    CLEAR_RIGHT,
    N_STEPS,
    RIGHT,
    Answered,
    Counts,
    HeadCounts,
    decided,
)
from app.training.thresholds.costs import HeadCosts
from app.training.thresholds.proof import (
    FEWEST_ANSWERS,
    PROMISE_CHANCE,
    has_answers,
    lowest_threshold,
    proven_thresholds,
)

# A suggestion helps when it is right more often than not.
_SUGGEST_PRECISION = 0.5
_NONE = OperatingPoint(auto=None, suggest=None)


@dataclass(frozen=True, slots=True, eq=False)
class Thresholds:
    """The operating points of one head, and what ``metrics.json`` says of them."""

    points: Mapping[str, OperatingPoint]
    figures: dict[str, Any]


def choose(
    answered: Answered, counts: HeadCounts, *, target_precision: float, costs: HeadCosts | None = None
) -> Thresholds:
    """Choose on out-of-fold answers: at the lowest cost if there are ``costs``, for ``target_precision`` if not.

    ``counts`` are those of ``answered``, and of the answers elsewhere, on which costs are not measured.
    """
    if costs is None:
        points = points_for_precision(counts, target_precision)
        figures: dict[str, Any] = {"thresholds": chosen_for(counts, target_precision)}
    else:
        points = _cheapest_points(counts.out_of_fold, answered, costs) | dict.fromkeys(counts.left_to_review, _NONE)
        figures = {
            "thresholds": {"chosen_by": "costs", "target_precision": None},
            "costs_out_of_fold": _costs_of(answered, list(counts.out_of_fold), points, costs),
        }
    return Thresholds(points, {**figures, **figures_of_points(points, counts)})


def _cost_of_elsewhere(counts: HeadCounts, target_precision: float) -> dict[str, Any]:
    """Return what acting alone would cover out of fold if no domain had to keep the promise, as plain JSON values."""
    if not counts.elsewhere:
        return {}
    points = points_for_precision(replace(counts, elsewhere={}), target_precision)
    by_decision = decided(counts.out_of_fold, points)
    n_tickets = max(1, sum(n for n, _ in by_decision.values()))
    return {"coverage_without_elsewhere": by_decision["auto"][0] / n_tickets}


def chosen_for(counts: HeadCounts, target_precision: float) -> dict[str, Any]:
    """Return what is said of thresholds for a promised precision, as plain JSON values."""
    return {
        "chosen_by": "precision",
        "target_precision": target_precision,
        "chance": PROMISE_CHANCE,
        **_cost_of_elsewhere(counts, target_precision),
    }


def points_for_precision(counts: HeadCounts, target_precision: float) -> dict[str, OperatingPoint]:
    """Return, for each label, the lowest confidences whose answers are right often enough.

    ``auto`` looks at answers that are not ambiguous, since no other is ever acted on; ``suggest`` at all of them. No
    label has an ``auto`` when all of them together do not prove ``target_precision`` with ``PROMISE_CHANCE``, or where
    they do not keep it elsewhere.
    """
    asked = {label: of_label for label, of_label in counts.out_of_fold.items() if label not in counts.left_to_review}

    def clear(of_domain: Counts) -> list[NDArray[np.int64]]:
        return [of_domain[label].from_step[:, CLEAR:] for label in asked]

    auto = proven_thresholds(
        clear(counts.out_of_fold),
        target_precision,
        elsewhere=list(map(clear, counts.elsewhere.values())),
        design_effect=counts.design_effect,
    )
    return {
        label: OperatingPoint(
            auto=threshold, suggest=lowest_threshold(of_label.from_step[:, :CLEAR], _SUGGEST_PRECISION)
        )
        for (label, of_label), threshold in zip(asked.items(), auto, strict=True)
    } | dict.fromkeys(counts.left_to_review, _NONE)


def figures_of_points(points: Mapping[str, OperatingPoint], of_head: HeadCounts) -> dict[str, Any]:
    """Return the thresholds, and what they did out of fold and elsewhere, as plain JSON values.

    ``coverage`` is a share of all tickets, whatever their label; ``precision`` is ``None`` where nothing is answered.
    """
    counts = of_head.out_of_fold
    n_tickets = max(1, sum(int(of_label.at_least(0.0)[ALL]) for of_label in counts.values()))
    out_of_fold = {}
    for label, of_label in counts.items():
        auto = of_label.at_least(points[label].auto)
        suggest = of_label.at_least(points[label].suggest)
        out_of_fold[label] = {
            "auto": _share(int(auto[CLEAR]), int(auto[CLEAR_RIGHT]), n_tickets),
            "auto_or_suggest": _share(int(suggest[ALL]), int(suggest[RIGHT]), n_tickets),
            "auto_is_feasible": points[label].auto is not None,
        }
    return {
        "operating_points": {label: {"auto": p.auto, "suggest": p.suggest} for label, p in points.items()},
        "operating_points_out_of_fold": out_of_fold,
        "decisions_out_of_fold": {
            decision: _share(n, n_right, n_tickets) for decision, (n, n_right) in decided(counts, points).items()
        },
        **({"auto_elsewhere": _auto_elsewhere(points, of_head)} if of_head.elsewhere else {}),
    }


def _auto_elsewhere(points: Mapping[str, OperatingPoint], counts: HeadCounts) -> dict[str, Any]:
    """Return what the thresholds did in each domain, the tickets there, and what acting alone covers of them."""
    domains = {}
    for domain, of_domain in counts.elsewhere.items():
        by_decision = decided(of_domain, points)
        domains[domain] = _share(*by_decision["auto"], max(1, sum(n for n, _ in by_decision.values())))
    return domains


def _share(n: int, n_right: int, n_tickets: int) -> dict[str, Any]:
    return {"n_tickets": n, "coverage": n / n_tickets, "precision": n_right / n if n else None}


def _cheapest_points(counts: Counts, answered: Answered, costs: HeadCosts) -> dict[str, OperatingPoint]:
    """Return, for each label, the confidence from which on answering saves most against leaving all to a person.

    ``suggest`` stays what it is for a promised precision: a person looks either way.
    """
    points = {}
    saved = costs.review[answered.truth] - costs.answer[answered.truth, answered.predicted]
    for i, (label, of_label) in enumerate(counts.items()):
        mine = answered.is_clear & (answered.predicted == i)
        savings = np.bincount(answered.steps[mine], weights=saved[mine], minlength=N_STEPS + 1)
        from_step = savings[::-1].cumsum()[::-1]
        n = of_label.from_step[:, CLEAR]
        from_step[~has_answers(n) | (n < FEWEST_ANSWERS)] = 0.0
        # Of equal savings the highest threshold, which acts on fewest tickets; savings are sums of rounded numbers.
        best = np.flatnonzero(from_step >= from_step.max() - 1e-9)[-1]
        points[label] = OperatingPoint(
            auto=float(best) / N_STEPS if from_step[best] > 0 else None,
            suggest=lowest_threshold(of_label.from_step[:, :CLEAR], _SUGGEST_PRECISION),
        )
    return points


def _costs_of(
    answered: Answered, labels: Sequence[str], points: Mapping[str, OperatingPoint], costs: HeadCosts
) -> dict[str, float]:
    """Return the mean cost of a ticket with these points, with a person for all, and with no person at all."""
    thresholds = np.array([np.inf if (auto := points[label].auto) is None else auto for label in labels])
    is_auto = answered.is_clear & (answered.steps / N_STEPS >= thresholds[answered.predicted])
    answer = costs.answer[answered.truth, answered.predicted]
    review = costs.review[answered.truth]
    return {
        "per_ticket": float(np.where(is_auto, answer, review).mean()),
        "per_ticket_all_reviewed": float(review.mean()),
        "per_ticket_all_answered": float(answer.mean()),
    }

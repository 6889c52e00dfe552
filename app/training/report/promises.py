"""What a model promises and what it does not, in the words of somebody who answers tickets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.training.intake.rare_labels import rare_label_note, rare_labels
from app.training.report.shown_intervals import shown_interval
from app.training.splitting.near_duplicates import SIMILARITY

_FEW_VALIDATION_TICKETS = 200
_LARGE_CALIBRATION_ERROR = 0.1
_MOST_NAMED = 8


def chosen_by(thresholds: Mapping[str, Any]) -> str:
    """Return how the thresholds of a head came about; ``thresholds`` is its entry in ``metrics.json``."""
    if thresholds["chosen_by"] == "judgements":
        return (
            f"chosen for a precision of {thresholds['target_precision']:.2f} by what people judged of earlier answers"
        )
    if thresholds["chosen_by"] == "precision":
        precision, chance = thresholds["target_precision"], thresholds.get("chance")
        # Thresholds of before were chosen by what was measured, which proves nothing about the next tickets.
        proven = "" if chance is None else f", which other tickets like these keep with a chance of {chance:.0%}"
        return f"chosen for a precision of {precision:.2f}{proven}"
    return "chosen at the lowest cost" if thresholds["chosen_by"] == "costs" else "set by hand"


def promises_of(figures: Mapping[str, Any]) -> list[str]:
    """Return sentences on what was measured of one head; ``figures`` are those of ``metrics.json``."""
    if "described" in figures:
        return [_described_sentence(figures["described"])]
    if "summary" not in figures:
        return ["Nothing was measured (ENABLE_EVAL is off), so nothing is promised."]
    summary = figures["summary"]
    interval = shown_interval(figures["intervals"]["accuracy"], digits=0, scale=100)
    error = figures["calibration"]["expected_calibration_error"]
    auto, suggest, review = (figures["decisions"][name] for name in ("auto", "suggest", "review"))
    costs = [_cost_sentence(figures["costs_out_of_fold"])] if "costs_out_of_fold" in figures else []
    return [
        (
            f"Of 100 tickets like these, about {100 * summary['accuracy']:.0f} get the right label "
            f"(95 % interval: {interval}). Always answering the most frequent label gets "
            f"{100 * figures['baselines']['majority_accuracy']:.0f}."
        ),
        _auto_sentence(auto, figures["thresholds"]["target_precision"]),
        f"{100 * suggest['coverage']:.0f} of 100 are shown to a person as a suggestion"
        + ("" if suggest["precision"] is None else f" ({100 * suggest['precision']:.0f} % of them right)")
        + f", and {100 * review['coverage']:.0f} are left to a person.",
        *_elsewhere_sentences(figures),
        f"A stated confidence is off by {100 * error:.1f} percentage points on average.",
        *costs,
        *_teacher_sentences(figures["recipe"]),
    ]


def _described_sentence(described: Mapping[str, Any]) -> str:
    labelled, unlabelled = described["n_labelled"], described["n_unlabelled"]
    more = f" and what a teacher made of {unlabelled:,} tickets without a label" if unlabelled else ""
    return (
        f"It learned from descriptions of labels, {labelled:,} labelled tickets{more}. That is too few to measure "
        f"anything on ({described['fewest_labelled']} labelled tickets are the least), so its confidences are not "
        "calibrated, it acts on nothing without a person, and nothing is promised."
    )


def _teacher_sentences(recipe: Mapping[str, Any]) -> list[str]:
    """Return whether a teacher's labels of unlabelled tickets were learned from, where there were any."""
    if "teacher" not in recipe:
        return []
    teacher = recipe["teacher"]
    tickets = f"{teacher['n_unlabelled']:,} tickets without a label"
    scores = (
        f"in cross-validation the mean of accuracy and macro-F1 was {teacher['score_with']:.3f} with that, and "
        f"{teacher['score_without']:.3f} without"
    )
    if teacher["share"] == 0:
        return [f"It did not learn from what a teacher ({teacher['encoder']}) said of {tickets}: {scores}."]
    which = "" if teacher["share"] == 1 else f"the surest {100 * teacher['share']:.0f} % of "
    learned = f"It learned from what a teacher ({teacher['encoder']}) said of {which}{tickets}, too: {scores}."
    return [f"{learned} Nothing was measured on those tickets, and no threshold comes from them."]


def measured_sentence(metrics: Mapping[str, Mapping[str, Any]], n_validation: int) -> str:
    """Return how many of the held-out tickets each head was measured on; nothing where all of them have every label."""
    measured = {head: figures["n_tickets"] for head, figures in metrics.items() if "summary" in figures}
    if all(n == n_validation for n in measured.values()):
        return ""
    counts = ", ".join(f'{n:,} for "{head}"' for head, n in measured.items())
    return f"Each head was measured on those of them that have a label of it: {counts}."


def overlap_sentence(overlap: Mapping[str, int]) -> str:
    """Return what an evaluation file has in common with the training file, its ``overlap`` in ``metrics.json``."""
    texts, near = overlap["texts"], overlap["near_duplicates"]
    if texts + near == 0:
        return f"Of its {overlap['tickets_checked']:,} tickets, none is in the training file."
    return (
        f"Of its {overlap['tickets_checked']:,} tickets, {texts + near:,} are in the training file too, {texts:,} with "
        f"the same text and {near:,} with nearly the same: the figures on it flatter."
    )


def _elsewhere_sentences(figures: Mapping[str, Any]) -> list[str]:
    """Return what models without a domain did there, and what it costs that the promise has to be kept there, too."""
    domains = {domain: auto for domain, auto in figures.get("auto_elsewhere", {}).items() if auto["n_tickets"]}
    if not domains:
        return []
    worst = min(domains, key=lambda domain: domains[domain]["precision"])
    auto = domains[worst]
    sentence = (
        f"On tickets of domains that a model had learned nothing of ({len(domains)} were tried), the fewest were right "
        f"in “{worst}”: {100 * auto['precision']:.1f} % of {auto['n_tickets']:,} that it would have acted on."
    )
    without = figures["thresholds"].get("coverage_without_elsewhere")
    if without is None:
        return [sentence]
    covered = figures["decisions_out_of_fold"]["auto"]["coverage"]
    kept = f"Keeping the promise there, too, leaves {100 * covered:.0f} of 100 tickets to act on"
    return [f"{sentence} {kept} where it would be {100 * without:.0f} otherwise."]


def _cost_sentence(costs: Mapping[str, float]) -> str:
    return (
        f"By the table of costs, a ticket costs {costs['per_ticket']:.3g} on average; it would cost "
        f"{costs['per_ticket_all_reviewed']:.3g} if a person looked at every one, and "
        f"{costs['per_ticket_all_answered']:.3g} if nobody did."
    )


def _auto_sentence(auto: Mapping[str, Any], target_precision: float | None) -> str:
    aimed = "no precision is aimed at" if target_precision is None else f"the aim is {100 * target_precision:.0f} %"
    if auto["precision"] is None:
        return f"No validation ticket was sure enough to be acted on without a person ({aimed})."
    interval = auto["precision_interval"]
    missed = target_precision is not None and interval[1] < target_precision
    verdict = ", which the interval leaves out: do not rely on it" if missed else ""
    return (
        f"It would act on {100 * auto['coverage']:.0f} of 100 without a person, and {100 * auto['precision']:.1f} % of "
        f"those answers were right (95 % interval: {shown_interval(interval, digits=1, scale=100)}; {aimed}{verdict})."
    )


def limits_of(head: str, figures: Mapping[str, Any], label_counts: Mapping[str, int]) -> list[str]:
    """Return sentences on what one head cannot promise; ``label_counts`` are of all tickets."""
    rare = rare_labels(label_counts)
    sentences = [rare_label_note(head, label, n) for label, n in rare.items()]
    points = figures.get("operating_points", {})
    infeasible = [label for label, point in points.items() if point["auto"] is None and label not in rare]
    if infeasible and len(infeasible) == len(points) - len(rare):
        sentences.append("No label has a threshold from which to act alone: nothing is done without a person.")
    elif infeasible:
        named = ", ".join(f'"{label}"' for label in infeasible[:_MOST_NAMED]) + (
            ", …" if len(infeasible) > _MOST_NAMED else ""
        )
        sentences.append(
            f"No threshold from which to act alone is feasible for {len(infeasible)} of {len(points)} labels, which "
            f"are never answered without a person: {named}."
        )
    if "summary" not in figures:
        return sentences
    if figures["n_tickets"] < _FEW_VALIDATION_TICKETS:
        sentences.append(f"Only {figures['n_tickets']} tickets were held out, so every figure here is a rough one.")
    if figures["calibration"]["expected_calibration_error"] > _LARGE_CALIBRATION_ERROR:
        sentences.append("Confidences are far from the share of right answers: do not read them as probabilities.")
    if figures["intervals"]["accuracy"][0] <= figures["baselines"]["majority_accuracy"]:
        sentences.append("It is not shown to be better than always answering the most frequent label.")
    overlap = figures["overlap"]
    if overlap["texts"] or overlap["near_duplicates"] or overlap["groups"]:
        sentences.append(
            f"{overlap['near_duplicates']} of {overlap['tickets_checked']} validation tickets have a near-duplicate in "
            "training that could not be kept apart: the figures flatter."
        )
    if overlap["similarity"] > SIMILARITY:
        sentences.append(
            f"So many texts resemble each other that only those of a similarity of {overlap['similarity']:.1f} or more "
            "were kept together: the figures may flatter."
        )
    sentences.append(figures["learning_curve"]["conclusion"])
    return sentences

"""Does the order of the review queue pay: judge 200 tickets in it or 200 others, train again, and compare.

    python -m benchmarks.review_order DIRECTORY [--repetitions 20] [--keep]

DIRECTORY has it-tickets-train.csv and it-tickets-dev.csv, with ``description`` and ``department``. A repetition draws
500 tickets with labels and 4,000 without, trains on the first and answers the others; the queue holds those of which
the answer is not ``auto``, and the audits. From it 200 are judged, which is to look their labels up, and a model of the
700 is measured on the dev part. Models are fitted by the recipe that ``train.py`` chooses for so many of these tickets;
in one repetition they differ in the 200 and in nothing else, so that differences are paired.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t
from threadpoolctl import threadpool_limits

from app.feedback.review_worth import label_weights, review_worth
from app.models.classifier import HeadPrediction, Prediction, TicketClassifier
from app.models.features import FeatureSpec
from app.tickets.input_error import InputError
from app.training.fitting.design import TermCounts
from app.training.fitting.fit import to_model_data
from app.training.fitting.fits import Chosen, fit_all
from app.training.fitting.fitter import Fitter
from app.training.fitting.recipe import FeatureRecipe, HeadRecipe
from app.training.fitting.scores import confusion, scores_of_counts
from app.training.fitting.selection import CHARACTERS, WORDS, Selection
from app.training.intake.label_numbers import number_labels
from app.training.intake.labelled_tickets import Intake, Tickets, read_tickets
from app.training.splitting.near_duplicates import group_near_duplicates, shingles_of
from app.training.splitting.overlap import Overlap, Partition
from app.training.splitting.splits import Indices, Split
from app.training.thresholds.decide import Aims, calibrated_heads, decide
from benchmarks.quality import answers, some_tickets
from benchmarks.results import Origin, add_keep_option
from benchmarks.tables import review_order_table

_N_LABELLED, _N_UNLABELLED, _N_JUDGED = 500, 4_000, 200
_AUDIT_SHARE = 0.05
_FEWEST_REPETITIONS = 2
_HEAD = "department"
_RECIPE = HeadRecipe(inverse_regularisation=3.0, class_balance=1.0)
_FEATURES = FeatureRecipe(FeatureSpec((*WORDS, CHARACTERS)))
_NONE: Indices = np.array([], dtype=np.int64)
_NOTHING, _AT_RANDOM, _FROM_QUEUE = "nothing judged", "at random, of all tickets", "at random, of the queue"

Measures = dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    origin = Origin.now()
    try:
        intake = Intake(targets=(_HEAD,), for_training=False)
        train, test = (
            read_tickets(arguments.directory / f"it-tickets-{part}.csv", intake) for part in ("train", "dev")
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    found: list[Mapping[str, Measures]] = []
    # As in training: more threads would sum in another order.
    with threadpool_limits(limits=1):
        for seed in range(arguments.repetitions):
            found.append(_Repetition.of(train, seed).measures(test))
            print(f"{seed + 1} of {arguments.repetitions} repetitions", file=sys.stderr, flush=True)
    measured = {
        "tickets": {"labelled": _N_LABELLED, "unlabelled": _N_UNLABELLED, "judged": _N_JUDGED, "measured": len(test)},
        "repetitions": arguments.repetitions,
        "figures": _figures(found),
    }
    print(review_order_table(measured))
    if arguments.keep:
        origin.keep(arguments.keep, "review_order", measured)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.review_order",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, help="where the CSV files are")
    parser.add_argument("--repetitions", type=_repetitions, default=20, metavar="N", help="default: %(default)s")
    add_keep_option(parser)
    return parser


def _repetitions(text: str) -> int:
    if not text.isdecimal() or int(text) < _FEWEST_REPETITIONS:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number of {_FEWEST_REPETITIONS} or more')
    return int(text)


@dataclass(frozen=True, slots=True, eq=False)
class _Repetition:
    """Tickets with labels and without, and what a model of the first says of the others; all by position."""

    train: Tickets
    seed: int
    labelled: Indices
    unlabelled: Indices
    model: TicketClassifier
    predictions: Sequence[Prediction]
    is_audit: NDArray[np.bool_]

    @classmethod
    def of(cls, train: Tickets, seed: int) -> _Repetition:
        random = np.random.default_rng(seed)
        drawn = random.permutation(len(train))[: _N_LABELLED + _N_UNLABELLED]
        labelled, unlabelled = drawn[:_N_LABELLED], drawn[_N_LABELLED:]
        model = _fitted(some_tickets(train, labelled), seed)
        asked = some_tickets(train, unlabelled)
        predictions = model.predict_batch(asked.titles, asked.descriptions)
        is_auto = np.array([prediction.heads[_HEAD].decision == "auto" for prediction in predictions])
        is_audit = is_auto & (random.random(len(is_auto)) < _AUDIT_SHARE)
        return cls(train, seed, labelled, unlabelled, model, predictions, is_audit)

    def choices(self) -> dict[str, Indices]:
        """Return by order the unlabelled tickets that are judged."""
        random = np.random.default_rng([self.seed, 1])
        heads = [prediction.heads[_HEAD] for prediction in self.predictions]
        queue = np.array([i for i, head in enumerate(heads) if head.decision != "auto" or self.is_audit[i]])
        weights = label_weights(self.model.metadata)
        by_rarity = _ranked(queue, [review_worth(p, weights, is_audit=False) for p in self.predictions])
        served = [
            review_worth(prediction, weights, is_audit=is_audit)
            for prediction, is_audit in zip(self.predictions, self.is_audit.tolist(), strict=True)
        ]
        return {
            _AT_RANDOM: random.permutation(len(heads))[:_N_JUDGED],
            _FROM_QUEUE: random.permutation(queue)[:_N_JUDGED],
            "least confidence": _ranked(queue, [-head.confidence for head in heads])[:_N_JUDGED],
            "entropy": _ranked(queue, list(map(_entropy, heads)))[:_N_JUDGED],
            "margin": _ranked(queue, [review_worth(p, {}, is_audit=False) for p in self.predictions])[:_N_JUDGED],
            "margin and rarity": by_rarity[:_N_JUDGED],
            "margin and rarity, no near-duplicates": self._without_near_duplicates(by_rarity)[:_N_JUDGED],
            "as served: audits, then margin and rarity": _ranked(queue, served)[:_N_JUDGED],
        }

    def _without_near_duplicates(self, ranked: Indices) -> Indices:
        tickets = some_tickets(self.train, self.unlabelled[ranked])
        groups = group_near_duplicates(shingles_of(tickets.titles, tickets.descriptions)).ids
        return ranked[np.sort(np.unique(groups, return_index=True)[1])]

    def measures(self, test: Tickets) -> dict[str, Measures]:
        """Return by order what a model is worth that was trained on what was judged, too."""
        found = {_NOTHING: _measured(self.model, test)}
        for name, judged in self.choices().items():
            both = np.concatenate([self.labelled, self.unlabelled[judged]])
            found[name] = _measured(_fitted(some_tickets(self.train, both), self.seed), test)
        return found


def _ranked(queue: Indices, worth: Sequence[float]) -> Indices:
    return queue[np.argsort(-np.array(worth)[queue], kind="stable")]


def _entropy(head: HeadPrediction) -> float:
    shares = [head.confidence, *(alternative.confidence for alternative in head.alternatives)]
    return -sum(share * math.log(share) for share in [*shares, 1 - sum(shares)] if share > 0)


def _fitted(tickets: Tickets, seed: int) -> TicketClassifier:
    numbers, everything = number_labels(tickets.labels), np.arange(len(tickets))
    fitter = Fitter(TermCounts(tickets.titles, tickets.descriptions), _FEATURES, None)
    chosen = Chosen(numbers, Selection(_FEATURES, {_HEAD: _RECIPE}, ()), fitter)
    # Nothing is held out: what is measured on comes from elsewhere.
    grouping = group_near_duplicates(shingles_of(tickets.titles, tickets.descriptions))
    parts = Partition(grouping, Split(everything, _NONE), Overlap(0, 0, 0, 0, _NONE))
    fits = fit_all(chosen, tickets, parts, evaluate=False, seed=seed, progress=lambda _: None)
    decisions = decide(fits, numbers, parts, tickets.given_labels(), Aims()).heads
    model = to_model_data(_FEATURES.features, fits.design.fitted, calibrated_heads(fits, numbers, decisions))
    counts = {_HEAD: dict(Counter(tickets.labels[_HEAD]))}
    return TicketClassifier(model, {"version": "0.0.0", "label_distributions": counts})


def _measured(model: TicketClassifier, test: Tickets) -> Measures:
    found = answers(model, test, _HEAD)
    scores = scores_of_counts(confusion(found.truth, found.predicted, len(found.labels))[np.newaxis])
    is_right = found.predicted == found.truth
    return {
        "macro-F1": float(scores.macro_f1[0]),
        "accuracy": float(scores.accuracy[0]),
        "coverage of auto": float(found.is_auto.mean()),
        "precision of auto": float(is_right[found.is_auto].mean()) if found.is_auto.any() else 1.0,
    }


def _figures(found: Sequence[Mapping[str, Measures]]) -> list[dict[str, Any]]:
    """Return for each order and measure its mean, and by how much it is above those at random, with 95 % intervals."""
    figures = []
    for order in found[0]:
        for measure in found[0][order]:
            values = np.array([of_orders[order][measure] for of_orders in found])
            gains = {
                baseline: _gain(values - np.array([of_orders[baseline][measure] for of_orders in found]))
                for baseline in (_AT_RANDOM, _FROM_QUEUE)
                if baseline != order
            }
            figures.append({"order": order, "measure": measure, "mean": float(values.mean()), "gains": gains})
    return figures


def _gain(differences: NDArray[np.float64]) -> dict[str, Any]:
    """Return the mean and its interval by Student's t over the repetitions, which share no more than the train part."""
    n, mean = len(differences), float(differences.mean())
    half = float(student_t.ppf(0.975, n - 1) * differences.std(ddof=1) / math.sqrt(n))
    return {"mean": mean, "interval": [mean - half, mean + half]}


if __name__ == "__main__":
    sys.exit(main())

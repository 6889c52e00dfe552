"""How good is a model from the first day on: from what labels mean, and then from 25, 50, ... 400 judgements.

    python -m benchmarks.first_day DIRECTORY [--only banking77] [--keep]

DIRECTORY has the train parts that ``benchmarks.quality`` needs, and it-tickets-dev and clinc150-val. Of each set 5,000
tickets are drawn without their labels. The first model learns from them and from what the labels mean, which is
``benchmarks/it_tickets_labels.toml`` for it-tickets, and the labels' names read as words for the others. Then people
judge, which is to look a label up: in the order of the review queue, as the model of before has it, or at random. Every
model is fitted as ``train.py --labels --unlabelled --feedback`` fits one that nothing can be measured of yet, with the
teacher, and scored on tickets of the other part; a fifth of banking77, whole groups of similar tickets, is held out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from app.feedback.review_worth import review_worth
from app.models.classifier import TicketClassifier
from app.tickets.input_error import InputError
from app.training.fitting.described import answers_to_all, choose_for_described, fit_described
from app.training.fitting.fit import to_model_data
from app.training.fitting.scores import confusion, scores_of_counts
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.label_numbers import number_labels
from app.training.intake.label_texts import LabelText, LabelTexts, read_label_texts
from app.training.intake.labelled_tickets import Intake, Tickets, read_tickets
from app.training.intake.unlabelled_tickets import NOBODY
from app.training.splitting.overlap import Partition, nothing_held_out, partition
from app.training.splitting.splits import Indices
from app.training.teaching.encoder import SentenceEncoder
from app.training.teaching.taught import Taught
from app.training.thresholds.decide import calibrated_heads
from app.training.thresholds.undecided import undecided
from benchmarks.measuring import ROOT
from benchmarks.quality import answers, some_tickets
from benchmarks.results import Origin, add_keep_option
from benchmarks.tables import first_day_table

_HEAD = "department"
_INTAKE = Intake(targets=(_HEAD,), for_training=False)
_DEV_PARTS = {"it-tickets": "it-tickets-dev", "banking77": None, "clinc150": "clinc150-val"}
_JUDGEMENTS = (0, 25, 50, 100, 200, 400)
_ORDERS = ("review queue", "at random")
_MOST_MEASURED = 3_000
_SEED = 42

Measures = dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    origin = Origin.now()
    try:
        encoder = SentenceEncoder.load()
        # As in training: more threads would sum in another order.
        with threadpool_limits(limits=1):
            found = {
                name: _curve(_TeamsFirstDay.of(arguments.directory, name, arguments.pool, encoder))
                for name in arguments.only or _DEV_PARTS
            }
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    measured = {"unlabelled": arguments.pool, "sets": found}
    print(first_day_table(measured))
    if arguments.keep:
        origin.keep(arguments.keep, "first_day", measured)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.first_day",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, help="where the CSV files are")
    parser.add_argument("--only", choices=list(_DEV_PARTS), action="append", help="may be repeated")
    parser.add_argument("--pool", type=int, default=5_000, metavar="N", help="unlabelled tickets (%(default)s)")
    add_keep_option(parser)
    return parser


@dataclass(frozen=True, slots=True, eq=False)
class _TeamsFirstDay:
    """Tickets whose labels are not known until they are judged, what the labels mean, and tickets to measure on."""

    name: str
    tickets: Tickets
    parts: Partition
    taught: Taught
    texts: LabelTexts
    test: Tickets

    @classmethod
    def of(cls, directory: Path, name: str, n_pool: int, encoder: SentenceEncoder) -> _TeamsFirstDay:
        train = read_tickets(directory / f"{name}-train.csv", _INTAKE)
        dev_part = _DEV_PARTS[name]
        if dev_part is None:
            split = partition(train, share=0.2, seed=_SEED).split
            train, test = some_tickets(train, split.train), some_tickets(train, split.validation)
        else:
            test = read_tickets(directory / f"{dev_part}.csv", _INTAKE)
        random = np.random.default_rng(_SEED)
        tickets = some_tickets(train, np.sort(random.permutation(len(train))[:n_pool]))
        test = some_tickets(test, np.sort(random.permutation(len(test))[:_MOST_MEASURED]))
        texts = _meanings(name, sorted(set(train.labels[_HEAD])))
        taught = Taught.of(
            tickets, NOBODY, texts.texts, encoder, lambda step: print(f"{name}: {step}", file=sys.stderr)
        )
        return cls(name, tickets, nothing_held_out(tickets), taught, texts, test)

    def model(self, judged: Indices) -> TicketClassifier:
        """Return the model when the labels of ``judged`` are known."""
        labels = np.full(len(self.tickets), "", dtype=object)
        labels[judged] = np.array(self.tickets.labels[_HEAD], dtype=object)[judged]
        tickets = replace(self.tickets, labels={_HEAD: labels.tolist()})
        numbers = number_labels(tickets.labels, self.texts.heads)
        chosen = choose_for_described(tickets, numbers, self.parts, self.taught, WordVectors.load())
        fits = fit_described(chosen, tickets)
        decided = undecided(fits, numbers, answers_to_all(chosen, fits, tickets), target_precision=0.95)
        heads = calibrated_heads(fits, numbers, decided.heads)
        features, fitted = chosen.selection.features.features, fits.design.fitted
        return TicketClassifier(to_model_data(features, fitted, heads, decided.likeness), {"version": "0.0.0"})

    def next_judged(self, model: TicketClassifier, judged: Indices, n_judged: int, order: str) -> Indices:
        """Return ``n_judged`` tickets: those of before, and then those that ``order`` has first."""
        others = np.setdiff1d(np.arange(len(self.tickets)), judged)
        if order == "at random":
            others = np.random.default_rng([_SEED, n_judged]).permutation(others)
        else:
            asked = some_tickets(self.tickets, others)
            worth = [review_worth(found) for found in model.predict_batch(asked.titles, asked.descriptions)]
            others = others[np.argsort(-np.array(worth), kind="stable")]
        return np.concatenate([judged, others[: n_judged - len(judged)]])


def _meanings(name: str, labels: Sequence[str]) -> LabelTexts:
    if name == "it-tickets":
        return read_label_texts(ROOT / "benchmarks" / "it_tickets_labels.toml")
    return LabelTexts(tuple(LabelText(_HEAD, label, label.replace("_", " ").rstrip("?")) for label in labels), "")


def _curve(day: _TeamsFirstDay) -> dict[str, list[dict[str, Any]]]:
    """Return for each order the figures at each number of judgements."""
    nothing: Indices = np.array([], dtype=np.int64)
    first = day.model(nothing)
    curves = {}
    for order in _ORDERS:
        judged, model = nothing, first
        curves[order] = [{"judgements": 0, **_measured(first, day.test)}]
        for n_judged in _JUDGEMENTS[1:]:
            judged = day.next_judged(model, judged, n_judged, order)
            model = day.model(judged)
            curves[order].append({"judgements": n_judged, **_measured(model, day.test)})
            print(f"{day.name}, {order}: {curves[order][-1]}", file=sys.stderr, flush=True)
    return curves


def _measured(model: TicketClassifier, test: Tickets) -> Measures:
    found = answers(model, test, _HEAD)
    counts: NDArray[np.int64] = confusion(found.truth, found.predicted, len(found.labels))
    scores = scores_of_counts(counts[np.newaxis])
    return {"accuracy": float(scores.accuracy[0]), "macro_f1": float(scores.macro_f1[0])}


if __name__ == "__main__":
    sys.exit(main())

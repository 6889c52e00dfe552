"""How good the models are: train on the train parts of known sets with ``train.py``, and score their dev parts.

    python -m benchmarks.quality DIRECTORY [--only it-tickets]

DIRECTORY has the files that the sets need, as CSV with ``description`` and ``department``: it-tickets-train and -dev,
banking77-train, clinc150-train, -val and -oos, cfpb5-train. Where there is no dev part, whole groups of similar tickets
are held out: a fifth of banking77 once, each fifth of cfpb5 in turn. ``handwritten`` needs no file of DIRECTORY: it is
the model of generated tickets on ``benchmarks/handwritten_dev.csv``.

Beside accuracy and macro-F1 stands what others make of the same tickets: ``TfidfVectorizer`` and ``LogisticRegression``
with their defaults, and fastText where ``fasttext-numpy2-wheel`` is installed.

With ``--keep`` each set has a file of results of its own, so that one can be measured again alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from app.models.classifier import TicketClassifier
from app.tickets.input_error import InputError
from app.training.intake.generated_tickets import generated_tickets
from app.training.intake.labelled_tickets import Intake, Tickets, read_tickets
from app.training.splitting.overlap import partition
from app.training.splitting.splits import Indices, Split, folds
from benchmarks.measuring import ROOT
from benchmarks.other_classifiers import answers_of_others
from benchmarks.quality_figures import (
    Answers,
    Figure,
    accuracy,
    auto_precision,
    calibration_error,
    coverage,
    coverage_outside,
    macro_f1,
    outside_auroc,
)
from benchmarks.results import Origin, add_keep_option
from benchmarks.tables import quality_table

_HEAD = "department"
_TARGETS = Intake(targets=(_HEAD,), for_training=False)
_MOST_SECONDS = 3600
_SEED = 42
_N_FOLDS = 5


class TrainingFailedError(Exception):
    """``train.py`` did not write a version; the message is what it said."""


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    for name in arguments.only or _SETS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        origin, start = Origin.now(), time.monotonic()
        try:
            trainer = Trainer(arguments.directory)
            figures = _SETS[name](trainer)
        except (FileNotFoundError, InputError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 2
        except TrainingFailedError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        measured = {
            "seconds": round(time.monotonic() - start),
            "figures": [{**asdict(figure), "met": figure.is_met} for figure in figures],
            "recipes": trainer.recipes,
        }
        print(quality_table({name: measured}), flush=True)
        # After each set, so that an interrupted run keeps what it has measured.
        if arguments.keep:
            origin.keep(arguments.keep, f"quality-{name}", measured)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, help="where the CSV files of the sets are")
    parser.add_argument("--only", action="append", choices=tuple(_SETS), help="one of the sets; repeatable")
    add_keep_option(parser)
    return parser


class Trainer:
    """Runs ``train.py`` as anybody would, on one core, and keeps what it chose for each head."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.recipes: list[dict[str, object]] = []

    def path(self, name: str) -> Path:
        return self._directory / f"{name}.csv"

    def read(self, name: str) -> Tickets:
        return read_tickets(self.path(name), _TARGETS)

    def trained(self, data: Path | None) -> TicketClassifier:
        if data is not None and not data.is_file():
            raise FileNotFoundError(f"{data} does not exist")
        with tempfile.TemporaryDirectory() as models:
            done = subprocess.run(
                [sys.executable, "train.py", "--models-dir", models, "--version", "0.0.1"]
                + ([] if data is None else ["--data", str(data), "--targets", _HEAD]),
                cwd=ROOT,
                # The figures of the training itself would take time and change nothing of the model.
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "ENABLE_EVAL": "false"},
                capture_output=True,
                text=True,
                timeout=_MOST_SECONDS,
                check=False,
            )
            if done.returncode:
                raise TrainingFailedError(f"train.py ended with {done.returncode}: {done.stderr.strip()}")
            version = Path(models) / "v0.0.1"
            metrics = json.loads((version / "metrics.json").read_text(encoding="utf-8"))
            self.recipes.append({head: figures["recipe"] for head, figures in metrics.items()})
            return TicketClassifier.load(version)

    def held_out_answers(self, tickets: Tickets, split: Split) -> Answers:
        """Train on one side of ``split``, and return the answers to the other."""
        train, others = some_tickets(tickets, split.train), some_tickets(tickets, split.validation)
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "train.csv"
            with path.open("w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["title", "description", _HEAD])
                writer.writerows(zip(train.titles, train.descriptions, train.labels[_HEAD], strict=True))
            return compared(self.trained(path), train, others, _HEAD)


def _it_tickets(trainer: Trainer) -> list[Figure]:
    model = trainer.trained(trainer.path("it-tickets-train"))
    found = compared(model, trainer.read("it-tickets-train"), trainer.read("it-tickets-dev"), _HEAD)
    return [
        macro_f1(found, at_least=0.875),
        accuracy(found),
        calibration_error(found, at_most=0.015),
        coverage(found, at_least=0.80),
        auto_precision(found, at_least=0.94),
    ]


def _banking77(trainer: Trainer) -> list[Figure]:
    tickets = trainer.read("banking77-train")
    found = trainer.held_out_answers(tickets, partition(tickets, share=1 / _N_FOLDS, seed=_SEED).split)
    return [accuracy(found, at_least=0.932), macro_f1(found), calibration_error(found, at_most=0.025)]


def _clinc150(trainer: Trainer) -> list[Figure]:
    model = trainer.trained(trainer.path("clinc150-train"))
    inside = compared(model, trainer.read("clinc150-train"), trainer.read("clinc150-val"), _HEAD)
    outside = answers(model, trainer.read("clinc150-oos"), _HEAD)
    return [
        accuracy(inside, at_least=0.945),
        calibration_error(inside),
        outside_auroc(inside, outside, at_least=0.94),
        coverage_outside(outside, at_most=0.05),
    ]


def _cfpb5(trainer: Trainer) -> list[Figure]:
    tickets = trainer.read("cfpb5-train")
    groups = partition(tickets, share=1 / _N_FOLDS, seed=_SEED).grouping.ids
    splits = folds(tickets.labels, groups, n_folds=_N_FOLDS, seed=_SEED)
    found = Answers.joined([trainer.held_out_answers(tickets, split) for split in splits])
    return [accuracy(found, at_least=0.780), macro_f1(found), calibration_error(found)]


def _handwritten(trainer: Trainer) -> list[Figure]:
    model, train = trainer.trained(None), generated_tickets(None, seed=_SEED, targets=None)
    tickets = read_tickets(ROOT / "benchmarks" / "handwritten_dev.csv", Intake(for_training=False))
    figures = []
    for head, least in {"department": 0.94, "priority": 0.89}.items():
        found = compared(model, train, tickets, head)
        of_head = [accuracy(found, at_least=least), coverage(found, at_least=0.5), auto_precision(found, at_least=0.95)]
        figures += [replace(figure, measure=f"{head} {figure.measure}") for figure in of_head]
    return figures


_SETS: Mapping[str, Callable[[Trainer], list[Figure]]] = {
    "it-tickets": _it_tickets,
    "banking77": _banking77,
    "clinc150": _clinc150,
    "cfpb5": _cfpb5,
    "handwritten": _handwritten,
}


def some_tickets(tickets: Tickets, chosen: Indices) -> Tickets:
    """Return the tickets at the positions ``chosen``."""
    rows = chosen.tolist()
    return Tickets(
        titles=[tickets.titles[i] for i in rows],
        descriptions=[tickets.descriptions[i] for i in rows],
        labels={head: [values[i] for i in rows] for head, values in tickets.labels.items()},
        groups=None,
        sha256=tickets.sha256,
        notes=(),
    )


def compared(model: TicketClassifier, train: Tickets, tickets: Tickets, head: str) -> Answers:
    """Return the answers of ``model``, which learned from ``train``, to ``tickets``, beside those of others."""
    ours = answers(model, tickets, head)
    # Training leaves out a label that one ticket has, and others may answer it.
    labels = (*ours.labels, *sorted(set(train.given_labels()[head]) - set(ours.labels)))
    position = {label: i for i, label in enumerate(labels)}
    others = answers_of_others(train, tickets, head)
    by_others = {name: np.array([position[label] for label in given]) for name, given in others.items()}
    return replace(ours, labels=labels, by_others=by_others)


def answers(model: TicketClassifier, tickets: Tickets, head: str) -> Answers:
    """Return what ``model`` says of ``tickets``; a label that it does not have is one that it gets wrong."""
    column = model.predict_columns(tickets.titles, tickets.descriptions)[head]
    labels = (*model.labels(head), *sorted(set(tickets.labels[head]) - set(model.labels(head))))
    position = {label: i for i, label in enumerate(labels)}
    return Answers(
        labels,
        truth=np.array([position[label] for label in tickets.labels[head]]),
        predicted=np.array([position[label] for label in column.labels]),
        confidence=np.array(column.confidences),
        is_auto=np.array([decision == "auto" for decision in column.decisions]),
    )


if __name__ == "__main__":
    sys.exit(main())

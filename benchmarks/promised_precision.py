"""``python -m benchmarks.promised_precision DIRECTORY``: how often other tickets keep what ``--target-precision`` says.

Each set is fitted once, in five folds. Then, in each of many random splits of whole groups, four fifths of the answers
choose temperature and thresholds, as training does, and the others are counted; so a model of the whole set is left
aside, and with it the little that it would be better. Generated tickets are split by sector, too: models without a
sector answer it, and thresholds come from all other sectors, those of the tickets that are kept for calibration
included.

DIRECTORY has it-tickets-train, banking77-train, clinc150-train and cfpb5-train as CSV with ``description`` and
``department``; ``generated`` needs no file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.tickets.input_error import InputError
from app.training.fitting.elsewhere import Elsewhere, answers_elsewhere
from app.training.fitting.fits import Fits, choose_recipe, fit_all
from app.training.fitting.fitter import Familiarity
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.calibration_tickets import DEFAULT_DOMAIN, DEFAULT_PATH, read_calibration
from app.training.intake.generated_tickets import generated_tickets
from app.training.intake.label_numbers import LabelNumbers, number_labels
from app.training.intake.labelled_tickets import Intake, Tickets, read_tickets
from app.training.measuring.evaluation import decisions_of
from app.training.splitting.overlap import Partition, nothing_held_out
from app.training.splitting.splits import Indices, Split
from app.training.thresholds.decide import Aims, decide
from benchmarks.results import Origin, add_keep_option
from benchmarks.tables import promised_precision_table

_SETS = ("cfpb5", "banking77", "it-tickets", "clinc150", "generated")
_TARGETS = (0.95, 0.9)
_SHARE_COUNTED = 0.2
_SEED = 42


@dataclass(frozen=True, slots=True)
class Counted:
    """What the tickets of one split showed of the thresholds that the others chose."""

    split: str
    head: str
    target: float
    coverage: float
    precision: float | None

    @property
    def is_kept(self) -> bool:
        return self.precision is None or self.precision >= self.target


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    """A set with the answers of models that did not see the ticket, for every ticket."""

    tickets: Tickets
    numbers: LabelNumbers
    parts: Partition
    fits: Fits
    elsewhere: tuple[Elsewhere, ...]

    @classmethod
    def of(cls, tickets: Tickets, calibration: Tickets | None) -> _Fitted:
        numbers, parts = number_labels(tickets.labels, {}), nothing_held_out(tickets)
        chosen = choose_recipe(tickets, numbers, parts, vectors=WordVectors.load(), seed=_SEED, progress=lambda _: None)
        fits = fit_all(chosen, tickets, parts, evaluate=False, seed=_SEED, progress=lambda _: None)
        return cls(tickets, numbers, parts, fits, answers_elsewhere(chosen, tickets, parts, calibration, _say))

    def counted(
        self, name: str, choosing: Indices, of_others: Elsewhere, elsewhere: Sequence[Elsewhere]
    ) -> list[Counted]:
        """Choose by the answers to ``choosing``, and to ``elsewhere``, and count those ``of_others``."""
        others = np.arange(len(self.tickets), len(self.tickets) + len(of_others.familiar.known_words))
        numbers = replace(
            self.numbers,
            truth={head: np.append(truth, of_others.truth[head]) for head, truth in self.numbers.truth.items()},
        )
        familiar = self.fits.familiar_out_of_fold
        fits = replace(
            self.fits,
            out_of_fold={head: logits[choosing] for head, logits in self.fits.out_of_fold.items()},
            validation=of_others.logits,
            familiar_out_of_fold=None if familiar is None else _some(familiar, choosing),
            familiar_validation=of_others.familiar,
        )
        parts = replace(self.parts, split=Split(choosing, others))
        found = []
        for target in _TARGETS:
            decided = decide(
                fits, numbers, parts, self.tickets.given_labels(), Aims(target_precision=target), elsewhere
            )
            for head, of_head in decided.heads.items():
                auto = decisions_of(of_head.counts.validation or {}, of_head.policy.operating_points)["auto"]
                found.append(Counted(name, head, target, auto["coverage"], auto["precision"]))
        return found

    def of_random_splits(self, n_splits: int) -> list[Counted]:
        found = []
        for number in range(n_splits):
            is_counted = (
                np.random.default_rng((_SEED, number)).random(self.parts.grouping.ids.max() + 1) < _SHARE_COUNTED
            )[self.parts.grouping.ids]
            elsewhere = [self._without(one, is_counted) for one in self.elsewhere]
            found += self.counted(f"random {number}", np.flatnonzero(~is_counted), self._mine(is_counted), elsewhere)
        return found

    def _without(self, one: Elsewhere, is_counted: NDArray[np.bool_]) -> Elsewhere:
        """Return the answers of a domain to the tickets that are not counted; those kept for calibration never are."""
        inside = np.array(self.tickets.domains, dtype=object) == one.domain
        if not inside.any():
            return one
        kept = np.flatnonzero(~is_counted[inside])
        return Elsewhere(
            one.domain,
            {head: truth[kept] for head, truth in one.truth.items()},
            {head: logits[kept] for head, logits in one.logits.items()},
            _some(one.familiar, kept),
        )

    def of_sectors(self) -> list[Counted]:
        domains, found = np.array(self.tickets.domains, dtype=object), []
        for one in self.elsewhere:
            others = [other for other in self.elsewhere if other is not one]
            found += self.counted(one.domain, np.flatnonzero(domains != one.domain), one, others)
        return found

    def _mine(self, is_counted: NDArray[np.bool_]) -> Elsewhere:
        """Return the answers to the tickets that are counted."""
        counted, familiar = np.flatnonzero(is_counted), self.fits.familiar_out_of_fold
        if familiar is None:
            raise InputError("the tickets are one group of similar texts, so that nothing can be measured")
        return Elsewhere(
            "",
            {head: truth[counted] for head, truth in self.numbers.truth.items()},
            {head: logits[counted] for head, logits in self.fits.out_of_fold.items()},
            _some(familiar, counted),
        )


def _some(familiar: Familiarity, chosen: Indices) -> Familiarity:
    # Nothing tells tickets from other texts here, so that there are two figures alone.
    return Familiarity(familiar.known_words[chosen], familiar.known_pairs[chosen], None, None)


def _say(step: str) -> None:
    print(step, file=sys.stderr, flush=True)


def _measured(directory: Path, name: str, n_splits: int) -> dict[str, list[Counted]]:
    if name == "generated":
        tickets = generated_tickets(None, seed=_SEED, targets=None)
        kept = read_calibration(DEFAULT_PATH, besides=tickets, column_map={}, label_map={}, domain=DEFAULT_DOMAIN)
        fitted = _Fitted.of(tickets, kept)
        return {name: fitted.of_random_splits(n_splits), f"{name}, by sector": fitted.of_sectors()}
    tickets = read_tickets(directory / f"{name}-train.csv", Intake(targets=("department",), for_training=False))
    return {name: _Fitted.of(tickets, None).of_random_splits(n_splits)}


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table; return 2 when a set cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.promised_precision",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, help="where the CSV files of the sets are")
    parser.add_argument("--only", action="append", choices=_SETS, help="one of the sets; repeatable")
    parser.add_argument("--splits", type=int, default=20, help="random splits of each set (%(default)s)")
    add_keep_option(parser)
    arguments = parser.parse_args(argv)
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    origin = Origin.now()
    sets: dict[str, list[dict[str, Any]]] = {}
    try:
        for name in arguments.only or _SETS:
            _say(f"measuring {name} ...")
            found = _measured(arguments.directory, name, arguments.splits)
            sets |= {part: [{**asdict(one), "kept": one.is_kept} for one in counted] for part, counted in found.items()}
    except (InputError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    measured = {"splits": arguments.splits, "sets": sets}
    print(promised_precision_table(measured))
    if arguments.keep:
        origin.keep(arguments.keep, "promised_precision", measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Composes labelled tickets from the written situations and prints them as CSV; training is left to train.py."""

from __future__ import annotations

import argparse
import csv
import hashlib
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if __name__ == "__main__":
    # Run by its path, Python puts data/ on the module path, and not the project's root.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from data.composer import Composer
from data.draw import Draw
from data.situation_files import SITUATIONS_DIRECTORY, Situation, SituationError, load_sectors, load_situations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Situation", "SituationError", "Ticket", "generate", "load_situations"]

DEFAULT_ROWS = 10_000
DEFAULT_SEED = 42
COLUMNS = ("title", "description", "priority", "department", "situation")
COMPOSITION_FILE = SITUATIONS_DIRECTORY / "_composition.toml"
_MAX_REDRAWS = 1000


@dataclass(frozen=True, slots=True)
class Ticket:
    title: str
    description: str
    priority: str
    department: str
    situation: str
    """The id of the situation: a split keeps all tickets of one situation on one side."""
    sector: str
    """That of the situation's industry, blank if it has none; not part of the CSV."""
    traits: frozenset[str]
    """What the writer was drawn to be (see `Composition`); not part of the CSV."""


def generate(
    rows: int,
    *,
    seed: int = DEFAULT_SEED,
    situations: Sequence[Situation] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Iterator[Ticket]:
    """`rows` tickets, no two with the same texts; a longer run starts with the tickets of a shorter one.

    Pairs of priority and department take turns, as often as the product of their labels' `weights` says (1 where none
    is given), and within a pair all situations come once before any comes again. Raises `ValueError` for weights that
    no situation can meet, and `SituationError` while it runs when a situation has no further text to give.
    """
    situations = load_situations() if situations is None else situations
    shares = _pair_shares(situations, weights or {})
    return _composed(rows, situations, shares, Draw(seed))


def _pair_shares(situations: Sequence[Situation], weights: Mapping[str, float]) -> dict[tuple[str, str], float]:
    labels = {label for situation in situations for label in (situation.priority, situation.department)}
    if unknown := sorted(weights.keys() - labels):
        raise ValueError(f"no situation has the label {unknown[0]!r}; there are {', '.join(sorted(labels))}")
    pairs = dict.fromkeys((situation.priority, situation.department) for situation in situations)
    shares = {pair: weights.get(pair[0], 1.0) * weights.get(pair[1], 1.0) for pair in pairs}
    if not sum(shares.values()) > 0:
        raise ValueError(f"the weights {dict(weights)} leave no pair of labels; at least one must be above 0")
    return shares


def _composed(
    rows: int, situations: Sequence[Situation], shares: Mapping[tuple[str, str], float], draw: Draw
) -> Iterator[Ticket]:
    composer, sectors = Composer.load(COMPOSITION_FILE), load_sectors()
    written: set[bytes] = set()
    for _, situation in zip(range(rows), _turns(situations, shares, draw), strict=False):
        for _redraw in range(_MAX_REDRAWS):
            text = composer.compose(situation.titles, situation.descriptions, draw)
            key = hashlib.blake2b(f"{text.title}\0{text.description}".encode(), digest_size=16).digest()
            if key not in written:
                break
        else:
            raise SituationError(
                f"situation {situation.id!r}: no new text in {_MAX_REDRAWS} draws; give it more wordings"
            )
        written.add(key)
        yield Ticket(
            title=text.title,
            description=text.description,
            priority=situation.priority,
            department=situation.department,
            situation=situation.id,
            sector=sectors.get(situation.industry, ""),
            traits=text.traits,
        )


def _turns(situations: Sequence[Situation], shares: Mapping[tuple[str, str], float], draw: Draw) -> Iterator[Situation]:
    """Situations without end; the pair whose share is furthest behind comes next."""
    by_pair: dict[tuple[str, str], list[Situation]] = {pair: [] for pair in shares}
    for situation in situations:
        by_pair[situation.priority, situation.department].append(situation)
    waiting: dict[tuple[str, str], list[Situation]] = {pair: [] for pair in shares}
    credit = dict.fromkeys(shares, 0.0)
    total = sum(shares.values())
    while True:
        for pair, share in shares.items():
            credit[pair] += share
        pair = max(credit, key=credit.__getitem__)
        credit[pair] -= total
        waiting[pair] = waiting[pair] or draw.shuffled(by_pair[pair])
        yield waiting[pair].pop()


def write_csv(tickets: Iterable[Ticket], file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(ticket, column) for column in COLUMNS] for ticket in tickets)


def _positive_number(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _label_weight(text: str) -> tuple[str, float]:
    label, equals, number = text.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not equals or not label or not 0 <= weight < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not LABEL=NUMBER with a number of at least 0, such as Medium=3")
    return label, weight


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compose labelled support tickets from written situations, as CSV.")
    parser.add_argument(
        "--rows", type=_positive_number, default=DEFAULT_ROWS, help="tickets to write (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="same seed, same bytes (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where to write (default: standard output)")
    parser.add_argument(
        "--weight",
        type=_label_weight,
        action="append",
        default=[],
        metavar="LABEL=NUMBER",
        help="how often a label comes up against the others (default: 1 each); may be given for several labels",
    )
    parser.add_argument(
        "--situations",
        type=Path,
        default=SITUATIONS_DIRECTORY,
        metavar="DIR",
        help="directory of situation files (default: %(default)s)",
    )
    return parser.parse_args(argv)


def _open_output(path: Path | None) -> IO[str]:
    if path is None:
        # The terminal's own encoding would make the bytes depend on where the command runs.
        return open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False)
    return path.open("w", encoding="utf-8", newline="")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 written, 1 writing failed, 2 bad usage or bad situation files."""
    arguments = _arguments(argv)
    try:
        situations = load_situations(arguments.situations)
        tickets = generate(arguments.rows, seed=arguments.seed, situations=situations, weights=dict(arguments.weight))
        file = _open_output(arguments.output)
    except (ValueError, OSError) as error:
        print(f"generate_dataset.py: {error}", file=sys.stderr)
        return 2
    try:
        with file:
            write_csv(tickets, file)
    except BrokenPipeError:
        # The reader, `head` for one, has what it wanted. Python would report the pipe again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (SituationError, OSError) as error:
        print(f"generate_dataset.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

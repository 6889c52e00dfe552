"""``python -m benchmarks``: measure the model and the service's process, and print the figures with their reach.

Contestants take turns in every round, and a figure is the median over the rounds with the spread beside it. A ratio is
taken in each round, so that a machine which is busy for a while is busy for both sides.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import ROOT, Figure, Subject, read_tickets
from benchmarks.results import Origin, add_keep_option
from benchmarks.tables import number, reach

# Modules of this package; each has a ``measure(subject)`` that returns its figures.
_PARTS = (
    "in_process",
    "explanations",
    "http_path",
    "http_parts",
    "cold_start",
    "memory",
    "sizing",
    "store_size",
    "bulk",
)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    # One core a process, as the service's workers have; NumPy reads this when it is imported, which is later.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    console = Console(width=None if sys.stdout.isatty() else 120)
    subject = Subject(arguments.model, read_tickets(arguments.tickets), arguments.rounds)
    figures: dict[str, list[Figure]] = {}
    for name in arguments.only or _PARTS:
        print(f"measuring {name} ...", file=sys.stderr)
        origin = Origin.now()
        figures[name] = importlib.import_module(f"benchmarks.{name}").measure(subject)
        # After each part, so that an interrupted run keeps what it has measured.
        if arguments.keep and figures[name]:
            origin.keep(arguments.keep, name, _measured(subject, figures[name]))
    _print(console, figures, rounds=arguments.rounds)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=ROOT / "models/v1.0.0", help="version directory (%(default)s)")
    parser.add_argument("--tickets", type=Path, default=ROOT / "data/mock_eval.csv", help="CSV (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant (%(default)s)")
    parser.add_argument("--only", action="append", choices=_PARTS, help="a part of it; repeatable")
    add_keep_option(parser)
    return parser


def _print(console: Console, figures: dict[str, list[Figure]], *, rounds: int) -> None:
    table = Table(title=f"medians of {rounds} rounds")
    for heading in ("what", "median", "spread", "unit", "reach", ""):
        table.add_column(heading, justify="right" if heading == "median" else "left", no_wrap=heading != "what")
    for of_part in figures.values():
        for figure in of_part:
            mark = {None: "", True: "reached", False: "[red]not reached[/]"}[figure.is_reached]
            spread = f"{number(min(figure.values))} to {number(max(figure.values))}"
            table.add_row(figure.name, number(figure.median), spread, figure.unit, reach(figure), mark)
        table.add_section()
    console.print(table)


def _measured(subject: Subject, figures: Sequence[Figure]) -> dict[str, object]:
    mean = sum(ticket.n_characters for ticket in subject.tickets) / len(subject.tickets)
    return {
        "model_version": subject.model_directory.name,
        "tickets": {"count": len(subject.tickets), "mean_characters": round(mean)},
        "rounds": subject.rounds,
        "figures": [figure.as_document() for figure in figures],
    }


if __name__ == "__main__":
    sys.exit(main())

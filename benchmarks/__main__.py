"""``python -m benchmarks``: measure the model and the service's process, and print the figures with their reach.

Contestants take turns in every round, and a figure is the median over the rounds with the spread beside it. A ratio is
taken in each round, so that a machine which is busy for a while is busy for both sides.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import ROOT, Figure, Subject, machine_facts, read_tickets

# Modules of this package; each has a ``measure(subject)`` that returns its figures.
_PARTS = ("in_process", "http_path", "http_parts", "cold_start", "memory", "bulk")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    # One core a process, as the service's workers have; NumPy reads this when it is imported, which is later.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    console = Console(width=None if sys.stdout.isatty() else 120)
    subject = Subject(arguments.model, read_tickets(arguments.tickets), arguments.rounds)
    facts = machine_facts()
    figures: dict[str, list[Figure]] = {}
    for name in arguments.only or _PARTS:
        print(f"measuring {name} ...", file=sys.stderr)
        figures[name] = importlib.import_module(f"benchmarks.{name}").measure(subject)
    if arguments.markdown:
        print(_markdown(figures))
    else:
        _print(console, figures, rounds=arguments.rounds)
    if arguments.output:
        arguments.output.write_text(_document(facts, subject, figures), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=ROOT / "models/v1.0.0", help="version directory (%(default)s)")
    parser.add_argument("--tickets", type=Path, default=ROOT / "data/mock_eval.csv", help="CSV (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contestant (%(default)s)")
    parser.add_argument("--only", action="append", choices=_PARTS, help="a part of it; repeatable")
    parser.add_argument("--output", type=Path, help="JSON file, such as benchmarks/results/model.json")
    parser.add_argument("--markdown", action="store_true", help="print the table for a Markdown page")
    return parser


def _markdown(figures: dict[str, list[Figure]]) -> str:
    lines = ["| what | median | lowest to highest | reach |", "|---|---|---|---|"]
    for figure in (figure for of_part in figures.values() for figure in of_part):
        spread = f"{_number(min(figure.values))} to {_number(max(figure.values))}"
        verdict = {None: "", True: ": reached", False: ": **not reached**"}[figure.is_reached]
        lines.append(
            f"| {figure.name} | {_number(figure.median)} {figure.unit} | {spread} | {_reach(figure)}{verdict} |"
        )
    return "\n".join(lines)


def _print(console: Console, figures: dict[str, list[Figure]], *, rounds: int) -> None:
    table = Table(title=f"medians of {rounds} rounds")
    for heading in ("what", "median", "spread", "unit", "reach", ""):
        table.add_column(heading, justify="right" if heading == "median" else "left", no_wrap=heading != "what")
    for of_part in figures.values():
        for figure in of_part:
            mark = {None: "", True: "reached", False: "[red]not reached[/]"}[figure.is_reached]
            spread = f"{_number(min(figure.values))} to {_number(max(figure.values))}"
            table.add_row(figure.name, _number(figure.median), spread, figure.unit, _reach(figure), mark)
        table.add_section()
    console.print(table)


def _reach(figure: Figure) -> str:
    if figure.at_least is not None:
        return f"at least {figure.at_least:g}"
    return "" if figure.at_most is None else f"at most {figure.at_most:g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits say enough


def _document(facts: dict[str, object], subject: Subject, figures: dict[str, list[Figure]]) -> str:
    mean = sum(ticket.n_characters for ticket in subject.tickets) / len(subject.tickets)
    document = {
        "machine": facts,
        "model_version": subject.model_directory.name,
        "tickets": {"count": len(subject.tickets), "mean_characters": round(mean)},
        "rounds": subject.rounds,
        "figures": {
            part: [
                {
                    "name": figure.name,
                    "unit": figure.unit,
                    "median": figure.median,
                    "values": list(figure.values),
                    "at_least": figure.at_least,
                    "at_most": figure.at_most,
                    "reached": figure.is_reached,
                }
                for figure in of_part
            ]
            for part, of_part in figures.items()
        },
    }
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    sys.exit(main())

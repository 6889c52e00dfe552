"""``scripts/bulk_classify.py`` on large files, against a notebook's loop over the scikit-learn parts."""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from benchmarks.measuring import ROOT, Figure, Subject, Ticket, memory_of_tree, ratios

_MANY, _FEW = 1_000_000, 50_000
_SAMPLE_SECONDS = 0.1
_MAX_SECONDS = 3600.0
_MEGABYTE = 1e6


@dataclass(frozen=True, slots=True)
class Run:
    tickets_per_second: float
    peak_bytes: int


def measure(subject: Subject) -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        few, many = directory / "few.csv", directory / "many.csv"
        _write(few, subject.tickets, _FEW)
        _write(many, subject.tickets, _MANY)
        output, model = directory / "output.csv", str(subject.model_directory.resolve())
        version = ["--models-dir", str(subject.model_directory.resolve().parent)]
        version += ["--version", subject.model_directory.name.removeprefix("v")]
        ours, ours_few, notebook, a_process_a_core = [], [], [], []
        for _ in range(subject.rounds):
            ours.append(_run(["scripts/bulk_classify.py", str(many), "-o", str(output), *version], _MANY))
            ours_few.append(_run(["scripts/bulk_classify.py", str(few), "-o", str(output), *version], _FEW))
            parts = ["-m", "benchmarks.bulk_with_parts", str(few), str(output), model]
            notebook.append(_run([*parts, "1"], _FEW))
            a_process_a_core.append(_run([*parts, "0"], _FEW))
    rates, notebook_rates, all_rates = (
        [run.tickets_per_second for run in runs] for runs in (ours, notebook, a_process_a_core)
    )
    return [
        Figure(f"bulk_classify of {_MANY:,} tickets", "tickets/s", tuple(rates)),
        Figure("the joblib parts in one process", "tickets/s", tuple(notebook_rates)),
        Figure("the joblib parts in a process a core", "tickets/s", tuple(all_rates)),
        Figure("bulk: times the joblib parts' rate in one process", "x", ratios(rates, notebook_rates), at_least=10),
        Figure("bulk: times the joblib parts' rate in a process a core", "x", ratios(rates, all_rates)),
        Figure(f"peak memory for {_MANY:,} tickets", "MB", tuple(run.peak_bytes / _MEGABYTE for run in ours)),
        Figure(
            f"peak memory, times that for {_FEW:,}",
            "x",
            ratios([run.peak_bytes for run in ours], [run.peak_bytes for run in ours_few]),
            at_most=1.3,
        ),
    ]


def _write(path: Path, tickets: Sequence[Ticket], n_tickets: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["title", "description"])
        writer.writerows([ticket.title, ticket.description] for ticket in islice(cycle(tickets), n_tickets))


def _run(arguments: Sequence[str], n_tickets: int) -> Run:
    """Run a Python command from the root; its peak is the largest of regular samples."""
    started_at, peak = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stderr=subprocess.PIPE)
    while process.poll() is None and time.perf_counter() - started_at < _MAX_SECONDS:
        peak = max(peak, memory_of_tree(process.pid))
        try:
            process.wait(_SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    seconds = time.perf_counter() - started_at
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}: {errors.decode()[-500:]}")
    return Run(n_tickets / seconds, peak)

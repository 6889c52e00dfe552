"""What all measurements share: turns that alternate, figures with their spread, and the memory of processes."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from app.tickets.columns import choose_text_columns
from app.tickets.table import read_table

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Ticket:
    title: str
    description: str

    @property
    def n_characters(self) -> int:
        return len(self.title) + len(self.description)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a model version, the tickets it gets, and in how many rounds."""

    model_directory: Path
    tickets: Sequence[Ticket]
    rounds: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: a value a round, and the reach that their median should keep, if there is one."""

    name: str
    unit: str
    values: tuple[float, ...]
    at_least: float | None = None
    at_most: float | None = None

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def is_reached(self) -> bool | None:
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.median >= self.at_least) and (
            self.at_most is None or self.median <= self.at_most
        )

    def as_document(self) -> dict[str, object]:
        """Return the figure as it is kept in a file, with what its values come to."""
        return {**asdict(self), "median": self.median, "reached": self.is_reached}


def read_tickets(path: Path) -> list[Ticket]:
    """Read the columns ``title`` and ``description`` of a file, or one of them; blank tickets are left out."""
    table = read_table(path)
    columns = choose_text_columns(table, {})
    rows = (row.fields for row in table.rows([table.column(name) for name in columns.names]))
    tickets = (Ticket(texts[0] if columns.title else "", texts[-1] if columns.description else "") for texts in rows)
    return [ticket for ticket in tickets if ticket.n_characters]


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor time of ``work``, which is that of the clock where nothing else runs.

    By the clock, a machine that is shared would be unjust: the longer a call is, the more often it is interrupted.
    """
    start = time.thread_time()
    work()
    return time.thread_time() - start


def take_turns(contestants: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each contestant in each round.

    In every round each has its turn, so that a machine which is busy for a while is busy for all of them. The first
    turn of each, which fills caches, does not count.
    """
    for work in contestants.values():
        work()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            seconds[name].append(seconds_of(work))
    return seconds


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Return the ratio of each round."""
    return tuple(n / d for n, d in zip(numerators, denominators, strict=True))


def positive(text: str) -> int:
    """Return a number of rounds, or the like, from an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def memory_of_tree(process_id: int) -> int:
    """Return the bytes of a process and its children, where a page that several have counts once (Linux's PSS)."""
    return sum(_rollup(pid, "Pss:") for pid in (process_id, *_descendants(process_id)))


def resident_memory(process_id: int) -> int:
    """Return the bytes of a process in memory, those included that it shares with others (Linux's RSS)."""
    return _rollup(process_id, "Rss:")


def _rollup(process_id: int, field: str) -> int:
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _descendants(process_id: int) -> list[int]:
    try:
        children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid for child in map(int, children) for pid in (child, *_descendants(child))]

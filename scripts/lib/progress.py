"""How far a command is: a bar on a terminal, a line now and then where the output is a file or a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 10.0

Report = Callable[[int, float], None]


@contextmanager
def show_progress(console: Console) -> Iterator[Report]:
    """Yield ``report(n_tickets, share)``, to be called with the tickets done so far and their share of all, 0 to 1."""
    started_at = time.monotonic()
    if not console.is_terminal:
        yield _lines(console, started_at)
        return
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[note]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("tickets", total=1.0, note="")

        def report(n_tickets: int, share: float) -> None:
            progress.update(task, completed=share, note=_note(n_tickets, started_at))

        yield report


def _lines(console: Console, started_at: float) -> Report:
    printed_at = started_at

    def report(n_tickets: int, share: float) -> None:
        nonlocal printed_at
        if time.monotonic() - printed_at >= _SECONDS_BETWEEN_LINES:
            printed_at = time.monotonic()
            console.print(f"{share:.0%}, {_note(n_tickets, started_at)}", highlight=False)

    return report


def _note(n_tickets: int, started_at: float) -> str:
    rate = n_tickets / max(time.monotonic() - started_at, 1e-9)
    return f"{n_tickets:,} tickets, {rate:,.0f}/s"

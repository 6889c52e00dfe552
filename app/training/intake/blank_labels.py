"""Tickets whose label is blank: how many in which column, and where the first of them is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.tickets.input_error import quoted


class BlankLabels:
    """Counts over the rows of a file; ``columns`` are the file's names of those with labels."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._rows: dict[str, int] = {}
        self._first_row: dict[str, int] = {}
        self.n_tickets = 0

    def count(self, row_number: int, labels: Sequence[str]) -> None:
        """Take a ticket into account of which at least one label is blank."""
        self.n_tickets += 1
        for column, label in zip(self._columns, labels, strict=True):
            if not label.strip():
                self._rows[column] = self._rows.get(column, 0) + 1
                self._first_row.setdefault(column, row_number)

    def complaint(self, path: Path) -> str:
        found = "; ".join(
            f"row {self._first_row[column]}, column {quoted(column)}: the label is blank "
            + ("(1 row)" if n == 1 else f"({n:,} rows, this is the first)")
            for column, n in self._rows.items()
        )
        return f"{path}, {found}; --skip-blank-labels leaves such tickets out"

    def note(self) -> str:
        found = ", ".join(
            f"{n:,} in column {quoted(column)}, first in row {self._first_row[column]}"
            for column, n in self._rows.items()
        )
        return f"{self.n_tickets:,} rows with a blank label were left out: {found}"

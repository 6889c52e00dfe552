"""Tickets whose label is blank: how many in which column and where the first is, and which have no label at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.tickets.input_error import quoted


class BlankLabels:
    """Counts over the rows of a file; ``columns`` are the file's names of those with labels.

    A ticket with a label in another column is learned from for that one; one without any is of no use.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._rows: dict[str, int] = {}
        self._first_row: dict[str, int] = {}
        self._first_without = 0
        self.n_without = 0

    def count(self, row_number: int, labels: Sequence[str]) -> None:
        """Take a ticket into account of which at least one label is blank."""
        if not any(map(str.strip, labels)):
            self.n_without += 1
            self._first_without = self._first_without or row_number
            return
        for column, label in zip(self._columns, labels, strict=True):
            if not label.strip():
                self._rows[column] = self._rows.get(column, 0) + 1
                self._first_row.setdefault(column, row_number)

    def complaint(self, path: Path) -> str:
        """Return what to say of the tickets without any label."""
        first = f"{path}, row {self._first_without}"
        found = "(1 row)" if self.n_without == 1 else f"({self.n_without:,} rows, this is the first)"
        where = (
            f"{first}, column {quoted(self._columns[0])}: the label is blank {found}"
            if len(self._columns) == 1
            else f"{first}: the labels in {_named(self._columns)} are blank {found}"
        )
        return f"{where}; --skip-blank-labels leaves such tickets out"

    def notes(self) -> list[str]:
        notes = [
            f"{n:,} tickets have no label in column {quoted(column)}, first in row {self._first_row[column]}: "
            "they count for the other labels only"
            for column, n in self._rows.items()
        ]
        if self.n_without:
            notes.append(f"{self.n_without:,} rows without any label were left out, first row {self._first_without}")
        return notes


def _named(columns: Sequence[str]) -> str:
    return " and ".join((", ".join(map(quoted, columns[:-1])), quoted(columns[-1])))

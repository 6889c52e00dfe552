"""Rows to tickets: which columns are which, labels in one spelling, and what cannot be trained on, said plainly."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.tickets.columns import Columns, choose_columns
from app.tickets.input_error import InputError, quoted
from app.tickets.table import Table, read_table
from app.training.intake.blank_labels import BlankLabels
from app.training.intake.duplicates import duplicate_notes
from app.training.intake.enough_labels import check_labels
from app.training.intake.label_names import LabelNames, unused_notes

# The row number of a ticket that comes from no file.
NO_ROW = 0


@dataclass(frozen=True, slots=True)
class FeedbackCounts:
    """How many of the tickets people judged, and how many of those are in the file of the data too."""

    n_tickets: int
    n_in_data: int


@dataclass(frozen=True, slots=True, eq=False)
class Tickets:
    """Labelled tickets, column by column; ``labels`` has one list a head, blank where a ticket has no label of it.

    ``groups`` names what must not be torn apart by a split, such as tickets about one situation; ``None`` where the
    file does not say. ``domains`` names where each is from, such as an office or a product, blank where nobody knows.
    ``ids`` are the caller's own, as the file has them. Of both, ``None`` where no column was named for them.
    ``notes`` tell what intake changed or left out.
    """

    titles: list[str]
    descriptions: list[str]
    labels: dict[str, list[str]]
    groups: list[str] | None
    sha256: str
    notes: tuple[str, ...]
    row_numbers: Sequence[int] | None = None
    ids: list[str] | None = None
    feedback: FeedbackCounts | None = None
    domains: list[str] | None = None

    def row_number(self, ticket: int) -> int:
        """Return the row of a ticket in its file, counted from 1 with the header, as a spreadsheet does.

        It is ``NO_ROW`` for a ticket that comes from no file.
        """
        return ticket + 2 if self.row_numbers is None else self.row_numbers[ticket]

    def row_name(self, ticket: int) -> str:
        """Return the row of a ticket for people to read; blank for a ticket that comes from no file."""
        return str(self.row_number(ticket) or "")

    def given_labels(self) -> dict[str, list[str]]:
        """Return the labels of each head, of the tickets that have one."""
        return {head: [label for label in labels if label] for head, labels in self.labels.items()}

    def __len__(self) -> int:
        return len(self.titles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """How a file is to be read.

    ``targets``: the label columns to train; ``None`` for those of ``DEFAULT_TARGETS`` that the file has.
    ``column_map``: our name to the file's, such as ``{"title": "Subject"}``; tickets have ids only where it names "id".
    ``label_map``: the file's label to ours.
    ``group``: the column whose values a split keeps together; ``None`` for ``GROUP_COLUMN``, if the file has it.
    ``domain``: the column of where tickets are from, to measure what a model is worth elsewhere.
    ``skip_blank_labels``: leave out tickets without any label, which are an error otherwise.
    ``for_training=False``: tickets to evaluate on, or to add others to, where one label, or a rare one, is no mistake.
    """

    targets: Sequence[str] | None = None
    column_map: Mapping[str, str] = field(default_factory=dict)
    label_map: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
    domain: str | None = None
    skip_blank_labels: bool = False
    for_training: bool = True


def read_tickets(path: Path, intake: Intake = Intake()) -> Tickets:
    """Read a team's export; raise ``InputError`` for what cannot be used."""
    table = read_table(path)
    columns = choose_columns(
        table, targets=intake.targets, column_map=intake.column_map, group=intake.group, domain=intake.domain
    )
    rows = _Rows(table, columns, intake)
    labels, notes = {}, rows.notes()
    for head, values in rows.labels.items():
        labels[head], spellings = rows.names[head].joined(values)
        notes += spellings
    tickets = Tickets(
        titles=rows.titles,
        descriptions=rows.descriptions,
        labels=labels,
        groups=rows.groups,
        sha256=table.sha256,
        notes=(),
        row_numbers=rows.row_numbers,
        ids=rows.ids,
        domains=rows.domains,
    )
    for head, given in tickets.given_labels().items():
        if not given:
            raise InputError(f"{path}, column {quoted(columns.labels[head])}: no ticket has a label")
    if intake.for_training:
        notes += check_labels(
            labels, lambda head, i: f"{path}, row {rows.row_numbers[i]}, column {quoted(columns.labels[head])}"
        )
        notes += duplicate_notes(zip(rows.titles, rows.descriptions, strict=True), labels, rows.row_numbers)
    return replace(tickets, notes=tuple(notes))


class _Rows:
    """The columns of a file that training needs, filled row by row, with equal labels stored once."""

    def __init__(self, table: Table, columns: Columns, intake: Intake) -> None:
        self.titles: list[str] = []
        self.descriptions: list[str] = []
        self.names = {head: LabelNames(column, intake.label_map) for head, column in columns.labels.items()}
        self.labels: dict[str, list[str]] = {head: [] for head in columns.labels}
        self.groups: list[str] | None = None if columns.group is None else []
        self.ids: list[str] | None = None if columns.ticket_id is None else []
        self.domains: list[str] | None = None if columns.domain is None else []
        self.row_numbers = array("q")
        self._n_blank = 0
        self._blank_labels = BlankLabels(tuple(columns.labels.values()))
        self._table = table
        self._label_map = intake.label_map
        self._read(columns, intake)

    def _read(self, columns: Columns, intake: Intake) -> None:
        others = [(columns.group, self.groups), (columns.domain, self.domains), (columns.ticket_id, self.ids)]
        beside = [(name, values) for name, values in others if name is not None and values is not None]
        named = [*columns.texts.names, *columns.labels.values(), *(name for name, _ in beside)]
        n_texts, n_labels = len(columns.texts.names), len(columns.labels)
        known: dict[str, str] = {}
        for row in self._table.rows([self._table.column(name) for name in named]):
            texts, labels = row.fields[:n_texts], row.fields[n_texts : n_texts + n_labels]
            if not any(map(str.strip, texts)):
                self._n_blank += 1
                continue
            if not all(map(str.strip, labels)):
                self._blank_labels.count(row.number, labels)
                if not any(map(str.strip, labels)):
                    continue
            self.titles.append(texts[0] if columns.texts.title else "")
            self.descriptions.append(texts[-1] if columns.texts.description else "")
            for head, label in zip(columns.labels, labels, strict=True):
                self.labels[head].append(self.names[head].ours(label))
            for (_, values), value in zip(beside, row.fields[n_texts + n_labels :], strict=True):
                values.append(value if values is self.ids else known.setdefault(value, value))
            self.row_numbers.append(row.number)
        if self._blank_labels.n_without and not intake.skip_blank_labels:
            raise InputError(self._blank_labels.complaint(self._table.path))
        if not self.titles:
            raise InputError(self._nothing_left())

    def _nothing_left(self) -> str:
        n_rows = self._n_blank + self._blank_labels.n_without
        if n_rows == 0:
            return f"{self._table.path} has a header and no tickets"
        if self._blank_labels.n_without == 0:
            return f"{self._table.path} has {n_rows} rows, and none has a title or a description"
        return f"{self._table.path} has {n_rows} rows, and none has both text and labels"

    def notes(self) -> list[str]:
        notes = []
        if self._table.encoding == "cp1252":
            notes.append("the file was read as Windows-1252")
        if self._table.delimiter not in {",", None}:
            notes.append(f"the file was read with {self._table.delimiter!r} between the columns")
        if self._n_blank:
            notes.append(f"{self._n_blank} rows without title and description were left out")
        notes += self._blank_labels.notes()
        return [*notes, *unused_notes(self._label_map, self.names.values())]

"""The tickets of an evaluation, what is sent of each, and the labels that it has for the heads of a service."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.tickets.columns import DEFAULT_TARGETS, TextColumns, choose_text_columns, find_column
from app.tickets.input_error import InputError
from app.tickets.name_pairs import TEXT_FIELDS, check_fields
from app.tickets.table import Chunk, Table, read_table
from app.training.intake.label_names import LabelNames

_EMAIL_FIELD = "customer_email"
_ID_FIELD = "id"
FIELDS = (*TEXT_FIELDS, _EMAIL_FIELD, _ID_FIELD)
_TICKETS_IN_CHUNK = 1024
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class LabelledTicket:
    """One row of the file: what is sent, and by head the labels that are not blank."""

    number: int
    ticket_id: str
    document: Mapping[str, str]
    labels: Mapping[str, str]

    @property
    def shown_title(self) -> str:
        """What people know the ticket by: the beginning of its description where it has no title."""
        return self.document["title"].strip() or self.document["description"].strip()[:_SHOWN_CHARACTERS]


@dataclass(frozen=True, slots=True)
class EvaluationFile:
    """A file that was read and found in order, before the service has said which heads it has."""

    table: Table
    chunks: Sequence[Chunk]
    texts: TextColumns
    column_map: Mapping[str, str]

    @classmethod
    def read(cls, path: Path, column_map: Mapping[str, str]) -> EvaluationFile:
        """Raise ``InputError`` for what cannot be used, whatever the heads are."""
        for name, column in column_map.items():
            # Only the service knows all of its heads, but these are none: a misspelt field, and a map the wrong way.
            if column in FIELDS or difflib.get_close_matches(name, set(FIELDS) - {name}, cutoff=0.8):
                check_fields({name: column}, (*FIELDS, *DEFAULT_TARGETS), heads=", or a head of the service")
        table = read_table(path)
        texts = choose_text_columns(table, column_map)
        chunks = list(table.chunks(_TICKETS_IN_CHUNK))
        if not chunks:
            raise InputError(f"{path} has a header and no tickets")
        return cls(table, chunks, texts, column_map)

    def has_column_of(self, head: str) -> bool:
        return find_column(self.table, head, self.column_map) is not None

    def tickets(self, heads: Sequence[str], label_map: Mapping[str, str]) -> list[LabelledTicket]:
        """Return all tickets with their labels of ``heads``; raise ``InputError`` for a map of something else."""
        check_fields(self.column_map, (*FIELDS, *heads))
        found = {head: find_column(self.table, head, self.column_map) for head in heads}
        labels = {head: column for head, column in found.items() if column is not None}
        names = {head: LabelNames(column, label_map) for head, column in labels.items()}
        fields: dict[str, str | None] = {"title": self.texts.title, "description": self.texts.description}
        fields |= {field: find_column(self.table, field, self.column_map) for field in (_EMAIL_FIELD, _ID_FIELD)}
        tickets = []
        for number, record in self._records({**fields, **{f"label {head}": name for head, name in labels.items()}}):
            document = {"title": record["title"], "description": record["description"]}
            if email := record[_EMAIL_FIELD].strip():
                document[_EMAIL_FIELD] = email
            given = {head: record[f"label {head}"].strip() for head in labels}
            ours = {head: names[head].ours(label) for head, label in given.items() if label}
            tickets.append(LabelledTicket(number, record[_ID_FIELD].strip(), document, ours))
        return tickets

    def _records(self, columns: Mapping[str, str | None]) -> Iterator[tuple[int, dict[str, str]]]:
        for chunk in self.chunks:
            texts = [
                [""] * len(chunk) if name is None else self.table.texts(chunk, self.table.column(name))
                for name in columns.values()
            ]
            for number, values in zip(chunk.numbers, zip(*texts, strict=True), strict=True):
                yield number, dict(zip(columns, values, strict=True))

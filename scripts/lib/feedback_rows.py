"""Rows of a helpdesk's export as bodies of feedback, and as batches that the service takes at once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.tickets.columns import find_column
from app.tickets.input_error import InputError, listed
from app.tickets.name_pairs import TEXT_FIELDS, check_fields
from app.tickets.table import Table, read_table
from app.training.intake.label_names import LabelNames

ID_FIELDS = ("id", "ticket_id")
# Half of what the service takes, in rows and in bytes, so that no other limit on the way is met.
_MOST_ROWS = 500
_MOST_BYTES = 1 << 19


@dataclass(frozen=True, slots=True)
class FeedbackRow:
    """What is sent of one row; ``document`` is None for a row that says nothing, for the reason in ``skipped``."""

    number: int
    document: Mapping[str, object] | None
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are sent together, under a key by which the service knows the same batch again."""

    numbers: tuple[int, ...]
    document: Mapping[str, object]

    @property
    def idempotency_key(self) -> str:
        return hashlib.sha256(json.dumps(self.document, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class FeedbackFile:
    """An export whose columns were found: by field, what the file calls it; ``labels`` by head."""

    table: Table
    ticket_id: str | None
    texts: Mapping[str, str]
    labels: Mapping[str, str]
    names: Mapping[str, LabelNames]

    @classmethod
    def read(
        cls,
        path: Path,
        column_map: Mapping[str, str],
        label_map: Mapping[str, str],
        labels_of_heads: Mapping[str, Sequence[str]],
    ) -> FeedbackFile:
        """Raise ``InputError`` for a file that names no tickets, or judges none of the service's heads."""
        check_fields(column_map, (ID_FIELDS[0], *TEXT_FIELDS, *labels_of_heads), heads=", or a head of the service")
        table = read_table(path)
        ids = (find_column(table, field, column_map) for field in ID_FIELDS)
        ticket_id = next((name for name in ids if name is not None), None)
        found = {field: find_column(table, field, column_map) for field in (*TEXT_FIELDS, *labels_of_heads)}
        texts = {field: name for field in TEXT_FIELDS if (name := found[field]) is not None}
        labels = {head: name for head in labels_of_heads if (name := found[head]) is not None}
        if ticket_id is None and not texts:
            raise InputError(
                f"{path}, row 1: nothing names the tickets; the file has {listed(table.columns)}; "
                "say which column has their ids with --map id=COLUMN"
            )
        if not labels:
            raise InputError(
                f"{path}, row 1: no column for a head of the service, which has {listed(labels_of_heads)}; "
                f"the file has {listed(table.columns)}; say which is which with --map HEAD=COLUMN"
            )
        # Labels that differ in case and spaces only are those of the service.
        names = {
            head: LabelNames(column, {**{label: label for label in labels_of_heads[head]}, **label_map})
            for head, column in labels.items()
        }
        return cls(table, ticket_id, texts, labels, names)

    def rows(self, constants: Mapping[str, object]) -> Iterator[FeedbackRow]:
        """Yield every row; each document has ``constants``, too."""
        columns = [*([] if self.ticket_id is None else [self.ticket_id]), *self.texts.values(), *self.labels.values()]
        latest: dict[str, str] = {}
        for row in self.table.rows([self.table.column(name) for name in columns]):
            fields = iter(row.fields)
            ticket_id = "" if self.ticket_id is None else next(fields).strip()
            texts = dict(zip(self.texts, fields, strict=False))
            given = dict(zip(self.labels, row.fields[-len(self.labels) :], strict=True))
            labels = {head: self.names[head].ours(label) for head, label in given.items() if label.strip()}
            has_text = any(map(str.strip, texts.values()))
            if not labels or not (ticket_id or has_text):
                yield FeedbackRow(row.number, None, "no label" if not labels else "nothing names the ticket")
                continue
            document: dict[str, object] = {"labels": labels, **constants}
            if ticket_id:
                document["ticket_id"] = ticket_id
            if has_text:
                document["ticket"] = {field: texts.get(field, "") for field in TEXT_FIELDS}
            ticket, said = ticket_id or json.dumps(document["ticket"]), json.dumps(document)
            if latest.get(ticket) == said:
                yield FeedbackRow(row.number, None, "said by an earlier row")
                continue
            latest[ticket] = said
            yield FeedbackRow(row.number, document)


def batches(rows: Iterable[FeedbackRow]) -> Iterator[Batch]:
    """Put the documents of ``rows`` together in their order, which is that in which they were said."""
    numbers: list[int] = []
    documents: list[Mapping[str, object]] = []
    n_bytes = 0
    for row in rows:
        if row.document is None:
            continue
        size = len(json.dumps(row.document, ensure_ascii=False).encode("utf-8", "replace"))
        if documents and (len(documents) == _MOST_ROWS or n_bytes + size > _MOST_BYTES):
            yield Batch(tuple(numbers), {"feedback": documents})
            numbers, documents, n_bytes = [], [], 0
        numbers.append(row.number)
        documents.append(row.document)
        n_bytes += size
    if documents:
        yield Batch(tuple(numbers), {"feedback": documents})

"""Tickets with their predictions as bytes: lines of CSV or JSON, or Arrow messages to become a Parquet file at the end.

Encoding one chunk needs nothing from the chunks before it, so that chunks can be encoded in several processes.
"""

from __future__ import annotations

import csv
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.models.classifier import HeadColumn
from scripts.lib.text_encoding import TicketFileError
from scripts.lib.ticket_files import (
    DELIMITERS,
    JSON_LINES_SUFFIXES,
    PARQUET_SUFFIX,
    Chunk,
    Records,
    TicketFile,
    as_text,
)

if TYPE_CHECKING:
    import pyarrow as pa

# Beyond this a probability says nothing, and machines begin to differ.
_CONFIDENCE_DIGITS = 6
_TICKETS_IN_ROW_GROUP = 65_536


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How records leave: by the output's suffix; ``columns`` are the input's, ``heads`` and ``version`` the model's."""

    suffix: str
    delimiter: str
    columns: tuple[str, ...]
    heads: tuple[str, ...]
    version: str

    @classmethod
    def choose(cls, source: TicketFile, output: Path, *, heads: tuple[str, ...], version: str) -> OutputFormat:
        """Raise ``TicketFileError`` when the output would have two columns of one name."""
        suffix = output.suffix.lower()
        delimiter = source.delimiter or DELIMITERS[0]
        output_format = cls(suffix, delimiter, source.columns, heads, version)
        for name in output_format.added_columns:
            if name in source.columns:
                raise TicketFileError(_collision(source.path, 1, name))
        if output_format.is_csv:
            return output_format
        for i, name in enumerate(source.columns):
            if name in source.columns[:i]:
                raise TicketFileError(
                    f'{source.path}, row 1: the column "{name}" is there twice; only CSV can keep both'
                )
        return output_format

    @property
    def is_parquet(self) -> bool:
        return self.suffix == PARQUET_SUFFIX

    @property
    def is_csv(self) -> bool:
        return not self.is_parquet and self.suffix not in JSON_LINES_SUFFIXES

    @property
    def added_columns(self) -> tuple[str, ...]:
        a_head = (f"predicted_{head}\n{head}_confidence\n{head}_decision".split("\n") for head in self.heads)
        return (*(name for names in a_head for name in names), "needs_review", "model_version")

    def start(self, source: TicketFile) -> bytes:
        """Return what comes before the first ticket: a CSV header, or Arrow's schema."""
        if self.is_csv:
            return self._csv([[*self.columns, *self.added_columns]])
        if self.is_parquet:
            return bytes(self._schema(source).serialize())
        return b""

    def encode(self, source: TicketFile, chunk: Chunk, predictions: Mapping[str, HeadColumn]) -> bytes:
        """Return the chunk's records, each followed by the predictions of all heads."""
        added = self._added_columns(predictions, len(chunk.titles))
        if self.is_parquet:
            return _arrow_message(self._schema(source), self._batch_columns(source, chunk), added)
        if self.is_csv:
            # Only CSV has no truth values of its own.
            added[-2] = ["true" if needs_review else "false" for needs_review in added[-2]]
            rows = _as_lists(source, self.columns, chunk)
            return self._csv([*row, *values] for row, values in zip(rows, zip(*added, strict=True), strict=True))
        objects = _as_objects(self.columns, chunk.records)
        return b"".join(
            self._json_line(source.path, chunk.first_row + i, record, values)
            for i, (record, values) in enumerate(zip(objects, zip(*added, strict=True), strict=True))
        )

    def _schema(self, source: TicketFile) -> pa.Schema:
        return _arrow_schema(self, source.path if source.is_parquet else None)

    def _added_columns(self, predictions: Mapping[str, HeadColumn], n_tickets: int) -> list[list[Any]]:
        columns: list[list[Any]] = []
        for name in self.heads:
            head = predictions[name]
            columns += [head.labels, [round(p, _CONFIDENCE_DIGITS) for p in head.confidences], head.decisions]
        of_ticket = zip(*(predictions[name].decisions for name in self.heads), strict=True)
        return [*columns, ["review" in decisions for decisions in of_ticket], [self.version] * n_tickets]

    def _csv(self, rows: Iterable[Sequence[object]]) -> bytes:
        lines = _Lines()
        csv.writer(lines, delimiter=self.delimiter, lineterminator="\r\n").writerows(rows)
        return "".join(lines).encode("utf-8", "replace")

    def _json_line(self, path: Path, row: int, record: Mapping[str, object], values: Sequence[object]) -> bytes:
        added = dict(zip(self.added_columns, values, strict=True))
        if twice := record.keys() & added.keys():
            raise TicketFileError(_collision(path, row, min(twice)))
        document = {**record, **added}
        try:
            return (json.dumps(document, ensure_ascii=False, default=str) + "\n").encode()
        except UnicodeEncodeError:
            # A lone surrogate can only stay as the escape that it came as.
            return (json.dumps(document, default=str) + "\n").encode()

    def _batch_columns(self, source: TicketFile, chunk: Chunk) -> list[pa.Array]:
        import pyarrow as pa  # noqa: PLC0415 - only who asks for Parquet waits for this import

        if isinstance(chunk.records, pa.RecordBatch):
            return list(chunk.records.columns)
        rows = _as_lists(source, self.columns, chunk)
        return [pa.array([row[i] for row in rows], pa.string()) for i in range(len(self.columns))]


class _Lines(list[str]):
    """What ``csv.writer`` writes, each record ending with a line feed.

    The writer itself is told CR LF: before Python 3.13 it leaves a field with a carriage return unquoted otherwise.
    """

    def write(self, line: str) -> None:
        self.append(line[:-2] + "\n")


def to_parquet(messages: Path, output: Path) -> None:
    """Turn a file of Arrow messages, as ``start`` and ``encode`` made them, into a Parquet file."""
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.parquet as pq  # noqa: PLC0415

    with (
        pa.OSFile(str(messages), "rb") as file,
        pa.ipc.open_stream(file) as stream,
        pq.ParquetWriter(output, stream.schema, compression="zstd") as writer,
    ):
        waiting: list[pa.RecordBatch] = []
        for batch in stream:
            waiting.append(batch)
            if sum(part.num_rows for part in waiting) >= _TICKETS_IN_ROW_GROUP:
                writer.write_table(pa.Table.from_batches(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting))


@functools.cache
def _arrow_schema(output_format: OutputFormat, parquet_source: Path | None) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.parquet as pq  # noqa: PLC0415

    kept = pa.schema([(name, pa.string()) for name in output_format.columns])
    if parquet_source:
        kept = pq.read_schema(parquet_source)
    types = [pa.string(), pa.float64(), pa.string()] * len(output_format.heads) + [pa.bool_(), pa.string()]
    for name, added_type in zip(output_format.added_columns, types, strict=True):
        kept = kept.append(pa.field(name, added_type))
    return kept


def _arrow_message(schema: pa.Schema, columns: list[pa.Array], added: list[list[Any]]) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - as above

    n_kept = len(columns)
    new = [pa.array(values, schema.field(n_kept + i).type) for i, values in enumerate(added)]
    return bytes(pa.RecordBatch.from_arrays([*columns, *new], schema=schema).serialize())


def _as_lists(source: TicketFile, columns: tuple[str, ...], chunk: Chunk) -> list[list[str]]:
    records = chunk.records
    if not isinstance(records, list):
        texts = [[as_text(value) for value in column.to_pylist()] for column in records.columns]
        return [list(row) for row in zip(*texts, strict=True)]
    rows: list[list[str]] = []
    for i, record in enumerate(records):
        if isinstance(record, list):
            rows.append(record)
            continue
        if unknown := record.keys() - set(columns):
            raise TicketFileError(
                f'{source.path}, row {chunk.first_row + i}: the first object has no "{min(unknown)}", '
                "so the output has no column for it; write JSON lines (-o NAME.jsonl), which can keep it"
            )
        rows.append([as_text(record.get(name)) for name in columns])
    return rows


def _as_objects(columns: tuple[str, ...], records: Records) -> list[dict[str, object]]:
    if not isinstance(records, list):
        rows: list[dict[str, object]] = records.to_pylist()
        return rows
    return [r if isinstance(r, dict) else dict(zip(columns, r, strict=True)) for r in records]


def _collision(path: Path, row: int, name: str) -> str:
    return f'{path}, row {row}: the output would have "{name}" twice; rename or remove that column of the input'

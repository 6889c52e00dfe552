"""Records and what was added to them as bytes: lines of CSV or JSON, or Arrow messages to become Parquet at the end.

Encoding one chunk needs nothing from the chunks before it, so that chunks can be encoded in several processes.
"""

from __future__ import annotations

import codecs
import csv
import functools
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.tickets.file_format import FileFormat, format_of_output
from app.tickets.input_error import InputError, quoted
from app.tickets.table import Chunk, Table, as_text

if TYPE_CHECKING:
    import pyarrow as pa

_MESSAGES_IN_ROW_GROUP = 64
# A spreadsheet would run a cell that begins like this.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def inert(cell: str) -> str:
    """Return a cell with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA_STARTS) else cell


@dataclass(frozen=True, slots=True)
class TableWriter:
    """Writes the records of ``source``, each followed by values for the columns ``added``.

    ``added``: names to ``str``, ``float`` or ``bool``. ``for_excel`` begins CSV with the mark by which Excel
    knows UTF-8, and makes cells inert.
    """

    source: Table
    format: FileFormat
    added: Mapping[str, type] = field(hash=False)
    for_excel: bool = False

    @classmethod
    def choose(cls, source: Table, output: Path, added: Mapping[str, type], *, for_excel: bool = False) -> TableWriter:
        """Choose the format by the suffix of ``output``.

        Raise ``InputError`` when the output would have two columns of one name, which only CSV's own may have.
        """
        writer = cls(source, format_of_output(output), added, for_excel)
        if for_excel and writer.format is not FileFormat.CSV:
            raise InputError(f"{output}: --excel is for CSV; choose a name with .csv")
        for i, name in enumerate(source.columns):
            if name in added:
                raise InputError(
                    f"{source.path}, row 1: the output would have {quoted(name)} twice; "
                    "rename or remove that column of the input"
                )
            if name in source.columns[:i] and writer.format is not FileFormat.CSV:
                raise InputError(
                    f"{source.path}, row 1: the column {quoted(name)} is there twice; only CSV can keep both"
                )
        return writer

    def start(self) -> bytes:
        """Return what comes before the first record: a CSV header, or Arrow's schema."""
        if self.format is FileFormat.CSV:
            mark = codecs.BOM_UTF8 if self.for_excel else b""
            return mark + self._csv([[*self.source.columns, *self.added]])
        return bytes(_arrow_schema(self).serialize()) if self.format is FileFormat.PARQUET else b""

    def encode(self, chunk: Chunk, added: Sequence[list[Any]]) -> bytes:
        """Return the chunk's records; ``added`` has a list of values for each added column."""
        if self.format is FileFormat.PARQUET:
            return self._arrow_message(chunk, added)
        if self.format is FileFormat.CSV:
            # Only CSV has no truth values of its own.
            texts = [
                [str(value).lower() for value in values] if kind is bool else values
                for values, kind in zip(added, self.added.values(), strict=True)
            ]
            rows = zip(self._as_lists(chunk), zip(*texts, strict=True), strict=True)
            return self._csv([*record, *values] for record, values in rows)
        objects = zip(self._as_objects(chunk), zip(*added, strict=True), strict=True)
        return b"".join(
            _json_line({**record, **dict(zip(self.added, values, strict=True))}) for record, values in objects
        )

    def finish(self, messages: Path, output: Path) -> None:
        """Turn a file of Arrow messages, as ``start`` and ``encode`` made them, into a Parquet file."""
        import pyarrow as pa  # noqa: PLC0415 - only who asks for Parquet waits for this import
        import pyarrow.parquet as pq  # noqa: PLC0415

        with (
            pa.OSFile(str(messages), "rb") as file,
            pa.ipc.open_stream(file) as stream,
            pq.ParquetWriter(output, stream.schema, compression="zstd") as writer,
        ):
            batches = iter(stream)
            while group := list(itertools.islice(batches, _MESSAGES_IN_ROW_GROUP)):
                writer.write_table(pa.Table.from_batches(group))

    def _csv(self, rows: Iterable[Sequence[object]]) -> bytes:
        if self.for_excel:
            rows = ([inert(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
        lines = _Lines()
        csv.writer(lines, delimiter=self.source.delimiter or ",", lineterminator="\r\n").writerows(rows)
        return "".join(lines).encode("utf-8", "replace")

    def _arrow_message(self, chunk: Chunk, added: Sequence[list[Any]]) -> bytes:
        import pyarrow as pa  # noqa: PLC0415 - as above

        if isinstance(chunk.records, list):
            rows = self._as_lists(chunk)
            kept = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(self.source.columns))]
        else:
            kept = list(chunk.records.columns)
        schema = _arrow_schema(self)
        new = [pa.array(values, schema.field(len(kept) + i).type) for i, values in enumerate(added)]
        return bytes(pa.RecordBatch.from_arrays([*kept, *new], schema=schema).serialize())

    def _as_lists(self, chunk: Chunk) -> list[list[str]]:
        records = chunk.records
        if not isinstance(records, list):
            texts = [[as_text(value) for value in column.to_pylist()] for column in records.columns]
            return [list(row) for row in zip(*texts, strict=True)]
        return [
            record if isinstance(record, list) else [as_text(record.get(name)) for name in self.source.columns]
            for record in records
        ]

    def _as_objects(self, chunk: Chunk) -> list[dict[str, object]]:
        if not isinstance(chunk.records, list):
            rows: list[dict[str, object]] = chunk.records.to_pylist()
            return rows
        columns = self.source.columns
        return [r if isinstance(r, dict) else dict(zip(columns, r, strict=True)) for r in chunk.records]


class _Lines(list[str]):
    """What ``csv.writer`` writes, each record ending with a line feed.

    The writer itself is told CR LF: before Python 3.13 it leaves a field with a carriage return unquoted otherwise.
    """

    def write(self, line: str) -> None:
        self.append(line[:-2] + "\n")


def _json_line(document: Mapping[str, object]) -> bytes:
    try:
        return (json.dumps(document, ensure_ascii=False, default=str) + "\n").encode()
    except UnicodeEncodeError:
        # A lone surrogate can only stay as the escape that it came as.
        return (json.dumps(document, default=str) + "\n").encode()


@functools.lru_cache(maxsize=1)
def _arrow_schema(writer: TableWriter) -> pa.Schema:
    import pyarrow as pa  # noqa: PLC0415 - as above
    import pyarrow.parquet as pq  # noqa: PLC0415

    source = writer.source
    schema = (
        pq.read_schema(source.path)
        if source.format is FileFormat.PARQUET
        else pa.schema([(name, pa.string()) for name in source.columns])
    )
    types = {str: pa.string(), float: pa.float64(), bool: pa.bool_()}
    for name, kind in writer.added.items():
        schema = schema.append(pa.field(name, types[kind]))
    return schema

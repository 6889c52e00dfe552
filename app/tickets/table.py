"""Files to rows: CSV, JSON lines and Parquet, one row at a time, so that a long file does not have to fit in memory.

Every problem is an ``InputError`` of one line that names file, row and column.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.tickets.text_encoding import InputError, scan

__all__ = ["InputError", "Row", "Table", "read_table"]

_DELIMITERS = ",;\t|"
_MAX_FIELD_CHARACTERS = 10_000_000
_QUOTED = re.compile(r'"[^"]*"')
# The first line by which Excel tells itself the delimiter.
_EXCEL_DELIMITER = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One record: ``number`` counts from 1 with the header, as a spreadsheet does; fields are those asked for."""

    number: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A file of records: its columns, the SHA-256 of its bytes, and how its text is written."""

    path: Path
    columns: tuple[str, ...]
    sha256: str
    encoding: str | None = None
    delimiter: str | None = None

    def find(self, name: str) -> int | None:
        """Return the position of a column, or ``None``; letter case decides only between columns of the same name."""
        same = [i for i, column in enumerate(self.columns) if column == name]
        same = same or [i for i, column in enumerate(self.columns) if column.casefold() == name.casefold()]
        if len(same) > 1:
            raise InputError(f'{self.path}, row 1: the column "{name}" is there {_times(len(same))}')
        return same[0] if same else None

    def column(self, name: str) -> int:
        """Return the position of a column; raise ``InputError`` when the file has none of that name, or several."""
        position = self.find(name)
        if position is None:
            raise InputError(f'{self.path}, row 1: there is no column "{name}"; the file has {self.named_columns()}')
        return position

    def named_columns(self) -> str:
        return ", ".join(f'"{column}"' for column in self.columns)

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        """Read the file and yield the fields at ``positions`` of every record."""
        if self.encoding is None:
            return _parquet_rows(self.path, self.columns, positions)
        if self.delimiter is None:
            return _json_rows(self.path, self.encoding, [self.columns[i] for i in positions])
        return _csv_rows(self, positions)


def read_table(path: Path) -> Table:
    """Open a table by its suffix: ``.parquet``, ``.jsonl`` or ``.ndjson``, anything else as CSV."""
    if path.is_dir():
        raise InputError(f"{path} is a directory; expected a CSV, JSON lines or Parquet file")
    suffix = path.suffix.lower()
    found = scan(path, is_text=suffix != ".parquet")
    if found.encoding is None:
        return Table(path, _parquet_columns(path), found.sha256)
    if suffix in {".jsonl", ".ndjson"}:
        names = dict.fromkeys(name for _, record in _json_records(path, found.encoding) for name in record)
        return Table(path, tuple(names), found.sha256, found.encoding)
    delimiter = _delimiter_of(path, found.encoding)
    _, header = next(_csv_records(path, found.encoding, delimiter))
    return Table(path, tuple(name.strip() for name in header), found.sha256, found.encoding, delimiter)


def _delimiter_of(path: Path, encoding: str) -> str:
    with path.open(encoding=encoding, newline="") as file:
        header = next(line for line in file if line.strip())
    told = _EXCEL_DELIMITER.fullmatch(header)
    if told:
        return told[1]
    bare = _QUOTED.sub("", header)
    return max(_DELIMITERS, key=bare.count)


def _csv_records(path: Path, encoding: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    number = 0
    with path.open(encoding=encoding, newline="") as file:
        start = file.tell()
        if not _EXCEL_DELIMITER.fullmatch(file.readline()):
            file.seek(start)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for number, values in enumerate(reader, start=1):
                if values:
                    yield number, values
        except csv.Error as error:
            raise InputError(f"{path}, row {number + 1}: {error}") from error


def _csv_rows(table: Table, positions: Sequence[int]) -> Iterator[Row]:
    records = _csv_records(table.path, table.encoding or "", table.delimiter or "")
    next(records)
    n_columns = len(table.columns)
    for number, values in records:
        if len(values) != n_columns:
            raise InputError(
                f"{table.path}, row {number}: {len(values)} fields, but the header has {n_columns} columns"
            )
        if values[0].strip() == table.columns[0] and tuple(value.strip() for value in values) == table.columns:
            raise InputError(f"{table.path}, row {number}: the header stands here again, as if it were a ticket")
        yield Row(number, tuple(values[i] for i in positions))


def _json_records(path: Path, encoding: str) -> Iterator[tuple[int, dict[str, object]]]:
    with path.open(encoding=encoding) as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{path}, row {number}: not JSON: {error}") from error
            if not isinstance(record, dict):
                raise InputError(f"{path}, row {number}: expected a JSON object, one a line")
            yield number, record


def _json_rows(path: Path, encoding: str, names: Sequence[str]) -> Iterator[Row]:
    for number, record in _json_records(path, encoding):
        yield Row(number, tuple(_as_text(path, number, name, record.get(name)) for name in names))


def _parquet_columns(path: Path) -> tuple[str, ...]:
    # Only who trains on Parquet waits for these imports.
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return tuple(pq.read_schema(path).names)
    except pa.ArrowException as error:
        raise InputError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from error


def _parquet_rows(path: Path, columns: Sequence[str], positions: Sequence[int]) -> Iterator[Row]:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    names = [columns[i] for i in positions]
    number = 1
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=list(dict.fromkeys(names))):
                values = {name: batch.column(name).to_pylist() for name in batch.schema.names}
                for record in zip(*(values[name] for name in names), strict=True):
                    number += 1
                    texts = zip(names, record, strict=True)
                    yield Row(number, tuple(_as_text(path, number, name, value) for name, value in texts))
    except pa.ArrowException as error:
        raise InputError(f"{path}, row {number + 1}: not readable: {str(error).splitlines()[0]}") from error


def _as_text(path: Path, number: int, column: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        if "\0" in value:
            raise InputError(f'{path}, row {number}, column "{column}": a NUL character')
        return value
    if isinstance(value, (int, float)):
        return str(value)
    raise InputError(f'{path}, row {number}, column "{column}": expected text, found {type(value).__name__}')


def _times(n: int) -> str:
    return "twice" if n == 2 else f"{n} times"  # noqa: PLR2004 - two

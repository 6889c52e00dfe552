"""Files to records: CSV, JSON, JSON lines and Parquet, some at a time, in memory that does not grow with the file.

Every problem is an ``InputError`` of one line that names file, row and column.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

from app.tickets.csv_records import csv_header, csv_records
from app.tickets.file_format import FileFormat, format_of_file
from app.tickets.input_error import InputError, listed, quoted
from app.tickets.json_records import JsonObject, json_array_records, json_line_records
from app.tickets.parquet_records import parquet_batches, parquet_columns
from app.tickets.text_encoding import scan

if TYPE_CHECKING:
    import pyarrow as pa

Records: TypeAlias = "list[list[str]] | list[JsonObject] | pa.RecordBatch"
_RECORDS_AT_A_TIME = 128


@dataclass(frozen=True, slots=True)
class Row:
    """One record: ``number`` counts from 1 with the header, as a spreadsheet does; fields are those asked for."""

    number: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records as the file has them: lists of CSV, objects of JSON, or a batch of Parquet.

    ``numbers`` are their rows: of JSON lines the lines, of a JSON array the places in it. ``share_read`` is how much
    of the file was read up to here, from 0 to 1.
    """

    numbers: Sequence[int]
    records: Records
    share_read: float

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, slots=True)
class Table:
    """A file of records: its columns, the SHA-256 of its bytes, and how its text is written."""

    path: Path
    format: FileFormat
    columns: tuple[str, ...]
    sha256: str
    encoding: str | None = None
    delimiter: str | None = None

    def find(self, name: str) -> int | None:
        """Return the position of a column, or ``None``; letter case decides only between columns of the same name."""
        same = [i for i, column in enumerate(self.columns) if column == name]
        same = same or [i for i, column in enumerate(self.columns) if column.casefold() == name.casefold()]
        if len(same) > 1:
            times = "twice" if len(same) == 2 else f"{len(same)} times"  # noqa: PLR2004 - two
            raise InputError(f"{self.path}, row 1: the column {quoted(name)} is there {times}")
        return same[0] if same else None

    def column(self, name: str) -> int:
        """Return the position of a column; raise ``InputError`` when the file has none of that name, or several."""
        position = self.find(name)
        if position is None:
            raise InputError(f'{self.path}, row 1: there is no column "{name}"; the file has {listed(self.columns)}')
        return position

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        """Read the file and yield the texts at ``positions`` of every record."""
        for chunk in self.chunks(_RECORDS_AT_A_TIME, only=positions):
            texts = [self.texts(chunk, position) for position in positions]
            for number, fields in zip(chunk.numbers, zip(*texts, strict=True), strict=True):
                yield Row(number, fields)

    def chunks(self, n_records: int, *, skip: int = 0, only: Sequence[int] | None = None) -> Iterator[Chunk]:
        """Yield the records after the first ``skip`` in order, ``n_records`` at a time.

        With ``only``, the columns at other positions may be missing from them.
        """
        if self.format is not FileFormat.PARQUET:
            return self._text_chunks(n_records, skip)
        columns = None if only is None else list(dict.fromkeys(self.columns[i] for i in only))
        batches = parquet_batches(self.path, n_records, skip=skip, columns=columns)
        return (Chunk(range(b.first, b.first + b.records.num_rows), b.records, b.share_read) for b in batches)

    def _text_chunks(self, n_records: int, skip: int) -> Iterator[Chunk]:
        with self.path.open(encoding=self.encoding, newline="") as text:
            size = os.fstat(text.fileno()).st_size
            numbered = itertools.islice(self._text_records(text), skip, None)
            while group := list(itertools.islice(numbered, n_records)):
                # Text that is iterated over does not tell where it is.
                share_read = os.lseek(text.fileno(), 0, os.SEEK_CUR) / size
                records: Records = [record for _, record in group]
                yield Chunk([number for number, _ in group], records, share_read)

    def _text_records(self, text: TextIO) -> Iterator[tuple[int, list[str] | JsonObject]]:
        if self.format is FileFormat.CSV:
            return csv_records(self.path, text, self.columns, self.delimiter or "")
        return _json_records(self.path, self.format, text)

    def texts(self, chunk: Chunk, position: int) -> list[str]:
        """Return one column of a chunk; raise ``InputError`` for a value that is no text, nor a number or a date."""
        if self.format is FileFormat.CSV:
            return [record[position] for record in chunk.records]  # type: ignore[index, misc]
        name = self.columns[position]
        if isinstance(chunk.records, list):
            values = [record.get(name) for record in chunk.records]  # type: ignore[union-attr]
        else:
            values = chunk.records.column(name).to_pylist()
        return [self._text(number, name, value) for number, value in zip(chunk.numbers, values, strict=True)]

    def _text(self, number: int, column: str, value: object) -> str:
        if isinstance(value, (list, dict, bytes)):
            found = type(value).__name__
            raise InputError(f"{self.path}, row {number}, column {quoted(column)}: expected text, found {found}")
        text = as_text(value)
        if "\0" in text:
            raise InputError(f"{self.path}, row {number}, column {quoted(column)}: a NUL character")
        # A lone surrogate is legal in JSON's escapes and in nothing else.
        return text if text.isascii() else text.encode("utf-8", "replace").decode()


def as_text(value: object) -> str:
    """Write one value of a record as text: nothing for null, JSON for what is nested."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (bool, list, dict)) else str(value)


def read_table(path: Path) -> Table:
    """Find out how a file is written and which columns it has; of JSON, those of every object."""
    try:
        file_format = format_of_file(path)
        found = scan(path, is_text=file_format is not FileFormat.PARQUET)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if found.encoding is None:
        return Table(path, file_format, parquet_columns(path), found.sha256)
    with path.open(encoding=found.encoding, newline="") as text:
        if file_format is FileFormat.CSV:
            columns, delimiter = csv_header(path, text)
            return Table(path, file_format, columns, found.sha256, found.encoding, delimiter)
        names = dict.fromkeys(name for _, record in _json_records(path, file_format, text) for name in record)
    if not names:
        raise InputError(f"{path} has no tickets")
    return Table(path, file_format, tuple(names), found.sha256, found.encoding)


def _json_records(path: Path, file_format: FileFormat, text: TextIO) -> Iterator[tuple[int, JsonObject]]:
    return (json_array_records if file_format is FileFormat.JSON_ARRAY else json_line_records)(path, text)

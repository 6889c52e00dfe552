"""Ticket files, read as a stream: CSV, JSON lines and Parquet by suffix, in memory that does not grow with the file.

Every problem is a ``TicketFileError`` of one line that names file, row and column; rows count from 1 with the header,
as a spreadsheet does. What becomes of the tickets is left to the commands.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias, TypeVar

from scripts.lib.text_encoding import TicketFileError, find_encoding

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = ",;\t|"
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
PARQUET_SUFFIX = ".parquet"
TEXT_FIELDS = ("title", "description")
_MAX_FIELD_CHARACTERS = 10_000_000

_Row = TypeVar("_Row")
Records: TypeAlias = "list[list[str]] | list[dict[str, object]] | pa.RecordBatch"


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive tickets: their texts, and their records as read (lists, objects or an Arrow batch, by format).

    ``share_read`` is how much of the file was read up to here, from 0 to 1.
    """

    first_row: int
    share_read: float
    titles: list[str]
    descriptions: list[str]
    records: Records


@dataclass(frozen=True, slots=True)
class TicketFile:
    """A readable file of tickets.

    ``columns`` are the names in the header, for JSON lines those of the first object; ``text_columns`` says which of
    them holds which of ``TEXT_FIELDS``. ``encoding`` and ``delimiter`` are those found; ``sha256`` is of the bytes.
    """

    path: Path
    columns: tuple[str, ...]
    text_columns: Mapping[str, str]
    encoding: str
    delimiter: str
    sha256: str

    @property
    def is_parquet(self) -> bool:
        return self.path.suffix.lower() == PARQUET_SUFFIX

    @property
    def is_json_lines(self) -> bool:
        return self.path.suffix.lower() in JSON_LINES_SUFFIXES

    def chunks(self, n_tickets: int, *, skip: int = 0) -> Iterator[Chunk]:
        """Yield the tickets in order, ``n_tickets`` at a time, after leaving out the first ``skip``."""
        if self.is_parquet:
            return _parquet_chunks(self, n_tickets, skip)
        if self.is_json_lines:
            return _json_chunks(self, n_tickets, skip)
        return _csv_chunks(self, n_tickets, skip)


def open_tickets(path: Path, column_map: Mapping[str, str]) -> TicketFile:
    """Find out how ``path`` is written and where its texts are; raise ``TicketFileError`` when that cannot be.

    ``column_map`` gives the file's name for ours, such as ``{"title": "Subject"}``.
    """
    if path.is_dir():
        raise TicketFileError(f"{path} is a directory; expected a CSV, JSON lines or Parquet file")
    try:
        if path.suffix.lower() == PARQUET_SUFFIX:
            sha256 = _sha256(path)
            encoding, delimiter, columns = "", "", _parquet_columns(path)
        else:
            text_format = find_encoding(path)
            encoding, sha256 = text_format.name, text_format.sha256
            delimiter, columns = _text_columns(path, encoding)
    except OSError as error:
        raise TicketFileError(f"{path} cannot be read: {error.strerror}") from error
    return TicketFile(path, columns, _find_texts(path, columns, column_map), encoding, delimiter, sha256)


def parse_map(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``["title=Subject", ...]``; raise ``TicketFileError`` for anything else."""
    column_map = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not (ours.strip() and equals and theirs.strip()):
            raise TicketFileError(f'--map "{pair}" is not NAME=COLUMN, such as title=Subject')
        column_map[ours.strip()] = theirs.strip()
    return column_map


def as_text(value: object) -> str:
    """Write one value of a record as text: nothing for null, JSON for what is nested."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, (bool, list, dict)) else str(value)


def _find_texts(path: Path, columns: Sequence[str], column_map: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for field in TEXT_FIELDS:
        name = column_map.get(field, field)
        # As in training: letter case decides only between columns of the same name.
        named = [column for column in columns if column == name]
        named = named or [column for column in columns if column.casefold() == name.casefold()]
        if len(named) > 1:
            raise TicketFileError(f'{path}, row 1: the column "{name}" is there twice')
        if named:
            found[field] = named[0]
        elif field in column_map:
            listed = ", ".join(f'"{column}"' for column in columns)
            raise TicketFileError(f'{path}, row 1: there is no column "{name}"; the file has {listed}')
    if not found:
        listed = ", ".join(f'"{column}"' for column in columns)
        raise TicketFileError(
            f'{path}, row 1: there is no column "title" or "description" among {listed}; '
            "say which is which with --map title=COLUMN"
        )
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text_columns(path: Path, encoding: str) -> tuple[str, tuple[str, ...]]:
    with path.open(encoding=encoding, newline="") as text:
        first = next((line for line in text if line.strip()), "")
        if path.suffix.lower() in JSON_LINES_SUFFIXES:
            return "", tuple(_json_object(path, 1, first))
        text.seek(0)
        delimiter = max(DELIMITERS, key=first.count)
        header = next(values for _, values in _csv_rows(path, text, delimiter))
    return delimiter, tuple(name.strip() for name in header)


def _csv_rows(path: Path, text: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    number = 0
    try:
        for number, values in enumerate(csv.reader(text, delimiter=delimiter, strict=True), start=1):
            if values:
                yield number, values
    except csv.Error as error:
        raise TicketFileError(f"{path}, row {number + 1}: {error}") from error


def _csv_chunks(source: TicketFile, n_tickets: int, skip: int) -> Iterator[Chunk]:
    positions = {field: source.columns.index(name) for field, name in source.text_columns.items()}
    with source.path.open(encoding=source.encoding, newline="") as text:
        numbered = _csv_rows(source.path, text, source.delimiter)
        next(numbered)
        complete = (_complete(source, number, values) for number, values in numbered)
        for rows in _grouped(complete, n_tickets, skip):
            records = [values for _, values in rows]
            titles, descriptions = (
                [values[positions[field]] for values in records] if field in positions else [""] * len(records)
                for field in TEXT_FIELDS
            )
            yield Chunk(rows[0][0], _share_read(text), titles, descriptions, records)


def _complete(source: TicketFile, number: int, values: list[str]) -> tuple[int, list[str]]:
    if len(values) != len(source.columns):
        found = f"{len(values)} fields, but the header has {len(source.columns)} columns"
        raise TicketFileError(f"{source.path}, row {number}: {found}")
    return number, values


def _grouped(rows: Iterator[_Row], size: int, skip: int) -> Iterator[list[_Row]]:
    kept = itertools.islice(rows, skip, None)
    while group := list(itertools.islice(kept, size)):
        yield group


def _share_read(text: TextIO) -> float:
    # Text that is iterated over does not tell where it is.
    return os.lseek(text.fileno(), 0, os.SEEK_CUR) / os.fstat(text.fileno()).st_size


def _json_object(path: Path, number: int, line: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TicketFileError(f"{path}, row {number}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise TicketFileError(f"{path}, row {number}: expected a JSON object, one a line")
    return record


def _json_chunks(source: TicketFile, n_tickets: int, skip: int) -> Iterator[Chunk]:
    with source.path.open(encoding=source.encoding, newline="\n") as text:
        lines = enumerate(text, start=1)
        for group in _grouped(((number, line) for number, line in lines if line.strip()), n_tickets, skip):
            records = [_json_object(source.path, number, line) for number, line in group]
            titles, descriptions = (
                # A lone surrogate is legal in JSON's escapes and in nothing else.
                [as_text(record.get(name)).encode("utf-8", "replace").decode() for record in records]
                if (name := source.text_columns.get(field))
                else [""] * len(records)
                for field in TEXT_FIELDS
            )
            yield Chunk(group[0][0], _share_read(text), titles, descriptions, records)


def _parquet_columns(path: Path) -> tuple[str, ...]:
    import pyarrow as pa  # noqa: PLC0415 - only who has Parquet waits for this import
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        return tuple(pq.read_schema(path).names)
    except pa.ArrowException as error:
        raise TicketFileError(f"{path} is not a Parquet file: {str(error).splitlines()[0]}") from error


def _parquet_chunks(source: TicketFile, n_tickets: int, skip: int) -> Iterator[Chunk]:
    import pyarrow.parquet as pq  # noqa: PLC0415 - as above

    first_row = 2
    with pq.ParquetFile(source.path, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=n_tickets):
            kept = batch.slice(min(batch.num_rows, max(0, skip - (first_row - 2))))
            if kept.num_rows:
                titles, descriptions = (
                    [as_text(value) for value in kept.column(source.text_columns[field]).to_pylist()]
                    if field in source.text_columns
                    else [""] * kept.num_rows
                    for field in TEXT_FIELDS
                )
                share_read = (first_row - 2 + batch.num_rows) / file.metadata.num_rows
                yield Chunk(first_row + batch.num_rows - kept.num_rows, share_read, titles, descriptions, kept)
            first_row += batch.num_rows

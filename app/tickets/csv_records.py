"""Records of CSV: the delimiter that a header has, or that Excel's first line tells, and rows that are complete."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from app.tickets.input_error import InputError

_DELIMITERS = ",;\t|"
_MAX_FIELD_CHARACTERS = 10_000_000
_QUOTED = re.compile(r'"[^"]*"')
_EXCEL_DELIMITER = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)


def csv_header(path: Path, text: TextIO) -> tuple[tuple[str, ...], str]:
    """Return the columns without the spaces around them, and the delimiter; ``text`` is at its beginning."""
    first = next(line for line in text if line.strip())
    text.seek(0)
    told = _EXCEL_DELIMITER.fullmatch(first)
    delimiter = told[1] if told else max(_DELIMITERS, key=_QUOTED.sub("", first).count)
    _, columns = next(_rows(path, text, delimiter))
    return tuple(name.strip() for name in columns), delimiter


def csv_records(path: Path, text: TextIO, columns: tuple[str, ...], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of each row after the header, which is row 1; blank rows count."""
    rows = _rows(path, text, delimiter)
    next(rows)
    n_columns, first = len(columns), columns[0]
    for number, values in rows:
        if len(values) != n_columns:
            raise InputError(f"{path}, row {number}: {len(values)} fields, but the header has {n_columns} columns")
        if values[0].strip() == first and tuple(value.strip() for value in values) == columns:
            raise InputError(f"{path}, row {number}: the header stands here again, as if it were a ticket")
        yield number, values


def _rows(path: Path, text: TextIO, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    start = text.tell()
    if not _EXCEL_DELIMITER.fullmatch(text.readline()):
        text.seek(start)
    number = 0
    try:
        for number, values in enumerate(csv.reader(text, delimiter=delimiter, strict=True), start=1):
            if values:
                yield number, values
    except csv.Error as error:
        raise InputError(f"{path}, row {number + 1}: {error}") from error

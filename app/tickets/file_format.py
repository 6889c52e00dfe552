"""What kind of file it is: by its suffix, and by how it begins where that says otherwise."""

from __future__ import annotations

import codecs
import re
from enum import StrEnum
from pathlib import Path

from app.tickets.input_error import InputError

_READ_BYTES = 4096
_JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")
_SPREADSHEET_SUFFIXES = (".xlsx", ".xlsm", ".xls", ".ods")
_PARQUET_START = b"PAR1"
# A Zip archive, which new spreadsheets are, and the container of old ones.
_SPREADSHEET_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
_JSON_ARRAY_START = re.compile(rb"\[\s*[{\]]")
_JSON_OBJECT_START = re.compile(rb'\{\s*"')


class FileFormat(StrEnum):
    """``JSON_ARRAY`` is one array of objects in a whole file, ``JSON_LINES`` has an object a line."""

    CSV = "csv"
    JSON_ARRAY = "json"
    JSON_LINES = "jsonl"
    PARQUET = "parquet"


def format_of_file(path: Path) -> FileFormat:
    """Return the format of a file that exists; raise ``InputError`` for what cannot be read as tickets."""
    if path.is_dir():
        raise InputError(f"{path} is a directory; expected a CSV, JSON, JSON lines or Parquet file")
    with path.open("rb") as file:
        start = file.read(_READ_BYTES)
    suffix = path.suffix.lower()
    if start and (suffix in _SPREADSHEET_SUFFIXES or start.startswith(_SPREADSHEET_STARTS)):
        raise InputError(f"{path} is a spreadsheet or an archive; save it as CSV")
    if start.startswith(_PARQUET_START):
        return FileFormat.PARQUET
    if suffix == ".parquet":
        raise InputError(f"{path} is not a Parquet file" if start else f"{path} is empty")
    return _text_format(suffix, start.removeprefix(codecs.BOM_UTF8).lstrip())


def _text_format(suffix: str, start: bytes) -> FileFormat:
    if _JSON_ARRAY_START.match(start) or (suffix == ".json" and start.startswith(b"[")):
        return FileFormat.JSON_ARRAY
    if _JSON_OBJECT_START.match(start) or suffix in _JSON_SUFFIXES:
        return FileFormat.JSON_LINES
    return FileFormat.CSV


def format_of_output(path: Path) -> FileFormat:
    """Return the format in which to write ``path``; raise ``InputError`` for a suffix that promises another."""
    suffix = path.suffix.lower()
    if suffix in _SPREADSHEET_SUFFIXES:
        raise InputError(f"{path}: a spreadsheet cannot be written; choose a name with .csv, and --excel")
    if suffix == ".json":
        raise InputError(f"{path}: a JSON array cannot be written piece by piece; choose a name with .jsonl")
    if suffix in _JSON_SUFFIXES:
        return FileFormat.JSON_LINES
    return FileFormat.PARQUET if suffix == ".parquet" else FileFormat.CSV

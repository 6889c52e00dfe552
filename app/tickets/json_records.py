"""Records of JSON, an object a line or one array of them, read a piece at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from app.tickets.input_error import InputError

JsonObject = dict[str, object]
_BLOCK_CHARACTERS = 1 << 16
_MAX_OBJECT_CHARACTERS = 10_000_000
_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def json_line_records(path: Path, text: TextIO) -> Iterator[tuple[int, JsonObject]]:
    """Yield line number and object of each line that is not blank."""
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise _not_json(path, number, error) from error
        if not isinstance(record, dict):
            raise InputError(f"{path}, row {number}: expected a JSON object, one a line")
        yield number, record


def json_array_records(path: Path, text: TextIO) -> Iterator[tuple[int, JsonObject]]:
    """Yield place, counted from 1, and object of each element."""
    unread = _Unread(text)
    unread.skip("[")
    number = 0
    while unread.next_character() != "]":
        number += 1
        if number > 1 and not unread.skip(","):
            raise InputError(f"{path}, row {number}: not JSON: expected a comma or the end of the array before it")
        if unread.next_character() != "{":
            raise InputError(f"{path}, row {number}: expected a JSON object, each an element of the array")
        try:
            record = unread.next_object()
        except (ValueError, RecursionError) as error:
            raise _not_json(path, number, error) from error
        yield number, record
    unread.skip("]")
    if unread.next_character():
        raise InputError(f"{path}, row {number}: there is text after the end of the array")


class _Unread:
    """The part of a text that is not parsed yet, of which only a little is in memory."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._content = ""
        self._at = 0

    def next_character(self) -> str:
        """Return the next character that is no space, nothing at the end."""
        while True:
            space = _SPACE.match(self._content, self._at)
            self._at = space.end() if space else self._at
            if self._at < len(self._content):
                return self._content[self._at]
            if not self._read_more():
                return ""

    def skip(self, character: str) -> bool:
        is_there = self.next_character() == character
        self._at += is_there
        return is_there

    def next_object(self) -> JsonObject:
        while True:
            try:
                record: JsonObject
                record, self._at = _DECODER.raw_decode(self._content, self._at)
            except json.JSONDecodeError:
                # Wrong, or not read to its end.
                if len(self._content) - self._at > _MAX_OBJECT_CHARACTERS or not self._read_more():
                    raise
            else:
                return record

    def _read_more(self) -> bool:
        rest = self._content[self._at :]
        # As much again as there is, so that a long object is not parsed from its beginning too often.
        block = self._text.read(max(_BLOCK_CHARACTERS, len(rest)))
        self._content, self._at = rest + block, 0
        return bool(block)


def _not_json(path: Path, number: int, error: Exception) -> InputError:
    return InputError(f"{path}, row {number}: not JSON: {getattr(error, 'msg', error)}")

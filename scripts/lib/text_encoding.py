"""Which encoding a text file is in, found in one pass over its bytes; its rows are left to ``ticket_files``."""

from __future__ import annotations

import codecs
import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 1 << 20
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UNDEFINED_IN_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_ESCAPED_BYTE = re.compile(r"[\udc80-\udcff]")


class TicketFileError(Exception):
    """Input that cannot be used; the message is one line for the person who has to mend it."""


@dataclass(frozen=True, slots=True)
class TextFormat:
    """``name`` is ``utf-8-sig`` or ``cp1252``; ``sha256`` is of the file's bytes."""

    name: str
    sha256: str


def find_encoding(path: Path) -> TextFormat:
    """Tell UTF-8, with or without a byte order mark, from Windows-1252; raise ``TicketFileError`` for anything else."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    n_lines = 0
    is_blank = is_utf8 = True
    for block in _blocks(path):
        if is_blank and block.startswith(_UTF16_MARKS):
            raise TicketFileError(f"{path} is UTF-16; save it as UTF-8")
        if b"\0" in block:
            row = n_lines + block.count(b"\n", 0, block.index(b"\0")) + 1
            raise TicketFileError(f"{path}, row {row}: a NUL byte; the file is damaged or not text")
        digest.update(block)
        is_blank = is_blank and not block.strip()
        n_lines += block.count(b"\n")
        is_utf8 = is_utf8 and _decodes(decoder, block)
    if is_blank:
        raise TicketFileError(f"{path} is empty; expected a header and one ticket a row")
    if is_utf8 and _decodes(decoder, b"", final=True):
        return TextFormat("utf-8-sig", digest.hexdigest())
    return TextFormat(_cp1252_or_error(path), digest.hexdigest())


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final=final)
    except UnicodeDecodeError:
        return False
    return True


def _cp1252_or_error(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    n_lines = n_correct = n_damaged = damaged_row = 0
    is_cp1252 = True
    for block in itertools.chain(_blocks(path), [b""]):
        text = decoder.decode(block, final=not block)
        damaged = [match.start() for match in _ESCAPED_BYTE.finditer(text)]
        if damaged and not n_damaged:
            damaged_row = n_lines + text.count("\n", 0, damaged[0]) + 1
        n_damaged += len(damaged)
        n_correct += len(_NOT_ASCII.findall(text)) - len(damaged)
        n_lines += text.count("\n")
        is_cp1252 = is_cp1252 and not _UNDEFINED_IN_CP1252.search(block)
    # Windows-1252 almost never reads as UTF-8 by accident: correct sequences mean UTF-8 with damage.
    if is_cp1252 and n_correct < n_damaged:
        return "cp1252"
    raise TicketFileError(f"{path}, row {damaged_row}: neither UTF-8 nor Windows-1252; save the file as UTF-8")

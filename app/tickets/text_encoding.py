"""How the bytes of an export are to be read: UTF-8, with or without a byte order mark, or Windows-1252.

Every byte is looked at, a block at a time. A guess from a sample would be wrong about the file whose one accent comes
late, and a detector of all the world's encodings takes short texts of one for another.
"""

from __future__ import annotations

import codecs
import hashlib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.tickets.input_error import InputError

_BLOCK_BYTES = 1 << 20
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_ESCAPED_BYTE = re.compile(r"[\udc80-\udcff]")
_UNDEFINED_IN_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


@dataclass(frozen=True, slots=True)
class FileScan:
    """The SHA-256 of a file, and the encoding of its text; ``None`` for a file that is not text."""

    sha256: str
    encoding: str | None


def scan(path: Path, *, is_text: bool) -> FileScan:
    """Read the whole file once; raise ``InputError`` for what is empty, damaged or in another encoding."""
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    is_utf8, is_blank, n_lines = True, True, 0
    for block in _blocks(path):
        digest.update(block)
        if is_text:
            _check_text(path, block, n_lines, is_first=is_blank)
            n_lines += block.count(b"\n")
            is_utf8 = is_utf8 and _decodes(decoder, block)
        is_blank = is_blank and not block.strip()
    if is_blank:
        raise InputError(f"{path} is empty; expected a header and one ticket a row")
    if not is_text:
        return FileScan(digest.hexdigest(), None)
    is_utf8 = is_utf8 and _decodes(decoder, b"", final=True)
    return FileScan(digest.hexdigest(), "utf-8-sig" if is_utf8 else _cp1252_or_error(path))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _check_text(path: Path, block: bytes, n_lines: int, *, is_first: bool) -> None:
    if is_first and block.startswith(_UTF16_MARKS):
        raise InputError(f"{path} is UTF-16; save it as UTF-8")
    if b"\0" in block:
        row = n_lines + block.count(b"\n", 0, block.index(b"\0")) + 1
        raise InputError(f"{path}, row {row}: a NUL byte; the file is damaged or not text")


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final=final)
    except UnicodeDecodeError:
        return False
    return True


def _cp1252_or_error(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    n_lines = n_correct = n_damaged = 0
    not_utf8 = not_cp1252 = ""
    for block in itertools.chain(_blocks(path), [b""]):
        if not not_cp1252 and (undefined := _UNDEFINED_IN_CP1252.search(block)):
            row = n_lines + block.count(b"\n", 0, undefined.start()) + 1
            not_cp1252 = f"row {row}: byte 0x{undefined[0].hex()}"
        text = decoder.decode(block, final=not block)
        damaged = list(_ESCAPED_BYTE.finditer(text))
        if damaged and not not_utf8:
            row = n_lines + text.count("\n", 0, damaged[0].start()) + 1
            not_utf8 = f"row {row}: byte 0x{ord(damaged[0][0]) - 0xDC00:02x}"
        n_damaged += len(damaged)
        n_correct += len(_NOT_ASCII.findall(text)) - len(damaged)
        n_lines += block.count(b"\n")
    # Windows-1252 almost never reads as UTF-8 by accident: correct sequences mean UTF-8 with damage.
    wrong = not_cp1252 if n_correct < n_damaged else not_utf8
    if wrong:
        raise InputError(f"{path}, {wrong} is neither UTF-8 nor Windows-1252; save the file as UTF-8")
    return "cp1252"

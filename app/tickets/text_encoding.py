"""How the bytes of an export are to be read: UTF-8, with or without a byte order mark, or Windows-1252."""

from __future__ import annotations

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path

_BLOCK_BYTES = 1 << 20
_SURROGATES = range(0xDC80, 0xDD00)


class InputError(Exception):
    """Input that cannot be trained on; the message is one line for the person who has to mend it."""


@dataclass(frozen=True, slots=True)
class FileScan:
    """The SHA-256 of a file, and the encoding of its text; ``None`` for a file that is not text."""

    sha256: str
    encoding: str | None


def scan(path: Path, *, is_text: bool) -> FileScan:
    """Read the whole file once, a block at a time.

    Raise ``InputError`` for what is empty, damaged or in another encoding.
    """
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    is_utf8, is_blank, n_lines = True, True, 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                if is_text and is_blank and block.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise InputError(f"{path} is UTF-16; save it as UTF-8")
                is_blank = is_blank and not block.strip()
                digest.update(block)
                if not is_text:
                    continue
                if b"\0" in block:
                    row = n_lines + block.count(b"\n", 0, block.index(b"\0")) + 1
                    raise InputError(f"{path}, row {row}: a NUL byte; the file is damaged or not text")
                n_lines += block.count(b"\n")
                is_utf8 = is_utf8 and _decodes(decoder, block, is_last=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if is_blank:
        raise InputError(f"{path} is empty; expected a header and one ticket a row")
    if not is_text:
        return FileScan(digest.hexdigest(), None)
    is_utf8 = is_utf8 and _decodes(decoder, b"", is_last=True)
    return FileScan(digest.hexdigest(), "utf-8-sig" if is_utf8 else _other_encoding(path))


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, is_last: bool) -> bool:
    try:
        decoder.decode(block, is_last)
    except UnicodeDecodeError:
        return False
    return True


def _other_encoding(path: Path) -> str:
    content = path.read_bytes()
    # Windows-1252 almost never reads as UTF-8 by accident: correct sequences mean UTF-8 with damage.
    escaped = content.decode("utf-8", errors="surrogateescape")
    n_damaged = sum(ord(character) in _SURROGATES for character in escaped)
    n_correct = sum(not character.isascii() for character in escaped) - n_damaged
    encoding = "cp1252" if n_correct < n_damaged else "utf-8"
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        row, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        raise InputError(
            f"{path}, row {row}: byte 0x{byte:02x} is neither UTF-8 nor Windows-1252; save the file as UTF-8"
        ) from error
    return encoding

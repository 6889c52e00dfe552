"""Ticket text without what is not the ticket: markup, quoted replies, signatures. Training and serving share it.

Every step takes time linear in the text, whatever the text is: nothing here searches the rest of the text more than
once for each kind of thing it looks for.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Sequence

_INVISIBLE_START = re.compile(r"<!--|<(?:style|script)\b", re.IGNORECASE)
_INVISIBLE_END = {"<!--": re.compile("-->")} | {
    f"<{name}": re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in ("style", "script")
}
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<![^<>]*>")
# Where a mail client puts the earlier mail or a signature; everything from there on is no part of the ticket.
_END_OF_TICKET = re.compile(
    r"(?:on\b.{0,200}\bwrote:|am\b.{0,200}\bschrieb\b.{0,80}:|le\b.{0,200}\ba écrit\s?:|el\b.{0,200}\bescribió:"
    r"|-{2,} ?(?:original message|forwarded message|ursprüngliche nachricht|message d'origine).{0,40}"
    r"|_{10,}|from: .{0,200}"
    r"|--|—|sent from my .{0,60}|get outlook for .{0,20}|von meinem .{0,40} gesendet)",
    re.IGNORECASE,
)
# Only lines that begin like one of the above are compared with it: asking that first costs a tenth.
_FIRST_CHARACTERS = frozenset("-—_oOaAlLeEfFsS\u017fgGvV")
# Normalisation sorts a run of combining marks by insertion, so a run of n costs n * n. The limit of 30 is that of the
# Stream-Safe Text Format, UAX #15 section 13. Marks are neither word characters nor space; nor are runs of dashes,
# which mean nothing more when they are longer.
LONG_RUN = re.compile(r"([^\w\s]{30})[^\w\s]+")
_PIECE_CHARACTERS = 1000


# Half of all writers leave apostrophes out: "can't" and "cant" are one word, and "can" is another.
APOSTROPHES = ("'", "\u2019")


def clean(text: str) -> str:
    """Return the words of the writer, in lower case, compatibility-composed (NFKC) and without apostrophes.

    Text that is nothing but markup, quotes or a signature is kept: somebody may have meant it.
    """
    for step in STEPS:
        text = step(text)
    return text


def composed(text: str) -> str:
    if text.isascii():
        return text
    composable = LONG_RUN.sub(r"\1", text)
    if unicodedata.is_normalized("NFKC", composable):
        return composable
    # One character can become eighteen; text made of such characters is no ticket, and must not cost eighteen times.
    for start in range(0, len(composable), _PIECE_CHARACTERS):
        piece = composable[start : start + _PIECE_CHARACTERS]
        if len(unicodedata.normalize("NFKC", piece)) > 2 * len(piece):
            return text
    return unicodedata.normalize("NFKC", composable)


def without_markup(text: str) -> str:
    if "<" not in text or ">" not in text:
        return text
    invisible = invisible_elements(text)
    stripped = TAG.sub(" ", _with_spaces_for(invisible, text) if invisible else text)
    return stripped if stripped.strip() else text


def without_entities(text: str) -> str:
    return html.unescape(text) if "&" in text else text


def without_quotes_and_signature(text: str) -> str:
    if "\n" not in text:
        return text
    lines = text.splitlines()
    stripped = "\n".join([lines[i] for i in lines_of_ticket(lines)])
    return stripped if stripped.strip() else text


def in_lower_case(text: str) -> str:
    return text.lower()


def without_apostrophes(text: str) -> str:
    return text.replace(APOSTROPHES[0], "").replace(APOSTROPHES[1], "")


STEPS = (
    composed,
    without_markup,
    without_entities,
    without_quotes_and_signature,
    in_lower_case,
    without_apostrophes,
)


def invisible_elements(text: str) -> list[tuple[int, int]]:
    """Return from where to where comments, styles and scripts reach that are closed."""
    elements, position = [], 0
    never_closed: set[str] = set()
    for start in _INVISIBLE_START.finditer(text):
        kind = start.group().lower()
        if start.start() < position or kind in never_closed:
            continue
        end = _INVISIBLE_END[kind].search(text, start.end())
        if end is None:
            never_closed.add(kind)
            continue
        position = end.end()
        elements.append((start.start(), position))
    return elements


def _with_spaces_for(elements: Sequence[tuple[int, int]], text: str) -> str:
    ends = [0, *(end for _, end in elements)]
    starts = [*(start for start, _ in elements), len(text)]
    return " ".join([text[end:start] for end, start in zip(ends, starts, strict=True)])


def lines_of_ticket(lines: Sequence[str]) -> list[int]:
    """Return which lines are neither quoted nor come after the beginning of an earlier mail or a signature."""
    kept = []
    for number, line in enumerate(lines):
        bare = line.strip()
        if bare[:1] in _FIRST_CHARACTERS and _END_OF_TICKET.fullmatch(bare):
            break
        if not bare.startswith((">", "|")):
            kept.append(number)
    return kept

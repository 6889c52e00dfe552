"""Cleaning that remembers: for each character of the cleaned text, from where in the text as it was sent it comes.

The text is that of the steps of ``app.models.cleaning``, which are run one by one; here is only what each of them has
replaced. A word of the cleaned text can so be shown in the ticket that somebody wrote.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType
from typing import NamedTuple

from app.models import cleaning

# Composition never takes place across the beginning of an ASCII character.
_MAY_BE_COMPOSED = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]+")
_ENTITY_AND_MORE = re.compile(r"&[^&]+")
_APOSTROPHE = re.compile("[" + "".join(cleaning.APOSTROPHES) + "]")


@dataclass(frozen=True, slots=True)
class Traced:
    """A text, and from where to where in its source each of its characters comes; several may come from one."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


class _Edit(NamedTuple):
    """What stands for the characters from ``start`` to ``end``, of which there is at least one."""

    start: int
    end: int
    text: str


_FindEdits = Callable[[str], Iterable[_Edit]]


def trace(source: str) -> Traced:
    """Return the text of ``clean`` with where it comes from."""
    text = source
    starts: Sequence[int] = range(len(source))
    ends: Sequence[int] = range(1, len(source) + 1)
    for step in cleaning.STEPS:
        after = step(text)
        # A step that gives the text back as it was may have thought of edits, and thought better of it.
        if after != text and (step is not cleaning.in_lower_case or len(after) != len(text)):
            traced = _edited(Traced(text, starts, ends), _EDITS[step], after)
            starts, ends = traced.starts, traced.ends
        text = after
    return Traced(text, starts, ends)


def _edited(before: Traced, edits: Sequence[_FindEdits], after: str) -> Traced:
    traced = before
    for find in edits:
        traced = _applied(find(traced.text), traced)
    if len(traced.text) == len(after) and traced.text.lower() == after.lower():
        return traced
    # Nothing is known to come here. Were it not so, a span would be too long, rather than an answer an error.
    return _applied([_Edit(0, len(before.text), after)], before)


def _applied(edits: Iterable[_Edit], traced: Traced) -> Traced:
    parts: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    for edit in edits:
        parts += (traced.text[position : edit.start], edit.text)
        starts += traced.starts[position : edit.start]
        ends += traced.ends[position : edit.start]
        starts += repeat(traced.starts[edit.start], len(edit.text))
        ends += repeat(traced.ends[edit.end - 1], len(edit.text))
        position = edit.end
    if position == 0:
        return traced
    parts.append(traced.text[position:])
    starts += traced.starts[position:]
    ends += traced.ends[position:]
    return Traced("".join(parts), starts, ends)


def _long_runs(text: str) -> Iterator[_Edit]:
    for run in cleaning.LONG_RUN.finditer(text):
        yield _Edit(run.end(1), run.end(), "")


def _compositions(text: str) -> Iterator[_Edit]:
    """Find the shortest pieces whose compositions together are that of the text."""
    compose = unicodedata.normalize
    for run in _MAY_BE_COMPOSED.finditer(text):
        start, piece, composition = run.start(), "", ""
        for place in range(run.start(), run.end()):
            alone = compose("NFKC", text[place])
            longer = piece + text[place]
            if composition and _begins_anew(text[place]) and compose("NFKC", longer) == composition + alone:
                if composition != piece:
                    yield _Edit(start, place, composition)
                start, piece, composition = place, text[place], alone
            else:
                piece, composition = longer, compose("NFKC", longer)
        if composition != piece:
            yield _Edit(start, run.end(), composition)


def _begins_anew(character: str) -> bool:
    """Say whether no mark that follows can be put in order, or composed, with what stands before ``character``."""
    return unicodedata.combining(unicodedata.normalize("NFKD", character)[0]) == 0


def _invisible_elements(text: str) -> Iterator[_Edit]:
    for start, end in cleaning.invisible_elements(text):
        yield _Edit(start, end, " ")


def _tags(text: str) -> Iterator[_Edit]:
    for tag in cleaning.TAG.finditer(text):
        yield _Edit(tag.start(), tag.end(), " ")


def _entities(text: str) -> Iterator[_Edit]:
    # An entity ends before the next ampersand; what follows it there is the same before and after.
    for found in _ENTITY_AND_MORE.finditer(text):
        before, after = found.group(), html.unescape(found.group())
        if before != after:
            n_same = _common_suffix(before, after)
            yield _Edit(found.start(), found.end() - n_same, after[: len(after) - n_same])


def _common_suffix(one: str, other: str) -> int:
    most = min(len(one), len(other))
    return next((n for n in range(most) if one[-1 - n] != other[-1 - n]), most)


def _lines(text: str) -> Iterator[_Edit]:
    """Find what stands between the lines that are kept, which is a line break afterwards, and around all of them."""
    lines, with_breaks = text.splitlines(), text.splitlines(keepends=True)
    line_starts = [0]
    for line in with_breaks:
        line_starts.append(line_starts[-1] + len(line))
    end: int | None = None
    for number in cleaning.lines_of_ticket(lines):
        start = line_starts[number]
        if end is None and start > 0:
            yield _Edit(0, start, "")
        elif end is not None and text[end:start] != "\n":
            yield _Edit(end, start, "\n")
        end = start + len(lines[number])
    if end is not None and end < len(text):
        yield _Edit(end, len(text), "")


def _longer_in_lower_case(text: str) -> Iterator[_Edit]:
    for place, character in enumerate(text):
        lower = character.lower()
        if len(lower) != 1:
            yield _Edit(place, place + 1, lower)


def _apostrophes(text: str) -> Iterator[_Edit]:
    for apostrophe in _APOSTROPHE.finditer(text):
        yield _Edit(apostrophe.start(), apostrophe.end(), "")


_EDITS: Mapping[Callable[[str], str], tuple[_FindEdits, ...]] = MappingProxyType(
    {
        cleaning.composed: (_long_runs, _compositions),
        cleaning.without_markup: (_invisible_elements, _tags),
        cleaning.without_entities: (_entities,),
        cleaning.without_quotes_and_signature: (_lines,),
        cleaning.in_lower_case: (_longer_in_lower_case,),
        cleaning.without_apostrophes: (_apostrophes,),
    }
)

"""The words of a ticket, where in its fields they were written, and the ticket without some of them."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, Self

from app.models.features import MAX_WORD_CHARACTERS, WORD
from app.models.positions import Traced, trace

Field = Literal["title", "description"]


# A tuple, because an explanation has hundreds of them.
class Span(NamedTuple):
    """Code points of a field as it was sent, from ``start`` up to ``end``."""

    field: Field
    start: int
    end: int


_span = partial(tuple.__new__, Span)


@dataclass(frozen=True, slots=True)
class _Written:
    """One field: its words, and the runs of word characters in its cleaned text that they are the beginnings of."""

    text: str
    traced: Traced
    words: list[str]
    runs: list[tuple[int, int]]
    spans: list[Span]

    @classmethod
    def of(cls, name: Field, text: str) -> Self:
        traced = trace(text)
        cleaned, starts, ends = traced.text, traced.starts, traced.ends
        runs = [run.span() for run in WORD.finditer(cleaned)]
        words = [cleaned[start:end] for start, end in runs]
        if words and len(max(words, key=len)) > MAX_WORD_CHARACTERS:
            words = [word[:MAX_WORD_CHARACTERS] for word in words]
        spans = [
            _span((name, starts[start], ends[start + len(word) - 1]))
            for word, (start, _) in zip(words, runs, strict=True)
        ]
        return cls(text, traced, words, runs, spans)

    def without(self, words: Container[str]) -> str:
        kept, position = [], 0
        for word, span, (_, end) in zip(self.words, self.spans, self.runs, strict=True):
            if word in words:
                kept.append(self.text[position : span.start])
                position = max(position, self.traced.ends[end - 1])
        return "".join([*kept, self.text[position:]])


class WrittenWords:
    """``all`` words of a ticket, those of its title first, as in ``features.Words``; their places are in there."""

    def __init__(self, title: str, description: str) -> None:
        self._title, self._description = _Written.of("title", title), _Written.of("description", description)
        self._n_title = len(self._title.words)
        # Of single words.
        self.span_of = self._title.spans + self._description.spans
        self.all = self._title.words + self._description.words

    def spans(self, place: int, n_words: int) -> list[Span]:
        """Return where ``n_words`` are written: in one span as far as nothing but punctuation stands between them."""
        # Nearly always, there is a space between two words of one field.
        first, last = self.span_of[place], self.span_of[place + n_words - 1]
        if n_words == 2 and first.field == last.field and self._between(first, last) == " ":  # noqa: PLR2004
            return [_span((first.field, first.start, last.end))]
        spans = [first]
        for span in self.span_of[place + 1 : place + n_words]:
            before = spans[-1]
            if before.field == span.field and not WORD.search(self._between(before, span)):
                spans[-1] = Span(span.field, before.start, max(before.end, span.end))
            else:
                spans.append(span)
        return spans

    def _between(self, one: Span, other: Span) -> str:
        text = self._title.text if one.field == "title" else self._description.text
        return text[one.end : other.start]

    def characters(self, place: int, start: int, end: int) -> Span:
        """Return where the characters from ``start`` to ``end`` of a word are written."""
        written, at = self._title, place
        if place >= self._n_title:
            written, at = self._description, place - self._n_title
        first, _ = written.runs[at]
        starts, ends = written.traced.starts, written.traced.ends
        return Span(written.spans[at].field, starts[first + start], ends[first + end - 1])

    def without(self, words: Container[str]) -> tuple[str, str]:
        """Return title and description without any of ``words``, however they are written; all else stays."""
        return self._title.without(words), self._description.without(words)

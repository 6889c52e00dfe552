"""What the features of a ticket are in words, and where they were written.

A model does not remember the text of its word n-grams, which would take more memory than all the rest: it is that of
the ticket, at the places where they were found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.models.features import BlockKind
from app.models.lookup import Lookup
from app.models.scorer import TicketTerms
from app.models.written_words import Span, WrittenWords

# A term, its kind, and everywhere it was written; of characters, those within their words.
WrittenTerm = tuple[str, BlockKind, tuple[Span, ...]]


def read_terms(
    ticket: TicketTerms, written: WrittenWords, lookup: Lookup, numbers: Sequence[int]
) -> dict[int, WrittenTerm]:
    """Return the terms of a ticket that have these ``numbers`` among its features."""
    if not numbers:
        return {}
    words, span_of = written.all, written.span_of
    lengths = [len(found.features) for found in ticket.occurrences]
    # The places of all occurrences, those of one feature after the other.
    places = np.concatenate([found.places for found in ticket.occurrences]).take(ticket.order)
    counts = ticket.counts.take(numbers)
    firsts = ticket.counts.cumsum().take(numbers) - counts
    # All occurrences of a feature are in one group, because a term is of one kind and one length.
    groups = np.searchsorted(np.cumsum(lengths), ticket.order.take(firsts), side="right").tolist()
    terms: dict[int, WrittenTerm] = {}
    of_characters: dict[int, list[int]] = {}
    for number, group, first, place, count in zip(
        numbers, groups, firsts.tolist(), places.take(firsts).tolist(), counts.tolist(), strict=True
    ):
        kind, n_words, _, _ = ticket.occurrences[group]
        begins = [place] if count == 1 else places[first : first + count].tolist()
        if kind == "char":
            of_characters[number] = begins
        elif n_words == 1:
            terms[number] = words[place], kind, tuple([span_of[begin] for begin in begins])
        else:
            spans = [span for begin in begins for span in written.spans(begin, n_words)]
            terms[number] = " ".join(words[place : place + n_words]), kind, tuple(spans)
    if of_characters:
        terms |= _read_characters(of_characters, ticket, written, lookup)
    return terms


def _read_characters(
    begins: Mapping[int, Sequence[int]], ticket: TicketTerms, written: WrittenWords, lookup: Lookup
) -> dict[int, WrittenTerm]:
    """Return character n-grams, which are all in the words that ``begins`` names, as often as they are there."""
    number_of = {int(ticket.features[number]): number for number in begins}
    grams = dict.fromkeys(begins, "")
    spans: dict[int, list[Span]] = {number: [] for number in begins}
    for place in sorted({place for places in begins.values() for place in places}):
        word = written.all[place]
        for feature, gram, start in lookup.characters_of(word, number_of):
            number = number_of[feature]
            grams[number] = gram
            # The word was padded with one space on either side, which nobody has written.
            first, end = max(start - 1, 0), min(start - 1 + len(gram), len(word))
            if first < end:
                spans[number].append(written.characters(place, first, end))
    return {number: (gram, "char", tuple(spans[number])) for number, gram in grams.items()}

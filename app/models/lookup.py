"""From the texts of a batch of tickets to the features that they have, and where; what features weigh is the scorer's.

A batch is one sequence of words. Only cutting and numbering them is work for each word; everything after that is done
for all tickets at once, and a single ticket is a batch of one.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import accumulate, repeat
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.models.char_ngrams import CharNGrams, Place
from app.models.features import MAX_WORD_CHARACTERS, BlockKind, spaced_words
from app.models.likeness import least_unseen_idf
from app.models.model_data import ModelData
from app.models.word_index import END_OF_TICKET, FIRST_WORD, UNKNOWN, Found, WordNGrams, number_words

# Bytes that stand after fields as words of their own; cutting turns control characters of a ticket into spaces.
_AFTER_TITLE, _AFTER_TICKET = b"\x01", b"\x02"
_END_OF_TITLE = -1
_PAIR = 2


class Occurrences(NamedTuple):
    """Terms of one kind that stand in a ticket: features ``(n,)`` and the words that they begin with ``(n,)``.

    Each is ``n_words`` long; characters stand within one word. Words are counted through title and description.
    """

    kind: BlockKind
    n_words: int
    places: NDArray[np.int64]
    features: NDArray[np.int32]


class LookedUp(NamedTuple):
    """The words of a batch by number, and what was found among all of them or those of the titles.

    Places count within ``sequence``, in ``titles`` within the words of titles, and in ``everything`` the end of a title
    counts as a word, too.
    """

    sequence: NDArray[np.int64]
    titles: NDArray[np.int64]
    everything: NDArray[np.int64]
    of_words: list[Found]
    of_titles: list[Found]
    of_characters: list[Found]

    @property
    def by_sequence(self) -> list[tuple[NDArray[np.int64], list[Found]]]:
        """Return what was found with the sequence that its places count in."""
        groups = [(self.sequence, self.of_words)]
        if self.of_titles:
            groups.append((self.titles, self.of_titles))
        if self.of_characters:
            groups.append((self.everything, self.of_characters))
        return groups


class Lookup:
    """The vocabularies of a model; immutable to its callers, and safe to share between threads."""

    def __init__(self, model: ModelData) -> None:
        starts = accumulate(map(len, model.terms), initial=0)
        blocks = list(zip(model.features.blocks, model.terms, starts, strict=False))
        numbers = number_words(terms for block, terms, _ in blocks if block.kind != "char")
        self._of_words, self._of_titles = (
            [
                WordNGrams(terms, numbers, block, first_feature=start)
                for block, terms, start in blocks
                if block.kind == kind
            ]
            for kind in ("word", "title")
        )
        self._of_characters = [
            CharNGrams(terms, block, first_feature=start, separators=(_AFTER_TITLE, _AFTER_TICKET))
            for block, terms, start in blocks
            if block.kind == "char"
        ]
        self._is_unknown = np.ones(FIRST_WORD + len(numbers), dtype=np.bool_)
        self._is_unknown[END_OF_TICKET] = False
        # What the words of a table of word vectors say is of use, but no ticket of the training had them.
        least_unseen = np.inf if model.likeness is None else least_unseen_idf(model.likeness.n_tickets)
        for ngrams in self._of_words:
            self._is_unknown &= ~ngrams.has(model.idf < least_unseen)
        lengths = [n for ngrams in self._of_words for n in ngrams.lengths]
        self._pairs = [i for i, n in enumerate(lengths) if n == _PAIR]
        self._numbers = {word.encode(): number for word, number in numbers.items()}
        self._numbers |= {_AFTER_TITLE: _END_OF_TITLE, _AFTER_TICKET: END_OF_TICKET}

        # Where no block asks where the title ends, nothing has to mark it.
        self._after_title = b" %b " % _AFTER_TITLE if self._of_titles else b" "
        self._after_ticket = b" %b " % _AFTER_TICKET

    def find(self, titles: Sequence[str], descriptions: Sequence[str]) -> LookedUp:
        after_title, after_ticket = self._after_title, self._after_ticket
        texts = [
            b"".join((spaced_words(title), after_title, spaced_words(description), after_ticket))
            for title, description in zip(titles, descriptions, strict=True)
        ]
        words = b"".join(texts).split()
        everything = self._numbered(words)
        sequence, only_titles = everything, everything
        of_titles: list[Found] = []
        if self._of_titles:
            sequence, only_titles = everything[everything != _END_OF_TITLE], _only_titles(everything)
            of_titles = [found for ngrams in self._of_titles for found in ngrams.find(only_titles)]
        of_words = [found for ngrams in self._of_words for found in ngrams.find(sequence)]
        of_characters = [ngrams.find(words) for ngrams in self._of_characters]
        return LookedUp(sequence, only_titles, everything, of_words, of_titles, of_characters)

    def is_unknown(self, sequence: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which of ``sequence`` are words that no block knows, or only without a ticket that had them."""
        return self._is_unknown.take(sequence)

    def n_known_pairs(self, found: LookedUp) -> int:
        """Return how many pairs of words of the only ticket the vocabulary has."""
        return sum([len(found.of_words[i][0]) for i in self._pairs])

    def n_known_pairs_of(self, found: LookedUp, n_tickets: int) -> list[int]:
        """Return how many pairs of words of each ticket the vocabulary has."""
        of_ticket = ticket_of(found.sequence)
        counts = np.zeros(n_tickets, dtype=np.int64)
        for i in self._pairs:
            counts += np.bincount(of_ticket.take(found.of_words[i][0]), minlength=n_tickets)
        n_pairs: list[int] = counts.tolist()
        return n_pairs

    def occurrences(self, found: LookedUp) -> list[Occurrences]:
        """Return what was found in a batch of one ticket, with the words counted as in its text."""
        kinds: list[tuple[BlockKind, list[WordNGrams], list[Found]]] = [
            ("word", self._of_words, found.of_words),
            ("title", self._of_titles, found.of_titles),
        ]
        all_of = [
            Occurrences(kind, n, places, features)
            for kind, blocks, of_kind in kinds
            for n, (places, features) in zip((n for ngrams in blocks for n in ngrams.lengths), of_kind, strict=True)
        ]
        n_marks = (found.everything == _END_OF_TITLE).cumsum()
        all_of += [
            Occurrences("char", 1, places - n_marks.take(places), features) for places, features in found.of_characters
        ]
        return all_of

    def characters_of(self, word: str, features: Container[int]) -> list[Place]:
        """Return which of ``features`` are character n-grams of ``word``, and where they stand."""
        return [place for ngrams in self._of_characters for place in ngrams.places(word, features)]

    def _numbered(self, words: list[bytes]) -> NDArray[np.int64]:
        """Return the number of each word, or which other thing it is."""
        numbers = self._numbers
        sequence = np.fromiter(map(numbers.get, words, repeat(UNKNOWN)), np.int64, len(words))
        for place in (sequence == UNKNOWN).nonzero()[0].tolist():
            if len(words[place]) > MAX_WORD_CHARACTERS:
                beginning = words[place].decode()[:MAX_WORD_CHARACTERS].encode()
                sequence[place] = numbers.get(beginning, UNKNOWN)
        return sequence


def ticket_of(sequence: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each place how many tickets ended before it."""
    is_end = sequence == END_OF_TICKET
    of_place: NDArray[np.int64] = is_end.cumsum() - is_end
    return of_place


def _only_titles(everything: NDArray[np.int64]) -> NDArray[np.int64]:
    is_end = everything == END_OF_TICKET
    title_has_ended = (everything == _END_OF_TITLE).cumsum() > ticket_of(everything)
    titles: NDArray[np.int64] = everything[is_end | ~title_has_ended]
    return titles

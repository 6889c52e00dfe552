"""Which words a model may keep: neither numbers nor e-mail addresses, nor what one sender alone writes.

They are counted like all others, because they are at serving; they only have no place in a vocabulary.
"""

from __future__ import annotations

import re

from app.models.cleaning import clean
from app.models.features import Words, words_of

# What fewer senders write is about them, and not about the next ticket.
FEWEST_SENDERS = 2
# Underscores are word characters, too.
_NUMBER = re.compile(r"[\d_]*\d[\d_]*")
_ADDRESS = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)*")
# What may become an "@" when a text is cleaned, so that few have to be cleaned a second time.
_MAY_HAVE_ADDRESS = re.compile("[@\uff20\ufe6b&]")


def is_number(text: str) -> bool:
    """Say whether there is nothing but digits between the spaces of ``text`` and its underscores."""
    return _NUMBER.fullmatch(text.strip()) is not None


def has_number(term: str) -> bool:
    """Say whether one of the words of ``term`` is a number."""
    return any(map(is_number, term.split(" ")))


def words_outside_addresses(title: str, description: str) -> Words | None:
    """Return the words that stand outside e-mail addresses; ``None``: all of them do."""
    if not (_MAY_HAVE_ADDRESS.search(title) or _MAY_HAVE_ADDRESS.search(description)):
        return None
    fields = [clean(title), clean(description)]
    without = [_ADDRESS.sub(" ", field) for field in fields]
    return None if without == fields else words_of(*without)

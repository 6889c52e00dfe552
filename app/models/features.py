"""Text to counted n-grams: the one definition of a token, which training and serving share.

A ticket has up to three blocks of features, each a bag of terms with its own vocabulary:

- ``word``: the words of title and description, and their n-grams joined by a space;
- ``char``: the character n-grams of each word, which is padded with one space on either side;
- ``title``: the words of the title once more, so that they can weigh more than others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.models.cleaning import clean

BlockKind = Literal["word", "char", "title"]

# To be raised by whoever changes which words a text has, here or in cleaning: a model only knows those that it was
# trained on, so an older one must be refused.
TEXT_FORMAT = 1

# A longer run of word characters is no word: a key, a hash, an attack. Its beginning says enough.
MAX_WORD_CHARACTERS = 40
WORD = re.compile(r"\w+")
_ASCII = frozenset(map(chr, range(128)))
# Bytes of UTF-8: what is no word character in ASCII becomes a space, the rest of Unicode stays as it is.
_ONLY_WORDS = bytes(ord(" ") if chr(code) in _ASCII and not WORD.match(chr(code)) else code for code in range(256))
_MAX_KINDS_OF_PUNCTUATION = 16


@dataclass(frozen=True, slots=True)
class BlockSpec:
    """What one block counts: n-grams of ``smallest`` to ``largest`` words or characters."""

    kind: BlockKind
    smallest: int = 1
    largest: int = 1


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """What a model counts, and whether a count n enters as n or as 1 + ln n."""

    blocks: tuple[BlockSpec, ...] = (BlockSpec("word", 1, 2),)
    sublinear_tf: bool = True


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one ticket, in order; the first ``n_title`` of them are those of the title."""

    all: tuple[str, ...]
    n_title: int


def join_fields(title: str, description: str) -> str:
    """Return the one text that stands for a ticket: the title on the first line, then the description."""
    return f"{' '.join(title.splitlines())}\n{description}"


def split_fields(text: str) -> tuple[str, str]:
    """Undo ``join_fields``; a text of one line is a title."""
    title, _, description = text.partition("\n")
    return title, description


def words_of(title: str, description: str) -> Words:
    """Clean both fields and cut them into words, which are runs of word characters, single ones too."""
    title_words = _cut(title)
    return Words(all=(*title_words, *_cut(description)), n_title=len(title_words))


def spaced_words(text: str) -> bytes:
    """Return the words of one field in UTF-8 with spaces between them, in a quarter of the time of ``words_of``.

    Cutting words after ``MAX_WORD_CHARACTERS`` is left to the reader, who can do it for many tickets at once.
    """
    cleaned = clean(text)
    if not cleaned.isascii():
        cleaned = _without_foreign_punctuation(cleaned)
    return cleaned.encode().translate(_ONLY_WORDS)


def _without_foreign_punctuation(text: str) -> str:
    """Return ``text`` with spaces for what is neither ASCII nor a word character."""
    punctuation = [character for character in set(text) - _ASCII if not WORD.match(character)]
    if len(punctuation) > _MAX_KINDS_OF_PUNCTUATION:
        return " ".join(WORD.findall(text))
    for character in punctuation:
        text = text.replace(character, " ")
    return text


def terms_of(words: Words, block: BlockSpec) -> Iterable[str]:
    """Yield the terms of one block, repeated as often as they occur."""
    if block.kind == "char":
        return [gram for word in words.all for gram in char_ngrams(word, block.smallest, block.largest)]
    if block.kind == "title":
        return word_ngrams(words.all[: words.n_title], block.smallest, block.largest)
    return word_ngrams(words.all, block.smallest, block.largest)


def word_ngrams(words: Sequence[str], smallest: int, largest: int) -> list[str]:
    terms: list[str] = []
    for n in range(smallest, largest + 1):
        if n == 1:
            terms.extend(words)
        else:
            terms.extend(map(" ".join, zip(*(words[offset:] for offset in range(n)), strict=False)))
    return terms


def char_ngrams(word: str, smallest: int, largest: int) -> list[str]:
    padded = f" {word} "
    return [padded[i : i + n] for n in range(smallest, largest + 1) for i in range(len(padded) - n + 1)]


def _cut(text: str) -> list[str]:
    return [word[:MAX_WORD_CHARACTERS] for word in WORD.findall(clean(text))]

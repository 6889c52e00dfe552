"""Writes a ticket around the wordings of one situation, noise included; which labels it has is not known here."""

from __future__ import annotations

import html
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from data.draw import Draw

MAX_TITLE_CHARACTERS = 300
_TYPO_CHANCE = 0.07  # for each word of a writer who makes them
_ECHO_WORDS = (4, 10)
_ADDED_IN_FRONT = ("opening", "context")
_ADDED_BEHIND = ("filler", "tone", "reference", "closing", "signature", "mobile_footer", "disclaimer", "quoted_reply")
_OWN_LINES = frozenset({"opening", "closing", "signature", "mobile_footer", "disclaimer", "quoted_reply"})
_KEEPS_ITS_LETTERS = frozenset({"mobile_footer", "disclaimer", "quoted_reply"})


@dataclass(frozen=True, slots=True)
class Composition:
    title: str
    description: str
    traits: frozenset[str]
    """Drawn about the writer: names of `[chances]`, and `title_...`, `body_...`, `letters_...` of `[weights]`."""


class Composer:
    """Turns wordings into tickets.

    It is given wordings and a draw, never a label or an identity, so nothing it adds can tell the label. What it adds
    and how often is data: see `situations/_composition.toml`.
    """

    def __init__(self, material: Mapping[str, Any]) -> None:
        self._chances: Mapping[str, float] = material["chances"]
        self._weights: Mapping[str, Mapping[str, float]] = material["weights"]
        self._texts: Mapping[str, Sequence[str]] = material["texts"]
        self._names: Mapping[str, Sequence[str]] = material["names"]
        self._misspelt: Mapping[str, str] = material["spelling"]
        self._exchange_chance: float = material["exchange"]["chance"]
        self._alternatives: Mapping[str, Sequence[str]] = {
            word.lower(): others for word, others in material["exchange"]["words"].items()
        }
        words = sorted(self._alternatives, key=len, reverse=True)
        self._exchangeable = re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, words))})(?![\w-])", re.IGNORECASE)

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls(tomllib.loads(path.read_text(encoding="utf-8")))

    def compose(self, titles: Sequence[str], descriptions: Sequence[str], draw: Draw) -> Composition:
        """One ticket from at least one of the titles and descriptions; at most one of its two texts is empty."""
        traits, kinds = self._writer(draw)
        wordings = self._choose_wordings(descriptions, kinds["body"], draw)
        title = self._title(kinds["title"], titles, wordings, draw)
        if kinds["title"] == "everything":
            parts = [("", "")]
        else:
            parts = [("", self._exchange(self._join(wordings, draw), draw))]
            parts = [*self._added(_ADDED_IN_FRONT, traits, draw), *parts, *self._added(_ADDED_BEHIND, traits, draw)]
        style = self._style(traits, kinds["letters"], draw)
        if title and "title_tone" in traits:
            title = self._text("title_tone", draw) + title
        title = style(title)
        if title and "title_prefix" in traits:
            title = self._text("title_prefix", draw) + title
        styled = [(kind, text if kind in _KEEPS_ITS_LETTERS else style(text)) for kind, text in parts if text]
        description = _lay_out(styled, in_paragraphs="paragraphs" in traits)
        if "html" in traits and description:
            markup = html.escape(description, quote=False).replace("\n", "<br>\n")
            description = self._text("html", draw).replace("{text}", markup)
        chosen = traits | {f"{choice}_{kind}" for choice, kind in kinds.items()}
        return Composition(title[:MAX_TITLE_CHARACTERS].strip(), description, chosen)

    def _writer(self, draw: Draw) -> tuple[frozenset[str], dict[str, str]]:
        """All that is drawn about the writer, before a look at the wordings: so it cannot depend on them."""
        traits = frozenset(name for name, chance in self._chances.items() if draw.chance(chance))
        return traits, {choice: draw.weighted(weights) for choice, weights in self._weights.items()}

    def _choose_wordings(self, descriptions: Sequence[str], kind: str, draw: Draw) -> list[str]:
        # Whole wordings only: half of one may lack the words that make the label right.
        if kind == "shortest":
            return [min(descriptions, key=len)]
        return draw.shuffled(descriptions)[: {"one": 1, "two": 2, "three": 3}[kind]]

    def _join(self, wordings: Sequence[str], draw: Draw) -> str:
        joined = wordings[0]
        for wording in wordings[1:]:
            joined += self._text("connective", draw) + wording
        return joined

    def _title(self, kind: str, titles: Sequence[str], wordings: Sequence[str], draw: Draw) -> str:
        if kind == "everything":
            return self._exchange(min(wordings, key=len), draw)
        if kind == "empty":
            return ""
        if kind == "vague":
            return self._text("vague_title", draw)
        if kind == "echo":
            shortest, longest = _ECHO_WORDS
            words = wordings[0].split()[: shortest + draw.below(longest - shortest + 1)]
            return " ".join(words).rstrip(".,;:!?") + draw.one_of(["", "", "...", "…"])
        return self._exchange(draw.one_of(titles), draw)

    def _added(self, kinds: Sequence[str], traits: frozenset[str], draw: Draw) -> list[tuple[str, str]]:
        return [(kind, self._text(kind, draw)) for kind in kinds if kind in traits]

    def _text(self, kind: str, draw: Draw) -> str:
        text = draw.one_of(self._texts[kind])
        text = re.sub(r"\{(\w+)\}", lambda hole: self._name(hole, draw), text)
        return re.sub("#+", lambda run: _digits(len(run[0]), draw), text)

    def _name(self, hole: re.Match[str], draw: Draw) -> str:
        names = self._names.get(hole[1])
        return draw.one_of(names) if names else hole[0]

    def _exchange(self, text: str, draw: Draw) -> str:
        def other(found: re.Match[str]) -> str:
            if not draw.chance(self._exchange_chance):
                return found[0]
            word = draw.one_of(self._alternatives[found[0].lower()])
            begins_large = found[0][0].isupper() and not found[0].isupper()
            return word[0].upper() + word[1:] if begins_large else word

        return self._exchangeable.sub(other, text)

    def _style(self, traits: frozenset[str], letters: str, draw: Draw) -> Callable[[str], str]:
        def style(text: str) -> str:
            if "typos" in traits:
                text = self._misspell(text, draw)
            if "no_apostrophes" in traits:
                text = re.sub(r"(?<=\w)['\u2019](?=\w)", "", text)
            if "no_punctuation" in traits:
                text = re.sub(r"[.,;:!?]+(?=\s|$)", "", text)
            if "exclamation" in traits:
                text = re.sub(r"\.(?=\s|$)", lambda _: draw.one_of([".", "!", "!!", "!!!"]), text)
            return _LETTERS[letters](text)

        return style

    def _misspell(self, text: str, draw: Draw) -> str:
        def maybe_wrong(found: re.Match[str]) -> str:
            if not draw.chance(_TYPO_CHANCE):
                return found[0]
            return self._misspelt.get(found[0].lower()) or _slip(found[0], draw)

        return re.sub(r"[^\W\d_]+", maybe_wrong, text)


def _lay_out(parts: Sequence[tuple[str, str]], *, in_paragraphs: bool) -> str:
    text = ""
    for kind, part in parts:
        own_line = kind in _OWN_LINES or (text and in_paragraphs)
        text += ("\n" if own_line else " ") + part
        text += "\n" if kind == "opening" and in_paragraphs else ""
    return text.strip()


def _digits(count: int, draw: Draw) -> str:
    return str(1 + draw.below(9)) + "".join(str(draw.below(10)) for _ in range(count - 1))


def _slip(word: str, draw: Draw) -> str:
    """One slip of the fingers: two letters swapped, one left out, or one doubled."""
    if len(word) < 4:  # noqa: PLR2004 - a short word with a slip in it is often another word
        return word
    at = 1 + draw.below(len(word) - 2)
    before, here, after = word[:at], word[at], word[at + 1 :]
    return draw.one_of([before + after[0] + here + after[1:], before + after, before + here + here + after])


def _lower_sentence_starts(text: str) -> str:
    return re.sub(r"(^|[.!?]\s+)([A-Z])(?=[a-z])", lambda start: start[1] + start[2].lower(), text)


_LETTERS: dict[str, Callable[[str], str]] = {
    "as_written": str,
    "lower": str.lower,
    "lower_sentence_starts": _lower_sentence_starts,
    "upper": str.upper,
}

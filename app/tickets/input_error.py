"""The error of input that has to be mended by a person, and how little of a file its message may quote."""

from __future__ import annotations

from collections.abc import Iterable

# Two of them in a message stay within the length of a list.
_MOST_IN_QUOTES = 40
_MOST_LISTED = 80


class InputError(Exception):
    """Input that cannot be used; the message is one line for the person who has to mend it."""


def quoted(text: str, *, at_most: int = _MOST_IN_QUOTES) -> str:
    """Return what a file says in quotes: on one line, without what a terminal would obey, shortened."""
    beginning = text[: 2 * at_most]
    shown = " ".join("".join(c if c.isprintable() else " " for c in beginning).split())
    if len(text) > len(beginning) or len(shown) > at_most:
        shown = shown[: at_most - 1] + "…"
    return f'"{shown}"'


def listed(names: Iterable[str]) -> str:
    """Return names of a file in quotes, as many as fit, and how many more there are."""
    shown = []
    n_characters = n_more = 0
    for name in names:
        one = quoted(name)
        n_characters += len(one)
        if n_more or n_characters > _MOST_LISTED:
            n_more += 1
        else:
            shown.append(one)
    return ", ".join([*shown, *([f"{n_more} more"] if n_more else [])])

"""The order in which people expect labels: from urgent to low where the words are known, else by frequency."""

from __future__ import annotations

import re
from collections.abc import Mapping

# Steps of the usual scales; words of one step may not both be labels of a head.
_SCALE = (
    ("blocker", "emergency", "immediate"),
    ("critical",),
    ("urgent", "highest", "very high"),
    ("high", "major"),
    ("medium", "normal", "moderate", "standard"),
    ("low", "minor"),
    ("lowest", "very low", "trivial"),
    ("none", "planning"),
)
_STEP = {word: step for step, words in enumerate(_SCALE) for word in words}
_NUMBERED = re.compile(r"(?:p|s|sev|priority|severity)[ -]?(\d)")


def in_natural_order(counts: Mapping[str, int]) -> list[str]:
    """Return the labels of ``counts``, which has how many tickets each has."""
    steps = {label: _step(label) for label in counts}
    known = [step for step in steps.values() if step is not None]
    if len(set(known)) == len(counts):
        return sorted(counts, key=lambda label: steps[label] or 0)
    return sorted(counts, key=lambda label: (-counts[label], label))


def _step(label: str) -> int | None:
    folded = " ".join(label.split()).casefold()
    numbered = _NUMBERED.fullmatch(folded)
    return int(numbered[1]) - len(_SCALE) if numbered else _STEP.get(folded)

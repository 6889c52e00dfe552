"""An answer for people: one sentence on what it is, how sure, because of which words, and what is done with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from app.models import decisions

if TYPE_CHECKING:
    from app.models.explanation import HeadExplanation, Term

_MOST_WORDS = 3
_NEARLY_CERTAIN = 99.5

_WHY_NOT_ALONE = {
    decisions.BELOW_THRESHOLD: "it is not sure enough to be answered alone",
    decisions.NO_OPERATING_POINT: "“{label}” has not been right often enough to be answered alone",
    decisions.NO_KNOWN_WORDS: "the model knows none of the words",
    decisions.MOSTLY_UNKNOWN_WORDS: "the model does not know enough of the words",
    decisions.UNLIKE_TRAINING: "it is unlike the tickets that the model learned from",
    decisions.AMBIGUOUS: "“{runner_up}” is nearly as likely",
    decisions.PROMISE_BROKEN: "“{label}” has lately been right less often than was promised",
}
_WHAT_IS_DONE = {
    "auto": "it is sure enough to be answered alone",
    "suggest": "it is suggested to a person",
    "review": "a person decides",
}


def summary_of(answer: HeadExplanation, speaking: Sequence[Term]) -> str:
    """Return a sentence on ``answer``; ``speaking`` are the terms that say most that it is this one."""
    done = _WHAT_IS_DONE[answer.decision]
    if why := why_not_alone(answer):
        done += f", because {' and '.join(why)}"
    return f"“{answer.label}” with {_how_sure(answer.confidence)}{_because(speaking)}: {done}."


def why_not_alone(answer: HeadExplanation) -> list[str]:
    """Return the reasons of ``answer``, each as a clause."""
    return [
        _WHY_NOT_ALONE[reason].format(label=answer.label, runner_up=answer.runner_up)
        for reason in answer.reasons
        if reason in _WHY_NOT_ALONE
    ]


def _how_sure(confidence: float) -> str:
    percent = confidence * 100
    if percent >= _NEARLY_CERTAIN:
        return "more than 99 % certainty"
    return f"{percent:.0f} % certainty" if percent >= 1 else "less than 1 % certainty"


def _because(speaking: Sequence[Term]) -> str:
    words = _shortest([term.term for term in speaking if term.kind != "char"])
    if words:
        return f", mostly because of {'the words' if len(words) > 1 else 'the word'} {_quoted(words)}"
    parts = _shortest([term.term.strip() for term in speaking if term.spans])
    return f", mostly because of words with {_quoted(parts)} in them" if parts else ""


def _shortest(terms: Sequence[str]) -> list[str]:
    """Return the first few terms, none of which is in another one of them word by word."""
    chosen: list[str] = []
    for term in terms:
        is_new = not any(f" {term} " in f" {other} " or f" {other} " in f" {term} " for other in chosen)
        if is_new and len(chosen) < _MOST_WORDS:
            chosen.append(term)
    return chosen


def _quoted(words: Sequence[str]) -> str:
    *others, last = [f"“{word}”" for word in words]
    return f"{', '.join(others)} and {last}" if others else last

"""An explanation as the page to try tickets shows it: words with their colours, and why it is not another label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from app.models.summary import why_not_alone
from app.models.written_words import WrittenWords

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from app.models.classifier import TicketClassifier
    from app.models.decisions import OperatingPoint
    from app.models.explanation import Explanation, HeadExplanation, Term, Versus
    from app.models.written_words import Field, Span

# No more words are coloured, and no more labels compared: a browser must not have to lay out thousands.
_MOST_COLOURED: Final = 300
_MOST_COMPARED: Final = 6
_MOST_NAMED: Final = 5
# The strongest word has all steps; one with less than a tenth of what it says has no colour.
_STEPS: Final = 3
_LEAST_SHARE: Final = 0.1

_DECISIONS: Final[Mapping[str, tuple[str, str]]] = {
    "auto": ("Answered alone", "good"),
    "suggest": ("Suggested to a person", "accent"),
    "review": ("A person decides", "doubt"),
}


class Piece(NamedTuple):
    """Some text and how strongly it speaks: 1 to 3 for the answer, -1 to -3 against it, 0 for neither."""

    text: str
    step: int


@dataclass(frozen=True, slots=True)
class ShownVersus:
    """Why it is not ``label``: words for the answer, words for the label, and those that would have to be missing."""

    label: str
    words_for: tuple[str, ...]
    words_against: tuple[str, ...]
    would_flip: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class ShownHead:
    """One answer; ``kind`` is the class of its badge, ``point`` where its label is decided."""

    name: str
    label: str
    confidence: float
    decision: str
    kind: str
    why: tuple[str, ...]
    point: OperatingPoint
    title: tuple[Piece, ...]
    description: tuple[Piece, ...]
    versus: tuple[ShownVersus, ...]
    n_more: int


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """What is answered to a ticket; of one that ``is_long`` not all words are coloured."""

    heads: tuple[ShownHead, ...]
    is_long: bool


def shown_answer(title: str, description: str, explanation: Explanation, classifier: TicketClassifier) -> ShownAnswer:
    written = WrittenWords(title, description)
    heads = []
    for name, head in explanation.heads.items():
        decision, kind = _DECISIONS[head.decision]
        steps = _steps(_what_words_say(head, written.span_of))
        heads.append(
            ShownHead(
                name=name,
                label=head.label,
                confidence=head.confidence,
                decision=decision,
                kind=kind,
                why=tuple(why_not_alone(head)),
                point=classifier.operating_points(name)[head.label],
                title=tuple(_pieces("title", title, steps)),
                description=tuple(_pieces("description", description, steps)),
                versus=tuple(_shown_versus(versus, head.terms) for versus in head.versus[:_MOST_COMPARED]),
                n_more=max(0, len(head.versus) - _MOST_COMPARED),
            )
        )
    return ShownAnswer(tuple(heads), is_long=len(written.all) > _MOST_COLOURED)


def _what_words_say(head: HeadExplanation, words: Sequence[Span]) -> dict[Span, float]:
    """Return what each word adds to the answer beyond what it adds to labels on average.

    What a term adds is shared by the places where it was written, and there by the words that it is made of.
    """
    word_at = {(word.field, place): word for word in words for place in range(word.start, word.end)}
    says = dict.fromkeys(words, 0.0)
    for term in head.terms:
        added = term.contributions
        lead = added[head.label] - sum(added.values()) / len(added)
        for span in term.spans:
            within = {word_at.get((span.field, place)) for place in range(span.start, span.end)} - {None}
            for word in within:
                if word is not None:
                    says[word] += lead / len(term.spans) / len(within)
    return says


def _steps(says: Mapping[Span, float]) -> dict[Span, int]:
    """Return the words that say most, with their steps."""
    most = max(map(abs, says.values()), default=0.0)
    loudest = sorted(says, key=lambda word: abs(says[word]), reverse=True)[:_MOST_COLOURED]
    return {word: _step(says[word] / most) for word in loudest if abs(says[word]) >= _LEAST_SHARE * most > 0}


def _step(share: float) -> int:
    step = min(_STEPS, 1 + int(abs(share) * _STEPS))
    return step if share > 0 else -step


def _pieces(field: Field, text: str, steps: Mapping[Span, int]) -> Iterator[Piece]:
    position = 0
    for word in sorted((word for word in steps if word.field == field), key=lambda word: word.start):
        # Characters that are several words are shown with the first of them.
        if word.start >= position:
            yield Piece(text[position : word.start], 0)
            yield Piece(text[word.start : word.end], steps[word])
            position = word.end
    yield Piece(text[position:], 0)


def _shown_versus(versus: Versus, terms: Sequence[Term]) -> ShownVersus:
    return ShownVersus(
        versus.label,
        words_for=_named(versus.speak_for, terms),
        words_against=_named(versus.speak_against, terms),
        would_flip=versus.would_flip,
    )


def _named(numbers: Sequence[int], terms: Sequence[Term]) -> tuple[str, ...]:
    """Return the words of some terms; characters stand for no word that people would recognise."""
    words = dict.fromkeys(terms[number].term for number in numbers if terms[number].kind != "char")
    return tuple(words)[:_MOST_NAMED]

"""How an explanation is put together: the terms that weigh most, and the labels that they speak for.

What terms add is the scorer's, where they were written ``app.models.term_reader``'s, and which words would change the
answer is left to ``app.models.counterfactual``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.models.counterfactual import Flip, find_flips
from app.models.explanation import HeadExplanation, Term, Versus
from app.models.model_data import Head
from app.models.scorer import Scorer, TicketTerms, softmax
from app.models.term_reader import WrittenTerm, read_terms
from app.models.written_words import WrittenWords

if TYPE_CHECKING:
    from app.models.classifier import HeadPrediction

# Of the terms that speak for the answer over another label, or against it, so many are named.
_MOST_REASONS = 10


@dataclass(frozen=True, slots=True, eq=False)
class HeadAnswer:
    """One head and what it said; ``columns`` are those of its labels among all outputs."""

    head: Head
    columns: slice
    prediction: HeadPrediction


@dataclass(frozen=True, slots=True)
class Asked:
    """How many terms are to be listed, which label is asked about, if it is not all, and whether to look for flips.

    Terms with ``unseen_idf`` or more were in no ticket of the training.
    """

    limit: int
    versus: str | None
    with_flips: bool
    unseen_idf: float


@dataclass(frozen=True, slots=True, eq=False)
class _Weighed:
    """A head's terms: numbers of those listed, what they add ``(n_labels, n_listed)``, and what all others do."""

    answered: int
    runner_up: int
    others: Sequence[int]
    listed: Sequence[int]
    contributions: NDArray[np.float64]
    remaining: Sequence[float]


class _Sides(NamedTuple):
    """The terms that speak for an answer, and those against it."""

    speak_for: tuple[int, ...]
    speak_against: tuple[int, ...]


def explain_heads(
    ticket: TicketTerms,
    written: WrittenWords,
    answers: Sequence[HeadAnswer],
    scorer: Scorer,
    asked: Asked,
) -> dict[str, HeadExplanation]:
    """Return the explanation of each head by name."""
    weighed = [_weigh(answer, ticket, asked) for answer in answers]
    flips: Mapping[Flip, tuple[str, ...]] = {}
    if asked.with_flips:
        flips = find_flips(_most_probable_first(answers, weighed, ticket), ticket, written, scorer)
    listed = sorted({number for of_head in weighed for number in of_head.listed})
    terms = read_terms(ticket, written, scorer.lookup, listed)
    seen = (scorer.idf_of(ticket.features) < asked.unseen_idf).tolist()
    return {
        answer.head.name: _explained(answer, of_head, ticket, terms=terms, seen=seen, flips=flips)
        for answer, of_head in zip(answers, weighed, strict=True)
    }


def _weigh(answer: HeadAnswer, ticket: TicketTerms, asked: Asked) -> _Weighed:
    """Choose the terms that move labels furthest apart."""
    contributions = ticket.contributions[answer.columns]
    labels = answer.head.labels
    logits = ticket.scores.logits[0, answer.columns].tolist()
    answered = labels.index(answer.prediction.label)
    others = sorted((i for i in range(len(labels)) if i != answered), key=logits.__getitem__, reverse=True)
    runner_up = others[0]
    if asked.versus is not None:
        others = [i for i in others if labels[i] == asked.versus]
    if len(ticket.features) == 0:
        return _Weighed(answered, runner_up, others, [], contributions, [0.0] * len(labels))
    reach = np.minimum.reduce(contributions, axis=0) - np.maximum.reduce(contributions, axis=0)
    listed, unlisted = _smallest(reach, asked.limit)
    remaining = np.add.reduce(contributions.take(unlisted, axis=1), axis=1).tolist()
    return _Weighed(answered, runner_up, others, listed.tolist(), contributions.take(listed, axis=1), remaining)


def _smallest(values: NDArray[np.float64], limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the ``limit`` smallest in ascending order of their values, and those of all others."""
    order = values.argpartition(limit) if limit < len(values) else np.arange(len(values))
    smallest = np.sort(order[:limit])
    return smallest.take(values.take(smallest).argsort(kind="stable")), order[limit:]


def _most_probable_first(answers: Sequence[HeadAnswer], weighed: Sequence[_Weighed], ticket: TicketTerms) -> list[Flip]:
    wanted = []
    for answer, terms in zip(answers, weighed, strict=True):
        probabilities = softmax(ticket.scores.logits[0, answer.columns]).tolist()
        wanted += [
            (probabilities[other], Flip(answer.columns.start, answer.columns.stop, other)) for other in terms.others
        ]
    return [flip for _, flip in sorted(wanted, key=itemgetter(0), reverse=True)]


def _explained(
    answer: HeadAnswer,
    weighed: _Weighed,
    ticket: TicketTerms,
    *,
    terms: Mapping[int, WrittenTerm],
    seen: Sequence[bool],
    flips: Mapping[Flip, tuple[str, ...]],
) -> HeadExplanation:
    labels, prediction = answer.head.labels, answer.prediction
    leads = weighed.contributions[weighed.answered] - weighed.contributions
    # Its own lead is none; in its place comes that over all labels together.
    leads[weighed.answered] = np.add.reduce(leads, axis=0)
    sides = _sides(leads)
    listed = [
        tuple.__new__(Term, terms[number] + (seen[number], labels, values))
        for number, values in zip(weighed.listed, weighed.contributions.T.tolist(), strict=True)
    ]
    versus = [
        Versus(
            label=labels[other],
            speak_for=sides[other].speak_for,
            speak_against=sides[other].speak_against,
            would_flip=flips.get(Flip(answer.columns.start, answer.columns.stop, other)),
        )
        for other in weighed.others
    ]
    return HeadExplanation(
        label=prediction.label,
        confidence=prediction.confidence,
        decision=prediction.decision,
        reasons=prediction.reasons,
        logits=dict(zip(labels, ticket.scores.logits[0, answer.columns].tolist(), strict=True)),
        bias=dict(zip(labels, answer.head.bias, strict=True)),
        terms=tuple(listed),
        remaining=dict(zip(labels, weighed.remaining, strict=True)),
        versus=tuple(versus),
        runner_up=labels[weighed.runner_up],
        speak_most=sides[weighed.answered].speak_for,
    )


def _sides(leads: NDArray[np.float64]) -> list[_Sides]:
    """Return for each row of ``leads`` which terms speak for the answer, and which against it, the strongest first."""
    sides = []
    for of_label, order in zip(leads.tolist(), leads.argsort(axis=1, kind="stable").tolist(), strict=True):
        against = tuple([term for term in order[:_MOST_REASONS] if of_label[term] < 0])
        sides.append(_Sides(tuple([term for term in order[: -_MOST_REASONS - 1 : -1] if of_label[term] > 0]), against))
    return sides

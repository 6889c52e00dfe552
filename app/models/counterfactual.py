"""Which words would have to be missing for another label to win: found by estimates, and verified by scoring again.

Words are taken one after the other, always the one after which the other label stands best. The set is tried on the
ticket's own text, without every occurrence of them, and then made smaller while scorings are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from app.models.removal import Floats, Numbers, Removal
from app.models.scorer import Scorer, TicketTerms, softmax
from app.models.written_words import WrittenWords

# For one ticket, all labels of all heads together.
MOST_SCORINGS = 50
MOST_WORDS = 10
# How far an estimate may be from what scoring says: words that become neighbours may be a pair that the model knows.
_DOUBT = 0.5
# Numbers that scoring holds at a time, one for each label and term: 16 MB or so.
_MOST_NUMBERS = 1_000_000
# Of other labels than the one that is to win, only those ahead of it can be in its way.
_MOST_RIVALS = 4

Words = frozenset[int]


class Flip(NamedTuple):
    """That the ``label`` of a head wins, whose labels are the outputs from ``start`` up to ``stop``."""

    start: int
    stop: int
    label: int


class _Step(NamedTuple):
    """A set of words, and how far the other label is expected to be ahead without them."""

    words: Words
    lead: float


class _Estimate:
    """How far one label would be ahead of the others of its head without some words."""

    def __init__(self, removal: Removal, logits: Floats, bias: Floats, flip: Flip) -> None:
        of_head = logits[flip.start : flip.stop]
        rivals = [i for i in (-of_head).argsort(kind="stable").tolist() if i != flip.label][:_MOST_RIVALS]
        self._outputs: Numbers = flip.start + np.array([flip.label, *rivals])
        self._bias = bias[self._outputs]
        self._removal = removal

    def lead(self, words: Words) -> float:
        left = self._removal.left_without(words, self._outputs)
        return float(_leads(self._removal.logits(left, self._bias)))

    def next_step(self, words: Words) -> _Step | None:
        """Return ``words`` and the one after which the label stands best; ``None`` when there is no other one."""
        left = self._removal.left_without(words, self._outputs)
        numbers, logits = self._removal.logits_without_each(left, self._bias, self._outputs)
        leads = np.where(np.isin(numbers, list(words)), -np.inf, _leads(logits))
        best = int(leads.argmax())
        if leads[best] == -np.inf:
            return None
        return _Step(words | {int(numbers[best])}, float(leads[best]))


class _Pursuit:
    """The search for one flip: which set to try next, given what was learnt of those before."""

    def __init__(self, estimate: _Estimate, *, most_words: int) -> None:
        self._estimate = estimate
        self._untried = self._promising_sets(most_words)
        self._droppable: list[int] = []
        self.found: Words | None = None

    def _promising_sets(self, most_words: int) -> list[_Step]:
        """Return the sets of a greedy search that may do, in the order in which they are to be tried."""
        steps: list[_Step] = []
        words: Words = frozenset()
        while len(words) < most_words and (not steps or steps[-1].lead < _DOUBT):
            step = self._estimate.next_step(words)
            if step is None:
                break
            steps.append(step)
            words = step.words
        enough = [self._without_needless(step) for step in steps if step.lead > 0]
        return enough + sorted((s for s in steps if -_DOUBT < s.lead <= 0), key=lambda s: -s.lead)

    def _without_needless(self, step: _Step) -> _Step:
        for word in sorted(step.words):
            fewer = step.words - {word}
            if fewer and (lead := self._estimate.lead(fewer)) > 0:
                step = _Step(fewer, lead)
        return step

    def next_set(self) -> Words | None:
        """Return the next set to score: one that may do, or a smaller one than what was found."""
        if self.found is None:
            return self._untried.pop(0).words if self._untried else None
        while self._droppable:
            fewer = self.found - {self._droppable.pop()}
            if fewer and self._estimate.lead(fewer) > -_DOUBT:
                return fewer
        return None

    def learn(self, words: Words) -> None:
        """Take ``words`` for found if they are fewer than those before."""
        if self.found is None or len(words) < len(self.found):
            self.found = words
            self._droppable = sorted(words)


def find_flips(
    wanted: Sequence[Flip], ticket: TicketTerms, written: WrittenWords, scorer: Scorer
) -> dict[Flip, tuple[str, ...]]:
    """Return for each of ``wanted``, the most important first, a small set of words; those without one are left out."""
    removal = Removal(ticket, written.all, scorer) if len(ticket.features) else None
    # Something must be left: a ticket without a word says nothing.
    if removal is None or len(removal.words) < 2:  # noqa: PLR2004
        return {}
    logits = ticket.scores.logits[0]
    bias = scorer.bias
    most_words = min(MOST_WORDS, len(removal.words) - 1)
    pursuits = {
        flip: _Pursuit(_Estimate(removal, logits, bias, flip), most_words=most_words) for flip in wanted[:MOST_SCORINGS]
    }
    trials = _Trials(removal.words, written, scorer, n_numbers=ticket.contributions.size)
    while trials.n_left:
        tried = trials.score(_next_sets(pursuits, trials))
        if not tried:
            break
        for flip, pursuit in pursuits.items():
            for words in tried:
                if trials.wins(flip, words):
                    pursuit.learn(words)
    return {
        flip: tuple(removal.words[number] for number in sorted(pursuit.found))
        for flip, pursuit in pursuits.items()
        if pursuit.found is not None
    }


def _next_sets(pursuits: Mapping[Flip, _Pursuit], trials: _Trials) -> list[Words]:
    """Return what to score next: sets for labels that have none yet, and only then smaller ones."""
    for has_found in (False, True):
        sets = [
            _first_untried(pursuit, trials) for pursuit in pursuits.values() if (pursuit.found is not None) == has_found
        ]
        new = [words for words in dict.fromkeys(sets) if words is not None]
        if new:
            return new
    return []


def _first_untried(pursuit: _Pursuit, trials: _Trials) -> Words | None:
    # What was tried for another label, this pursuit has learnt from already.
    while (words := pursuit.next_set()) is not None and trials.has_tried(words):
        pass
    return words


class _Trials:
    """Scores a ticket without some of its words, as often as is left; whole, it takes ``n_numbers``."""

    def __init__(self, words: Sequence[str], written: WrittenWords, scorer: Scorer, *, n_numbers: int) -> None:
        self._words = words
        self._written = written
        self._scorer = scorer
        self._n_at_once = max(1, _MOST_NUMBERS // n_numbers)
        self._logits: dict[Words, Floats] = {}

    @property
    def n_left(self) -> int:
        return MOST_SCORINGS - len(self._logits)

    def has_tried(self, words: Words) -> bool:
        return words in self._logits

    def score(self, sets: Iterable[Words]) -> list[Words]:
        """Score as many of ``sets`` as may be, and return them."""
        tried = list(sets)[: self.n_left]
        for first in range(0, len(tried), self._n_at_once):
            some = tried[first : first + self._n_at_once]
            texts = [self._written.without({self._words[number] for number in words}) for words in some]
            scores = self._scorer.score([title for title, _ in texts], [description for _, description in texts])
            self._logits.update(zip(some, scores.logits, strict=True))
        return tried

    def wins(self, flip: Flip, words: Words) -> bool:
        # As a prediction chooses its label: of equal probabilities the first.
        return int(softmax(self._logits[words][flip.start : flip.stop]).argmax()) == flip.label


def _leads(logits: Floats) -> Floats:
    """Return how far the first of ``(..., n_outputs)`` is ahead of the best of all others."""
    leads: Floats = logits[..., 0] - logits[..., 1:].max(axis=-1)
    return leads

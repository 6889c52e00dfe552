"""From which confidence on a label acts alone, by what people judged of its answers in the field.

Who is asked is not left to chance alone, so judged answers do not stand for all answers as they are:

- An answer that was ``auto`` as a whole is asked about with a known chance, that of audits; each judged one counts by
  one over its chance (Horvitz & Thompson 1952).
- Every other answer is asked about, but judged in an order that goes by label and confidence, and not all are judged.
  Among answers of one kind (label, decision, and whether all like it are asked about) and of nearly the same confidence
  that order has nothing to do with who is right. So the judged ones of each such stratum are weighed up to the number
  of all of its answers (post-stratification, Holt & Smith 1979).

Within those limits the estimate is unbiased, as long as reviewers do not choose tickets by whether the answer looks
right. Answers of a kind of which none was judged count as wrong when a threshold is chosen, and as right when one is
taken away (the bounds of Manski 1989). How much weighed answers prove is said by their effective number,
``sum(w)^2 / sum(w^2)`` (Kish 1965).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.training.thresholds.confidence_counts import N_STEPS

# As many as a threshold of training must have above it.
FEWEST_ANSWERS = 20
_FEWEST_IN_STRATUM = 10


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """An answer that a person judged; ``kind`` tells apart answers that are asked about in different ways."""

    kind: str
    confidence: float
    asked_chance: float
    is_right: bool


@dataclass(frozen=True, slots=True)
class AnswerCount:
    """How many answers of one kind have a confidence, rounded to thousandths, judged or not."""

    kind: str
    confidence: float
    n_answers: int


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of the answers of one label that may be acted on: neither ambiguous, nor of strange words."""

    judged: Sequence[JudgedAnswer]
    counts: Sequence[AnswerCount]

    @property
    def n_answers(self) -> int:
        return sum(count.n_answers for count in self.counts)


@dataclass(frozen=True, slots=True)
class Share:
    """The answers from some confidence on: how many, the least and the greatest share that is right, what proves it."""

    n_answers: float
    least: float
    greatest: float
    n_effective: float


@dataclass(frozen=True, slots=True)
class JudgedPoint:
    """The threshold of one label, with what its answers are like from there on; ``None`` if it acts never."""

    auto: float | None
    share: Share | None
    is_proven: bool


def choose_judged(evidence: Evidence, target_precision: float, *, before: float | None) -> JudgedPoint:
    """Return the lowest confidence from which on answers are right often enough, whatever those nobody judged are.

    Where there is none, the threshold of ``before`` is taken away if it is proven not to be enough, and stays if not.
    """
    weighed = _Weighed.of(evidence)
    for step in np.unique(np.floor(weighed.confidence * N_STEPS + 1e-9)).tolist():
        share = weighed.share_from(step / N_STEPS)
        if share.n_effective >= FEWEST_ANSWERS and share.least >= target_precision:
            return JudgedPoint(step / N_STEPS, share, is_proven=True)
    if before is None:
        return JudgedPoint(None, None, is_proven=False)
    share = weighed.share_from(before)
    if share.n_effective >= FEWEST_ANSWERS and share.greatest < target_precision:
        return JudgedPoint(None, share, is_proven=True)
    return JudgedPoint(before, share, is_proven=False)


def effective_number(evidence: Evidence) -> float:
    """Return how many judged answers drawn by plain chance would prove as much as those of ``evidence``."""
    return _Weighed.of(evidence).share_from(0.0).n_effective


@dataclass(frozen=True, slots=True, eq=False)
class _Weighed:
    """Judged answers, ``(n_judged,)`` each, and answers of kinds that nobody judged, ``(n_kinds_and_steps,)`` each."""

    confidence: NDArray[np.float64]
    weight: NDArray[np.float64]
    is_right: NDArray[np.bool_]
    unknown_confidence: NDArray[np.float64]
    unknown_n: NDArray[np.float64]

    @classmethod
    def of(cls, evidence: Evidence) -> _Weighed:
        kinds = {count.kind for count in evidence.counts}
        judged_kinds = {answer.kind for answer in evidence.judged}
        judged = [answer for answer in evidence.judged if answer.kind in kinds]
        unknown = [count for count in evidence.counts if count.kind not in judged_kinds]
        weight = np.zeros(len(judged))
        for kind in sorted(kinds & judged_kinds):
            mine = np.array([i for i, answer in enumerate(judged) if answer.kind == kind])
            weight[mine] = _weights(
                [judged[i] for i in mine], [count for count in evidence.counts if count.kind == kind]
            )
        return cls(
            np.array([answer.confidence for answer in judged]),
            weight,
            np.array([answer.is_right for answer in judged], dtype=np.bool_),
            np.array([count.confidence for count in unknown]),
            np.array([count.n_answers for count in unknown], dtype=np.float64),
        )

    def share_from(self, threshold: float) -> Share:
        above = self.confidence >= threshold
        weight = self.weight[above]
        n_judged_for, n_right = float(weight.sum()), float(weight[self.is_right[above]].sum())
        n_unknown = float(self.unknown_n[self.unknown_confidence >= threshold].sum())
        n_answers = n_judged_for + n_unknown
        if n_judged_for == 0:
            return Share(n_answers, 0.0, 1.0, 0.0)
        n_effective = n_judged_for**2 / float((weight**2).sum())
        return Share(n_answers, n_right / n_answers, (n_right + n_unknown) / n_answers, n_effective)


def _weights(judged: Sequence[JudgedAnswer], counts: Sequence[AnswerCount]) -> NDArray[np.float64]:
    """Return for how many answers of one kind each judged one stands, stratum by stratum of confidence."""
    # As those of the counts are, so that an answer and its count are of one stratum.
    confidence = np.round(np.array([answer.confidence for answer in judged]) * 1000) / 1000
    ranked = np.sort(confidence)
    # Each stratum begins at the lowest confidence of ten or more judged answers; the first takes what is below it, too.
    edges = np.unique(ranked[::_FEWEST_IN_STRATUM][: max(1, len(ranked) // _FEWEST_IN_STRATUM)])[1:]
    stratum = np.searchsorted(edges, confidence, side="right")
    of_counts = np.searchsorted(edges, [count.confidence for count in counts], side="right")
    n_answers = np.bincount(of_counts, weights=[count.n_answers for count in counts], minlength=len(edges) + 1)
    inverse_chance = np.array([1 / answer.asked_chance for answer in judged])
    totals = np.bincount(stratum, weights=inverse_chance, minlength=len(edges) + 1)
    # Where a half was rounded the other way there, or not all is counted, the judged ones stand for themselves.
    n_answers = np.maximum(n_answers, np.bincount(stratum, minlength=len(edges) + 1))
    weights: NDArray[np.float64] = inverse_chance / totals[stratum] * n_answers[stratum]
    return weights

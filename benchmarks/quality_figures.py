"""The figures of ``benchmarks/quality.py``: each with its 95 % interval and its reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from app.training.fitting.scores import scores_of_counts
from app.training.measuring.bootstrap import N_RESAMPLES, HeldOut, bootstrap_scores, interval
from app.training.measuring.evaluation import wilson_interval

_N_BINS = 15
_SEED = 42


class Reach(TypedDict, total=False):
    """What a figure is meant to reach."""

    at_least: float
    at_most: float


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table; without ``at_least`` or ``at_most`` it has nothing to reach.

    ``by_others`` is the same figure of other classifiers, by their names.
    """

    measure: str
    value: float
    interval: tuple[float, float]
    at_least: float | None = None
    at_most: float | None = None
    by_others: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_met(self) -> bool | None:
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one head said of tickets that it was not trained on.

    ``truth``, ``confidence``, ``is_auto``: ``(n_tickets,)``; ``predicted`` and ``truth`` are positions in ``labels``,
    and so is what other classifiers said (``by_others``, by their names).
    """

    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    is_auto: NDArray[np.bool_]
    by_others: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """Return the answers of several models with the same labels to different tickets."""
        together = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("truth", "predicted", "confidence", "is_auto")
        }
        by_others = {name: np.concatenate([part.by_others[name] for part in parts]) for name in parts[0].by_others}
        return cls(parts[0].labels, **together, by_others=by_others)


def accuracy(answers: Answers, **reach: Unpack[Reach]) -> Figure:
    return _of_scores(answers, "accuracy", "accuracy", **reach)


def macro_f1(answers: Answers, **reach: Unpack[Reach]) -> Figure:
    return _of_scores(answers, "macro-F1", "macro_f1", **reach)


def _of_scores(answers: Answers, measure: str, name: str, **reach: Unpack[Reach]) -> Figure:
    held_out = HeldOut(answers.truth, np.arange(len(answers.truth)), len(answers.labels))

    def score(predicted: NDArray[np.int64]) -> float:
        return float(getattr(scores_of_counts(held_out.confusion(predicted)[np.newaxis]), name)[0])

    low, high = interval(getattr(bootstrap_scores(answers.predicted, held_out, seed=_SEED), name))
    by_others = {other: score(predicted) for other, predicted in answers.by_others.items()}
    return Figure(measure, score(answers.predicted), (low, high), by_others=by_others, **reach)


def calibration_error(answers: Answers, **reach: Unpack[Reach]) -> Figure:
    """Return the expected calibration error; resampling adds noise to every bin, so its interval lies rather high."""
    n = len(answers.truth)
    gaps = np.zeros((n, _N_BINS))
    bins = np.minimum((answers.confidence * _N_BINS).astype(int), _N_BINS - 1)
    gaps[np.arange(n), bins] = (answers.predicted == answers.truth) - answers.confidence
    resampled = _resampled(n, lambda counts: float(np.abs(counts @ gaps).sum() / n))
    return Figure("expected calibration error", float(np.abs(gaps.sum(axis=0)).sum() / n), resampled, **reach)


def outside_auroc(inside: Answers, outside: Answers, **reach: Unpack[Reach]) -> Figure:
    """Return how well the top confidence tells tickets with a label from tickets that no label fits."""
    confidence = np.concatenate([inside.confidence, outside.confidence])
    is_inside = np.arange(len(confidence)) < len(inside.confidence)
    resampled = _resampled(
        len(confidence), lambda counts: float(roc_auc_score(is_inside, confidence, sample_weight=counts))
    )
    return Figure("AUROC of the top confidence", float(roc_auc_score(is_inside, confidence)), resampled, **reach)


def coverage(answers: Answers, **reach: Unpack[Reach]) -> Figure:
    return _share("coverage of auto", answers.is_auto, **reach)


def coverage_outside(outside: Answers, **reach: Unpack[Reach]) -> Figure:
    """Return the share of tickets that no label fits and that would be acted on."""
    return replace(coverage(outside, **reach), measure="coverage of auto outside")


def auto_precision(answers: Answers, **reach: Unpack[Reach]) -> Figure:
    return _share("precision of auto", (answers.predicted == answers.truth)[answers.is_auto], **reach)


def _share(measure: str, hits: NDArray[np.bool_], **reach: Unpack[Reach]) -> Figure:
    low, high = wilson_interval(int(hits.sum()), len(hits)) or (0.0, 1.0)
    return Figure(measure, float(hits.mean()) if len(hits) else 0.0, (low, high), **reach)


def _resampled(n: int, measure: Callable[[NDArray[np.int64]], float]) -> tuple[float, float]:
    """Return the interval of ``measure``, which takes how often each of ``n`` tickets was drawn."""
    random = np.random.default_rng(_SEED)
    drawn = (np.bincount(random.integers(n, size=n), minlength=n) for _ in range(N_RESAMPLES))
    low, high = interval(np.array([measure(counts) for counts in drawn]))
    return low, high

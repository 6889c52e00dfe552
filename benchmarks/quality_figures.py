"""The figures of ``benchmarks/quality.py``: each with its 95 % interval and its reach."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from app.training.fitting.scores import scores_of_counts
from app.training.measuring.bootstrap import N_RESAMPLES, HeldOut, bootstrap_scores, interval
from app.training.measuring.evaluation import wilson_interval

_N_BINS = 15
_SEED = 42


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the table; without ``at_least`` or ``at_most`` it has nothing to reach."""

    measure: str
    value: float
    interval: tuple[float, float]
    at_least: float | None = None
    at_most: float | None = None

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

    ``truth``, ``confidence``, ``is_auto``: ``(n_tickets,)``; ``predicted`` and ``truth`` are positions in ``labels``.
    """

    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]
    is_auto: NDArray[np.bool_]

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """Return the answers of several models with the same labels to different tickets."""
        return cls(
            parts[0].labels,
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("truth", "predicted", "confidence", "is_auto")
            ),
        )


def accuracy(answers: Answers, **reach: float) -> Figure:
    return _of_scores(answers, "accuracy", "accuracy", **reach)


def macro_f1(answers: Answers, **reach: float) -> Figure:
    return _of_scores(answers, "macro-F1", "macro_f1", **reach)


def _of_scores(answers: Answers, measure: str, name: str, **reach: float) -> Figure:
    held_out = HeldOut(answers.truth, np.arange(len(answers.truth)), len(answers.labels))
    score = scores_of_counts(held_out.confusion(answers.predicted)[np.newaxis])
    resampled = bootstrap_scores(answers.predicted, held_out, seed=_SEED)
    low, high = interval(getattr(resampled, name))
    return Figure(measure, float(getattr(score, name)[0]), (low, high), **reach)


def calibration_error(answers: Answers, **reach: float) -> Figure:
    """Return the expected calibration error; resampling adds noise to every bin, so its interval lies rather high."""
    n = len(answers.truth)
    gaps = np.zeros((n, _N_BINS))
    bins = np.minimum((answers.confidence * _N_BINS).astype(int), _N_BINS - 1)
    gaps[np.arange(n), bins] = (answers.predicted == answers.truth) - answers.confidence
    resampled = _resampled(n, lambda counts: float(np.abs(counts @ gaps).sum() / n))
    return Figure("expected calibration error", float(np.abs(gaps.sum(axis=0)).sum() / n), resampled, **reach)


def outside_auroc(inside: Answers, outside: Answers, **reach: float) -> Figure:
    """Return how well the top confidence tells tickets with a label from tickets that no label fits."""
    confidence = np.concatenate([inside.confidence, outside.confidence])
    is_inside = np.arange(len(confidence)) < len(inside.confidence)
    resampled = _resampled(
        len(confidence), lambda counts: float(roc_auc_score(is_inside, confidence, sample_weight=counts))
    )
    return Figure("AUROC of the top confidence", float(roc_auc_score(is_inside, confidence)), resampled, **reach)


def coverage(answers: Answers, **reach: float) -> Figure:
    return _share("coverage of auto", answers.is_auto, **reach)


def auto_precision(answers: Answers, **reach: float) -> Figure:
    return _share("precision of auto", (answers.predicted == answers.truth)[answers.is_auto], **reach)


def _share(measure: str, hits: NDArray[np.bool_], **reach: float) -> Figure:
    low, high = wilson_interval(int(hits.sum()), len(hits)) or (0.0, 1.0)
    return Figure(measure, float(hits.mean()) if len(hits) else 0.0, (low, high), **reach)


def _resampled(n: int, measure: Callable[[NDArray[np.int64]], float]) -> tuple[float, float]:
    """Return the interval of ``measure``, which takes how often each of ``n`` tickets was drawn."""
    random = np.random.default_rng(_SEED)
    drawn = (np.bincount(random.integers(n, size=n), minlength=n) for _ in range(N_RESAMPLES))
    low, high = interval(np.array([measure(counts) for counts in drawn]))
    return low, high

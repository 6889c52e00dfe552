"""How often answers of each confidence were right: all that is needed to choose thresholds again, without tickets.

A version keeps these counts in ``confidence_counts.json``, a head and label each, of out-of-fold predictions and of the
validation tickets. Confidences are counted in steps of one thousandth, which is as fine as thresholds are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from app.models.decisions import OperatingPoint

COUNTS_NAME = "confidence_counts.json"
COUNTS_FORMAT = 1
N_STEPS = 1_000
# The columns of counts: answers and right ones, and those of them that may be acted on: they are not ambiguous, and
# their tickets not unlike those of training.
ALL, RIGHT, CLEAR, CLEAR_RIGHT = range(4)
_EDGES = np.arange(N_STEPS + 1) / N_STEPS


@dataclass(frozen=True, slots=True, eq=False)
class ConfidenceCounts:
    """The answers of one label: ``counts`` ``(1001, 4)``, where row k has those of a confidence from k / 1000 on.

    The next row's begin at (k + 1) / 1000; the columns are ``ALL``, ``RIGHT``, ``CLEAR`` and ``CLEAR_RIGHT``.
    """

    counts: NDArray[np.int64]

    @property
    def from_step(self) -> NDArray[np.int64]:
        """Return ``(1001, 4)``: row k has all answers of a confidence of k / 1000 or more."""
        totals: NDArray[np.int64] = self.counts[::-1].cumsum(axis=0)[::-1]
        return totals

    def at_least(self, threshold: float | None) -> NDArray[np.int64]:
        """Return the four counts of the answers from ``threshold`` on, of none if there is no threshold."""
        if threshold is None:
            return np.zeros(4, dtype=np.int64)
        totals: NDArray[np.int64] = self.counts[int(np.searchsorted(_EDGES, threshold)) :].sum(axis=0)
        return totals

    def to_rows(self) -> list[list[int]]:
        """Return step and counts of each step that has answers."""
        return [[step, *self.counts[step].tolist()] for step in np.flatnonzero(self.counts[:, ALL]).tolist()]

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int]]) -> Self:
        counts = np.zeros((N_STEPS + 1, 4), dtype=np.int64)
        for step, *of_step in rows:
            counts[step] = of_step
        return cls(counts)


@dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """The answers of one head to tickets that it was not fitted on, ``(n_tickets,)`` each.

    ``steps`` are the highest that each confidence reaches.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    steps: NDArray[np.int64]
    is_clear: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        probabilities: NDArray[np.float64],
        truth: NDArray[np.int64],
        *,
        ambiguity_margin: float,
        are_unlike: NDArray[np.bool_] | None = None,
    ) -> Self:
        """Read off ``probabilities`` ``(n_tickets, n_labels)``; a lead below the margin is not clear.

        Nor are answers to tickets that ``are_unlike`` those of training: neither is ever acted on.
        """
        predicted = probabilities.argmax(axis=1)
        best_two = np.sort(probabilities, axis=1)[:, -2:]
        is_clear = best_two[:, 1] - best_two[:, 0] >= ambiguity_margin
        if are_unlike is not None:
            is_clear &= ~are_unlike
        return cls(truth, predicted, np.searchsorted(_EDGES, best_two[:, 1], side="right") - 1, is_clear)

    def counts(self, labels: Sequence[str]) -> dict[str, ConfidenceCounts]:
        is_right = self.predicted == self.truth
        kinds = (np.ones_like(is_right), is_right, self.is_clear, is_right & self.is_clear)
        return {
            label: ConfidenceCounts(
                np.stack(
                    [np.bincount(self.steps[(self.predicted == i) & kind], minlength=N_STEPS + 1) for kind in kinds],
                    axis=1,
                )
            )
            for i, label in enumerate(labels)
        }


Counts = Mapping[str, ConfidenceCounts]


@dataclass(frozen=True, slots=True, eq=False)
class HeadCounts:
    """The counts of one head by label; labels that are ``left_to_review`` get no threshold, whatever their counts.

    See ``design_effect_of``; versions of before it was measured count as if every ticket were of its own group.
    ``elsewhere`` are the counts of each domain by models that learned nothing of it.
    """

    out_of_fold: Counts
    validation: Counts | None = None
    left_to_review: tuple[str, ...] = ()
    design_effect: float = 1.0
    elsewhere: Mapping[str, Counts] = field(default_factory=dict)


def counts_to_bytes(heads: Mapping[str, HeadCounts]) -> bytes:
    document = {
        "format": COUNTS_FORMAT,
        "steps": N_STEPS,
        "columns": ["step", "answers", "right", "clear", "clear_and_right"],
        "heads": {
            name: {
                "left_to_review": list(head.left_to_review),
                "design_effect": head.design_effect,
                "out_of_fold": _to_document(head.out_of_fold),
                "validation": None if head.validation is None else _to_document(head.validation),
                "elsewhere": {domain: _to_document(counts) for domain, counts in head.elsewhere.items()},
            }
            for name, head in heads.items()
        },
    }
    return (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def counts_from_bytes(content: bytes) -> dict[str, HeadCounts]:
    """Undo ``counts_to_bytes``; raise ``ValueError`` when it is another format."""
    document: dict[str, Any] = json.loads(content)
    if document["format"] != COUNTS_FORMAT:
        raise ValueError(f"{COUNTS_NAME} has format {document['format']!r}; this release reads {COUNTS_FORMAT}")
    return {
        name: HeadCounts(
            out_of_fold=_from_document(head["out_of_fold"]),
            validation=None if head["validation"] is None else _from_document(head["validation"]),
            left_to_review=tuple(head["left_to_review"]),
            design_effect=float(head.get("design_effect", 1.0)),
            elsewhere={domain: _from_document(counts) for domain, counts in head.get("elsewhere", {}).items()},
        )
        for name, head in document["heads"].items()
    }


def _to_document(counts: Counts) -> dict[str, list[list[int]]]:
    return {label: of_label.to_rows() for label, of_label in counts.items()}


def _from_document(document: Mapping[str, Sequence[Sequence[int]]]) -> dict[str, ConfidenceCounts]:
    return {label: ConfidenceCounts.from_rows(rows) for label, rows in document.items()}


def decided(counts: Counts, points: Mapping[str, OperatingPoint]) -> dict[str, tuple[int, int]]:
    """Return how many answers ``points`` decide each way, and how many of those are right.

    It says what ``DecisionPolicy.decide`` does where every word is known.
    """
    totals = {decision: np.zeros(2, dtype=np.int64) for decision in ("auto", "suggest", "review")}
    for label, of_label in counts.items():
        point = points[label]
        auto = of_label.at_least(point.auto)[CLEAR:]
        suggest = of_label.at_least(point.suggest)[:CLEAR]
        if point.auto is not None and point.suggest is not None:
            suggest = suggest - of_label.at_least(max(point.auto, point.suggest))[CLEAR:]
        totals["auto"] += auto
        totals["suggest"] += suggest
        totals["review"] += of_label.at_least(0.0)[:CLEAR] - auto - suggest
    return {decision: (int(n), int(n_right)) for decision, (n, n_right) in totals.items()}

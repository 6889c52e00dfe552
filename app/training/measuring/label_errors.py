"""Tickets whose label is probably wrong: what out-of-fold predictions are confident about, against what was given.

Confident learning (Northcutt, Jiang & Chuang 2021): a label is a candidate for a ticket when its probability is at
least what the label's own tickets get on average; a ticket whose most probable candidate is not the given label is a
suspect. Suspects are ranked by their normalised margin, the given label's probability less the highest other one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.tickets.input_error import InputError
from app.tickets.writing import inert
from app.training.intake.labelled_tickets import Tickets

Method = Literal["builtin", "cleanlab"]

_COLUMNS = ("head", "given_label", "suggested_label", "given_probability", "suggested_probability")


@dataclass(frozen=True, slots=True)
class Suspect:
    """One ticket, by its position, whose label ``given`` is probably ``suggested``."""

    ticket: int
    given: str
    suggested: str
    given_probability: float
    suggested_probability: float


def check_method(method: Method) -> None:
    """Raise ``InputError`` when the package of a method is not installed: to be known before the work and not after."""
    if method == "cleanlab" and find_spec("cleanlab") is None:
        raise InputError(
            '--label-errors cleanlab needs the package "cleanlab": pip install "cleanlab>=2.7,<3", '
            "or leave the option out for the built-in method"
        )


def find_suspects(
    probabilities: NDArray[np.float64], given: Sequence[str], labels: Sequence[str], *, method: Method = "builtin"
) -> list[Suspect]:
    """Return the suspects, the most certain first.

    ``probabilities`` ``(n_tickets, n_labels)`` come from models that did not see the ticket; tickets without any, NaN,
    and those whose ``given`` is blank are not judged. ``labels`` is in the order of the columns.
    """
    has_label = np.array(list(map(bool, given)), dtype=np.bool_)
    tickets = np.flatnonzero(has_label & ~np.isnan(probabilities).any(axis=1))
    position = {label: i for i, label in enumerate(labels)}
    own = np.array([position[given[i]] for i in tickets.tolist()], dtype=np.int64)
    if not len(tickets):
        return []
    judge = _with_cleanlab if method == "cleanlab" else _with_confident_learning
    judged = probabilities[tickets]
    suspects = []
    for i in judge(judged, own).tolist():
        others = judged[i].copy()
        others[own[i]] = -1.0
        suggested = int(others.argmax())
        suspects.append(
            Suspect(
                ticket=int(tickets[i]),
                given=labels[own[i]],
                suggested=labels[suggested],
                given_probability=float(judged[i, own[i]]),
                suggested_probability=float(judged[i, suggested]),
            )
        )
    return suspects


def label_errors_csv(suspects: Mapping[str, Sequence[Suspect]], tickets: Tickets, *, show_texts: bool) -> bytes:
    """Return the suspects of every head as CSV for the people who know the tickets; texts only with ``show_texts``.

    ``row`` is the row in the training file, as a spreadsheet counts, blank for a ticket that comes from none, ``id``
    what the caller knows the ticket by, where that is known. A cell that a spreadsheet would take for a formula gets an
    apostrophe before it.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    ids = tickets.ids
    columns = ("row", *(() if ids is None else ("id",)), *_COLUMNS, *(("title", "description") if show_texts else ()))
    writer.writerow(columns)
    for head, found in suspects.items():
        for suspect in found:
            texts = (tickets.titles[suspect.ticket], tickets.descriptions[suspect.ticket]) if show_texts else ()
            writer.writerow(
                [
                    tickets.row_name(suspect.ticket),
                    *(() if ids is None else (inert(ids[suspect.ticket]),)),
                    head,
                    inert(suspect.given),
                    inert(suspect.suggested),
                    f"{suspect.given_probability:.4f}",
                    f"{suspect.suggested_probability:.4f}",
                    *map(inert, texts),
                ]
            )
    return buffer.getvalue().encode("utf-8")


def _with_confident_learning(probabilities: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.int64]:
    n_labels = probabilities.shape[1]
    counts = np.bincount(own, minlength=n_labels)
    of_own = probabilities[np.arange(len(own)), own]
    thresholds = np.bincount(own, weights=of_own, minlength=n_labels) / np.maximum(counts, 1)
    # No threshold without tickets of that label: nothing says what its probabilities mean.
    thresholds[counts == 0] = np.inf
    candidates = np.where(probabilities >= thresholds, probabilities, -1.0)
    others = probabilities.copy()
    others[np.arange(len(own)), own] = -1.0
    margin = of_own - others.max(axis=1)
    suspect = (candidates.max(axis=1) >= 0) & (candidates.argmax(axis=1) != own) & (margin < 0)
    positions = np.flatnonzero(suspect)
    return positions[np.argsort(margin[positions], kind="stable")]


def _with_cleanlab(probabilities: NDArray[np.float64], own: NDArray[np.int64]) -> NDArray[np.int64]:
    # Only who asks for it needs the package.
    from cleanlab.filter import find_label_issues  # noqa: PLC0415

    found = find_label_issues(
        own,
        probabilities / probabilities.sum(axis=1, keepdims=True),
        filter_by="confident_learning",
        return_indices_ranked_by="normalized_margin",
        n_jobs=1,
    )
    return np.asarray(found, dtype=np.int64)

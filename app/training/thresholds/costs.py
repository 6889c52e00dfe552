"""What answers cost: a table that says how bad each mistake is, against what it costs that a person looks.

The file is CSV or JSON lines with the columns ``head``, ``true``, ``predicted`` and ``cost``:

    head,true,predicted,cost
    priority,,,1
    priority,*,*,5
    priority,Urgent,*,60

A row without ``predicted`` is what a review costs, of tickets with that ``true`` label or, where it is blank too, of
any. ``*`` stands for every label that no other row names; of two rows that fit, the one that names ``true`` counts,
then the one that names ``predicted``. A right answer costs nothing unless a row names both labels. Costs are in any
unit, and only their ratios matter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.tickets.input_error import InputError, listed, quoted
from app.tickets.table import read_table

_COLUMNS = ("head", "true", "predicted", "cost")
_ANY = "*"


@dataclass(frozen=True, slots=True, eq=False)
class HeadCosts:
    """The costs of one head, its labels sorted.

    ``answer`` ``(n_labels, n_labels)``: of answering the second label where the first is true. ``review``
    ``(n_labels,)``: of a person who looks at a ticket of that label.
    """

    answer: NDArray[np.float64]
    review: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CostTable:
    """The rows of a file by head; a blank ``predicted`` is a review."""

    path: Path
    rows: Mapping[str, Mapping[tuple[str, str], float]]

    def of_heads(self, labels: Mapping[str, Sequence[str]]) -> dict[str, HeadCosts]:
        """Return the costs of each head of the table; ``labels`` are those of all heads that are trained.

        Raise ``InputError`` for a head or a label that is not trained, and for a mistake that no row names.
        """
        for head in self.rows:
            if head not in labels:
                raise InputError(f"{self.path}: the head {quoted(head)} is not trained; trained are {listed(labels)}")
        return {head: self._of_head(head, sorted(set(labels[head]))) for head in self.rows}

    def _of_head(self, head: str, labels: Sequence[str]) -> HeadCosts:
        rows = self.rows[head]
        known = {*labels, _ANY, ""}
        for pair in rows:
            for label in pair:
                if label not in known:
                    raise InputError(f"{self.path}: {head} has no label {quoted(label)}; it has {listed(labels)}")
        answer = np.zeros((len(labels), len(labels)))
        review = np.zeros(len(labels))
        for i, true in enumerate(labels):
            review[i] = self._first(head, [(true, ""), ("", ""), (_ANY, "")], f"a review of {quoted(true)}")
            for j, predicted in enumerate(labels):
                if i == j:
                    answer[i, j] = rows.get((true, true), 0.0)
                    continue
                fitting = [(true, predicted), (true, _ANY), (_ANY, predicted), (_ANY, _ANY)]
                answer[i, j] = self._first(head, fitting, f"{quoted(predicted)} where {quoted(true)} is true")
        return HeadCosts(answer, review)

    def _first(self, head: str, fitting: Sequence[tuple[str, str]], what: str) -> float:
        for pair in fitting:
            if pair in self.rows[head]:
                return self.rows[head][pair]
        hint = f"{head},,,1" if what.startswith("a review") else f"{head},{_ANY},{_ANY},5"
        raise InputError(f'{self.path}: no row of {head} has the cost of {what}; add one, such as "{hint}"')


def read_costs(path: Path) -> CostTable:
    """Read a cost table; raise ``InputError`` with one line that names file, row and column."""
    table = read_table(path)
    rows: dict[str, dict[tuple[str, str], float]] = {}
    for row in table.rows([table.column(name) for name in _COLUMNS]):
        head, true, predicted, cost = (field.strip() for field in row.fields)
        if not head:
            raise InputError(
                f'{path}, row {row.number}, column "head": it is blank; expected a name such as "priority"'
            )
        if predicted and not true:
            raise InputError(f'{path}, row {row.number}, column "true": it is blank; "*" stands for any label')
        of_head = rows.setdefault(head, {})
        if (true, predicted) in of_head:
            raise InputError(
                f"{path}, row {row.number}: {quoted(true)} answered as {quoted(predicted)} has a cost in an earlier row"
            )
        of_head[true, predicted] = _cost(path, row.number, cost)
    if not rows:
        raise InputError(f"{path} has a header and no costs")
    return CostTable(path, rows)


def _cost(path: Path, row_number: int, text: str) -> float:
    try:
        cost = float(text)
    except ValueError:
        cost = math.nan
    if not (math.isfinite(cost) and cost >= 0):
        raise InputError(f'{path}, row {row_number}, column "cost": {quoted(text)} is not a number of 0 or more')
    return cost

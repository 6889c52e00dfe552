"""What each term says for a text being one of the tickets, rather than a text that is no ticket at all.

``data/no_tickets.toml`` has such texts: what comes in by mistake or abuse. No head learns anything from them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from app.training.fitting.design import FittedFeatures, TermCounts
from app.training.fitting.fit import fit_head
from app.training.fitting.recipe import HeadRecipe
from app.training.fitting.softmax_regression import COARSE
from app.training.fitting.word_vectors import VectorBlock
from app.training.splitting.splits import Indices

DEFAULT_PATH = Path(__file__).parents[3] / "data" / "no_tickets.toml"
# Tickets are many and other texts few: together they weigh the same.
_RECIPE = HeadRecipe(inverse_regularisation=1.0, class_balance=1.0)

Floats = NDArray[np.float64]


def read_no_tickets() -> list[str]:
    by_kind = tomllib.loads(DEFAULT_PATH.read_text(encoding="utf-8"))
    return [text for texts in by_kind.values() for text in texts]


class TicketTeller:
    """Learns from ``no_tickets``, from tickets, and from their ``titles`` alone: short tickets are tickets, too.

    Other texts stand twice, once as a title and once as a description: where a text stands says nothing.
    """

    def __init__(self, no_tickets: Sequence[str], titles: Sequence[str]) -> None:
        blank = [""] * len(no_tickets)
        self._others = TermCounts([*no_tickets, *blank], [*blank, *no_tickets])
        self._n_others = 2 * len(no_tickets)
        self._titles = TermCounts(titles, [""] * len(titles))

    @property
    def words(self) -> NDArray[np.str_]:
        """Return the words of the texts that are no tickets."""
        return self._others.words

    def column(self, fitted: FittedFeatures, X: csr_matrix, tickets: Indices, vectors: VectorBlock | None) -> Floats:
        """Return coefficients ``(n_features,)`` that are the larger, the more a term is one of ``tickets``' own.

        ``X`` are their features.
        """
        others = self._others.features(fitted, np.arange(self._n_others))
        titles = self._titles.features(fitted, tickets)
        X_all = vstack([others, X, titles[np.diff(titles.indptr) > 0]], format="csr")
        is_ticket = np.arange(X_all.shape[0]) >= self._n_others
        linear = fit_head(X_all, is_ticket.astype(np.int64), 2, _RECIPE, vectors=vectors, tolerance=COARSE)
        column: Floats = linear.coefficients[:, 1] - linear.coefficients[:, 0]
        return column

    def of_titles(self, column: Floats, fitted: FittedFeatures, tickets: Indices) -> Floats:
        """Return what titles of ``tickets`` alone say for being tickets ``(n_tickets,)``, NaN of blank ones."""
        titles = self._titles.features(fitted, tickets)
        said: Floats = np.where(np.diff(titles.indptr) > 0, titles @ column, np.nan)
        return said

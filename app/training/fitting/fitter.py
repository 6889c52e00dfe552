"""Features and heads together: fit on some tickets, score others, by one recipe."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from app.training.fitting.design import FittedFeatures, TermCounts
from app.training.fitting.fit import LinearHead, fit_head
from app.training.fitting.pool import Pool
from app.training.fitting.recipe import FeatureRecipe, HeadRecipe
from app.training.fitting.softmax_regression import FINE
from app.training.fitting.ticket_teller import TicketTeller
from app.training.fitting.word_vectors import VectorBlock, WordVectors, vector_block
from app.training.splitting.splits import Indices

# A label that the training part lacks can never be predicted; no fitted logit comes near this one.
UNSEEN_LABEL_LOGIT = -1e3
# The folds of a cross-validation, and one for a fit on all of them.
_MOST_DESIGNS = 6
_NONE: Indices = np.array([], dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """The features of some tickets, ready for any number of heads; those of the pool come last."""

    tickets: Indices
    fitted: FittedFeatures
    X: csr_matrix
    vectors: VectorBlock | None


@dataclass(frozen=True, slots=True, eq=False)
class Familiarity:
    """What tickets have in common with those of a design, ``(n_tickets,)`` each.

    ``known_words`` and ``known_pairs`` are shares of their words and pairs of words; ``ticket`` is what their terms say
    for being tickets at all, and ``title`` those of their titles alone, if there are other texts to compare them with.
    """

    known_words: NDArray[np.float64]
    known_pairs: NDArray[np.float64]
    ticket: NDArray[np.float64] | None
    title: NDArray[np.float64] | None


class Fitter:
    """Fits by one ``FeatureRecipe``; ``truth`` is always the label numbers of all tickets, -1 where there is none.

    What words weigh comes from every ticket; a head is fitted to those that have a label of it, and to what a teacher
    says of the others where its recipe asks for that. Tickets of the ``pool`` stand beside those that are fitted on,
    and their terms are in ``counts``, after those of all others.
    """

    def __init__(
        self,
        counts: TermCounts,
        recipe: FeatureRecipe,
        vectors: WordVectors | None,
        *,
        pool: Pool | None = None,
        teller: TicketTeller | None = None,
        tolerance: float = FINE,
    ) -> None:
        self._pool = pool
        self._tolerance = tolerance
        self._counts = counts
        self._recipe = recipe
        self._vectors = vectors if recipe.word_vectors > 0 else None
        self._teller = teller
        # Words that no text has change nothing until there are other tickets.
        words = counts.words if teller is None else np.union1d(counts.words, teller.words)
        self._vectors_seen = None if self._vectors is None else self._vectors.restricted_to(words)
        self._designs: OrderedDict[bytes, Design] = OrderedDict()

    @property
    def recipe(self) -> FeatureRecipe:
        return self._recipe

    @property
    def enough_senders(self) -> dict[str, int]:
        """Return the words that a served vocabulary has anyway, and how many senders must have each to be known.

        Those of the word vectors one, so that a ticket had them; those of the pool none that has a label.
        """
        of_table = [] if self._vectors is None else self._vectors.words.tolist()
        of_pool = [] if self._pool is None else self._counts.words_of(self._pool.apart_from(_NONE)).tolist()
        return dict.fromkeys(of_table, 1) | dict.fromkeys(of_pool, 0)

    def n_left_out(self, design: Design) -> int:
        """Return how many terms of the tickets are in no vocabulary of ``design``."""
        return self._counts.n_left_out(design.fitted)

    def design(self, tickets: Indices) -> Design:
        """Return the features of ``tickets``; the last few are remembered, because every head asks for the same."""
        key = tickets.tobytes()
        if key not in self._designs:
            self._designs[key] = self._make_design(tickets, self._vectors_seen)
            if len(self._designs) > _MOST_DESIGNS:
                self._designs.popitem(last=False)
        return self._designs[key]

    def complete_design(self, tickets: Indices) -> Design:
        """Return the features to serve: with the words of the whole table, which tickets to come may have."""
        return self._make_design(self._with_pool(tickets), self._vectors)

    def _make_design(self, tickets: Indices, vectors: WordVectors | None) -> Design:
        fitted = self._counts.fit(
            self._recipe.features, tickets, extra_words=None if vectors is None else vectors.words
        )
        X = self._counts.features(fitted, tickets)
        block = None if vectors is None else vector_block(vectors, fitted, X, scale=self._recipe.word_vectors)
        return Design(tickets, fitted, X, block)

    def _with_pool(self, tickets: Indices, *, apart_from: Indices = _NONE) -> Indices:
        """Return ``tickets`` and, after them, those of the pool that nearly repeat none of ``apart_from``."""
        return tickets if self._pool is None else np.concatenate([tickets, self._pool.apart_from(apart_from)])

    def fit(self, design: Design, truth: NDArray[np.int64], n_labels: int, recipe: HeadRecipe) -> LinearHead:
        """Fit a head; ``truth`` is that of the tickets of ``design``."""
        has_label = truth >= 0
        if self._pool is not None and recipe.teacher_share > 0 and not has_label.all():
            lesson = self._pool.lesson(design.tickets, truth, n_labels, recipe.teacher_share)
            X = design.X[lesson.tickets]
            return fit_head(X, lesson.shares, n_labels, recipe, vectors=design.vectors, tolerance=self._tolerance)
        X = design.X if has_label.all() else design.X[np.flatnonzero(has_label)]
        return fit_head(X, truth[has_label], n_labels, recipe, vectors=design.vectors, tolerance=self._tolerance)

    def ticket_column(self, design: Design) -> NDArray[np.float64] | None:
        """Return coefficients ``(n_features,)`` that tell the tickets of ``design`` from other texts, if any."""
        if self._teller is None:
            return None
        return self._teller.column(design.fitted, design.X, design.tickets, design.vectors)

    def familiarity(self, train: Indices, others: Indices, *, apart: TermCounts | None = None) -> Familiarity:
        """Return what ``others`` have in common with ``train``; of tickets ``apart``, nothing of their titles alone."""
        design = self.design(self._with_pool(train, apart_from=_NONE if apart is not None else others))
        counts, n_fitted = apart or self._counts, len(design.tickets)
        words, pairs = (counts.known_share(design.fitted, others, n_words=n, n_fitted=n_fitted) for n in (1, 2))
        ticket, title, column = None, None, self.ticket_column(design)
        if self._teller is not None and column is not None:
            ticket = counts.features(design.fitted, others) @ column
            title = self._teller.of_titles(column, design.fitted, others) if apart is None else None
        return Familiarity(words, pairs, ticket, title)

    def score(
        self,
        train: Indices,
        others: Indices,
        *,
        truth: NDArray[np.int64],
        n_labels: int,
        recipes: Mapping[str, HeadRecipe],
        apart: TermCounts | None = None,
    ) -> dict[str, NDArray[np.float64]]:
        """Fit on ``train`` once for each of ``recipes``, and return their logits ``(n_others, n_labels)``.

        With ``apart``, ``others`` are tickets of those terms, which nothing is ever fitted on.
        """
        taught = self._with_pool(train, apart_from=_NONE if apart is not None else others)
        of_train = truth[taught]
        present = np.unique(of_train[of_train >= 0])
        if len(present) <= 1:
            # Nothing to fit: a few tickets, where one group had all of the other labels.
            logits = np.full((len(others), n_labels), UNSEEN_LABEL_LOGIT)
            logits[:, present] = 0.0
            return dict.fromkeys(recipes, logits)
        design = self.design(taught)
        X = (apart or self._counts).features(design.fitted, others)
        numbers = np.where(of_train >= 0, np.searchsorted(present, of_train), -1)
        answers = {}
        for name, recipe in recipes.items():
            answers[name] = np.full((len(others), n_labels), UNSEEN_LABEL_LOGIT)
            answers[name][:, present] = self.fit(design, numbers, len(present), recipe).logits(X)
        return answers

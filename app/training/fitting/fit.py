"""Fitting: one logistic regression a head on shared TF-IDF features, and its form as plain served weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from app.models.decisions import DecisionPolicy
from app.models.features import FeatureSpec
from app.models.likeness import TrainingLikeness
from app.models.model_data import Head, ModelData
from app.training.fitting.design import FittedFeatures
from app.training.fitting.recipe import HeadRecipe
from app.training.fitting.softmax_regression import FINE, Targets, fit_softmax, label_totals
from app.training.fitting.word_vectors import VectorBlock

Float32s = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """Logits are ``X @ coefficients + bias``: ``(n_features, n_labels)`` and ``(n_labels,)``, both float64."""

    coefficients: NDArray[np.float64]
    bias: NDArray[np.float64]

    def logits(self, X: csr_matrix) -> NDArray[np.float64]:
        logits: NDArray[np.float64] = X @ self.coefficients + self.bias
        return logits

    def with_temperature(self, temperature: float) -> LinearHead:
        """Return the head whose logits are divided by ``temperature``."""
        return LinearHead(self.coefficients / temperature, self.bias / temperature)

    def centred(self) -> LinearHead:
        """Return the head with the same probabilities whose logits have a mean of zero."""
        return LinearHead(
            self.coefficients - self.coefficients.mean(axis=1, keepdims=True), self.bias - self.bias.mean()
        )

    def as_served(self, idf: NDArray[np.float64]) -> LinearHead:
        """Return the head whose ``idf * coefficient`` are exactly float32, as served weights are."""
        served = (self.coefficients * idf[:, np.newaxis]).astype(np.float32)
        return LinearHead(served.astype(np.float64) / idf[:, np.newaxis], self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A fitted and calibrated head, as it is served, and how its answers are decided."""

    name: str
    labels: tuple[str, ...]
    linear: LinearHead
    policy: DecisionPolicy


def fit_head(
    X: csr_matrix,
    targets: Targets,
    n_labels: int,
    recipe: HeadRecipe,
    *,
    vectors: VectorBlock | None = None,
    tolerance: float = FINE,
) -> LinearHead:
    """Fit ``X`` ``(n_tickets, n_features)`` to label numbers or shares; the same input gives the same head."""
    weights = _ticket_weights(targets, n_labels, recipe.class_balance)
    scales = None
    if recipe.naive_bayes > 0:
        scales = naive_bayes_scales(X, targets, n_labels, weights, smoothing=recipe.naive_bayes)
    vectors = None if vectors is None else vectors.scaled(recipe.vector_strength)
    fitted = fit_softmax(
        X,
        targets,
        n_labels=n_labels,
        inverse_regularisation=recipe.inverse_regularisation,
        dense=None if vectors is None else vectors.of_tickets(X),
        ticket_weights=weights,
        feature_scales=scales,
        tolerance=tolerance,
    )
    coefficients = fitted.sparse.astype(np.float64)
    if vectors is not None:
        coefficients += vectors.fold(fitted.dense, X.shape[1])
    return LinearHead(coefficients, fitted.bias.astype(np.float64))


def naive_bayes_scales(
    X: csr_matrix, targets: Targets, n_labels: int, ticket_weights: Float32s, *, smoothing: float
) -> Float32s:
    """Return how much each feature may tell a label from the rest, ``(n_features, n_labels)``, with mean square one.

    The log ratio r of its share among the features of the label and among those of all others is the scale of Wang &
    Manning (2012, section 2.1). Half of the square is a constant: a feature that says nothing by itself may still
    correct others, which is worth what averaging a fit with r and one without is worth, at half the cost.
    """
    if targets.ndim == 1:
        one_hot = csr_matrix((ticket_weights, (targets, np.arange(len(targets)))), shape=(n_labels, len(targets)))
        of_label = np.asarray((one_hot @ X).todense(), dtype=np.float64)
    else:
        of_label = np.asarray((X.T @ (targets * ticket_weights[:, np.newaxis])).T, dtype=np.float64)
    of_others = of_label.sum(axis=0) - of_label + smoothing
    of_label += smoothing
    shares, other_shares = (part / part.sum(axis=1, keepdims=True) for part in (of_label, of_others))
    squares = np.square(np.log(shares / other_shares)).T
    scales: Float32s = np.sqrt((1 + squares / squares.mean()) / 2).astype(np.float32)
    return scales


def to_model_data(
    features: FeatureSpec,
    fitted: FittedFeatures,
    heads: Sequence[FittedHead],
    likeness: TrainingLikeness | None = None,
    ticket_column: NDArray[np.float64] | None = None,
) -> ModelData:
    """Return what the service loads; the heads are ``as_served``."""
    idf = fitted.idf
    columns = [head.linear.coefficients for head in heads]
    if ticket_column is not None:
        columns.append(ticket_column[:, np.newaxis])
    weights = np.concatenate(columns, axis=1) * idf[:, np.newaxis]
    return ModelData(
        features=features,
        terms=tuple(tuple(block.terms.tolist()) for block in fitted.blocks),
        idf=idf,
        weights=weights.astype(np.float32),
        heads=tuple(Head(head.name, head.labels, tuple(head.linear.bias.tolist()), head.policy) for head in heads),
        likeness=likeness,
    )


def to_scikit_learn(head: FittedHead) -> LogisticRegression:
    """Return the head as a fitted estimator; ``predict_proba`` gives the served probabilities."""
    estimator = LogisticRegression()
    coefficients, bias = head.linear.coefficients.T, head.linear.bias
    if len(head.labels) == 2:  # noqa: PLR2004 - where scikit-learn keeps one row, for the second label
        coefficients, bias = coefficients[1:] - coefficients[:1], bias[1:] - bias[:1]
    estimator.classes_ = np.array(head.labels, dtype=object)
    estimator.coef_ = np.ascontiguousarray(coefficients)
    estimator.intercept_ = bias
    estimator.n_features_in_ = coefficients.shape[1]
    # Not iterations of its own solver; scikit-learn has the attribute on every fitted estimator.
    estimator.n_iter_ = np.zeros(1, dtype=np.int32)
    return estimator


def _ticket_weights(targets: Targets, n_labels: int, class_balance: float) -> Float32s:
    counts = np.maximum(label_totals(targets, n_labels), 1)
    of_label = (len(targets) / (n_labels * counts)) ** class_balance
    weights: Float32s = (of_label[targets] if targets.ndim == 1 else targets @ of_label).astype(np.float32)
    return weights

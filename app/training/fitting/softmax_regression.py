"""Multinomial logistic regression on sparse features beside a dense block, quickly and reproducibly.

The objective is that of scikit-learn's ``LogisticRegression`` with an L2 penalty,
``sum_i s_i * -log softmax(x_i W + d_i V + b)[y_i] + (|W|^2 + |V|^2) / (2 C)``, without a penalty on ``b``; of a ticket
that is a share of each label, the logarithms are averaged by the shares. It is minimised by L-BFGS (Nocedal 1980) in
single precision, whose error lies far below what held-out tickets can tell apart. Trying a step length costs no product
with the features, because the logits of a step are those of its start plus a multiple of its direction's.

``feature_scales`` r make the model ``x (r * W)``: a feature with a large r is penalised less. With the ratios of naive
Bayes as r this is the NB-SVM of Wang & Manning (2012), with a logistic loss.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Float32s = NDArray[np.float32]
# Label numbers ``(n_tickets,)``, or how much of each label each ticket is, ``(n_tickets, n_labels)``, rows of sum one.
Targets = NDArray[np.int64] | Float32s

# The relative decrease of the objective in a step below which a fit ends. Coarse fits are for comparing recipes.
FINE = 1e-5
COARSE = 1e-4
_MEMORY = 6
_MAX_ITERATIONS = 100
_MAX_HALVINGS = 12
_FEWEST_ITERATIONS = 10
_SUFFICIENT_DECREASE = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class SoftmaxWeights:
    """``sparse`` ``(n_features, n_labels)``, scales included; ``dense`` ``(n_dimensions, n_labels)``; ``bias``."""

    sparse: Float32s
    dense: Float32s
    bias: Float32s


def fit_softmax(  # noqa: PLR0913 - the terms of one objective
    X: csr_matrix,
    targets: Targets,
    *,
    n_labels: int,
    inverse_regularisation: float,
    dense: Float32s | None = None,
    ticket_weights: Float32s | None = None,
    feature_scales: Float32s | None = None,
    tolerance: float = FINE,
) -> SoftmaxWeights:
    """Fit ``X`` ``(n_tickets, n_features)`` and ``dense`` ``(n_tickets, n_dimensions)`` to ``targets``.

    ``ticket_weights`` is ``(n_tickets,)``, ``feature_scales`` ``(n_features, n_labels)``; both default to ones.
    """
    n_tickets, n_features = X.shape
    problem = _Problem(
        X=X.astype(np.float32).tocsr(),
        dense=np.zeros((n_tickets, 0), np.float32) if dense is None else dense.astype(np.float32),
        targets=targets,
        ticket_weights=np.ones(n_tickets, np.float32) if ticket_weights is None else ticket_weights,
        feature_scales=feature_scales,
        penalty=np.float32(1 / inverse_regularisation),
    )
    W = np.zeros((n_features + problem.dense.shape[1] + 1, n_labels), np.float32)
    W[-1] = _log_prior(label_totals(targets, n_labels, problem.ticket_weights))
    W = _minimise(problem, W, tolerance)
    return SoftmaxWeights(problem.scaled(W[:n_features]), W[n_features:-1], W[-1])


def label_totals(targets: Targets, n_labels: int, ticket_weights: Float32s | None = None) -> NDArray[np.float64]:
    """Return how much the tickets of each label weigh together, ``(n_labels,)``; one each without weights."""
    if targets.ndim == 1:
        return np.bincount(targets, weights=ticket_weights, minlength=n_labels).astype(np.float64)
    totals: NDArray[np.float64] = (
        targets.sum(axis=0, dtype=np.float64) if ticket_weights is None else ticket_weights.astype(np.float64) @ targets
    )
    return totals


def _log_prior(totals: NDArray[np.float64]) -> Float32s:
    prior: Float32s = np.log(np.maximum(totals, 1e-3) / totals.sum()).astype(np.float32)
    return prior


@dataclass(slots=True, eq=False)
class _Problem:
    """The objective and its gradient; the rows of ``W`` are features, dense dimensions, and the bias."""

    X: csr_matrix
    dense: Float32s
    targets: Targets
    ticket_weights: Float32s
    feature_scales: Float32s | None
    penalty: np.float32
    X_transposed: csr_matrix = field(init=False)
    rows: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.X_transposed = self.X.T.tocsr()
        self.rows = np.arange(len(self.targets))

    def scaled(self, sparse: Float32s) -> Float32s:
        if self.feature_scales is None:
            return sparse
        scaled: Float32s = self.feature_scales * sparse
        return scaled

    def logits(self, W: Float32s) -> Float32s:
        n_features = self.X.shape[1]
        logits: Float32s = self.X @ self.scaled(W[:n_features])
        logits += self.dense @ W[n_features:-1]
        logits += W[-1]
        return logits

    def loss(self, logits: Float32s, W: Float32s) -> tuple[float, Float32s]:
        """Return the objective and the probabilities that its gradient needs."""
        largest = logits.max(axis=1, keepdims=True)
        probabilities = np.exp(logits - largest)
        totals = probabilities.sum(axis=1, keepdims=True)
        probabilities /= totals
        losses = np.log(totals[:, 0]) + largest[:, 0] - self._of_targets(logits)
        penalty = 0.5 * float(self.penalty) * float(np.square(W[:-1]).sum(dtype=np.float64))
        return float((self.ticket_weights * losses).sum(dtype=np.float64)) + penalty, probabilities

    def _of_targets(self, logits: Float32s) -> Float32s:
        """Return the logit of each ticket's label, or the mean of its logits by the shares of its labels."""
        mine: Float32s = (
            logits[self.rows, self.targets] if self.targets.ndim == 1 else np.einsum("ij,ij->i", self.targets, logits)
        )
        return mine

    def gradient(self, probabilities: Float32s, W: Float32s) -> Float32s:
        """Return the gradient at ``W``; ``probabilities`` are overwritten."""
        residuals = probabilities
        if self.targets.ndim == 1:
            residuals[self.rows, self.targets] -= 1
        else:
            residuals -= self.targets
        residuals *= self.ticket_weights[:, np.newaxis]
        n_features = self.X.shape[1]
        gradient: Float32s = self.penalty * W
        gradient[:n_features] += self.scaled(self.X_transposed @ residuals)
        gradient[n_features:-1] += self.dense.T @ residuals
        gradient[-1] = residuals.sum(axis=0)
        return gradient


def _minimise(problem: _Problem, W: Float32s, tolerance: float) -> Float32s:
    logits = problem.logits(W)
    loss, probabilities = problem.loss(logits, W)
    gradient = problem.gradient(probabilities, W)
    history: deque[tuple[Float32s, Float32s, float]] = deque(maxlen=_MEMORY)
    for iteration in range(_MAX_ITERATIONS):
        direction = -_inverse_hessian_times(gradient, history)
        slope = float(np.vdot(gradient, direction))
        if slope >= 0:
            break
        direction_logits = problem.logits(direction)
        step, new_loss = 1.0, np.inf
        for _ in range(_MAX_HALVINGS):
            candidate = W + np.float32(step) * direction
            new_loss, probabilities = problem.loss(logits + np.float32(step) * direction_logits, candidate)
            if new_loss <= loss + _SUFFICIENT_DECREASE * step * slope:
                break
            step /= 2
        else:
            break
        new_gradient = problem.gradient(probabilities, candidate)
        moved, turned = candidate - W, new_gradient - gradient
        curvature = float(np.vdot(moved, turned))
        if curvature > 0:
            history.append((moved, turned, curvature))
        decrease = (loss - new_loss) / max(abs(loss), 1.0)
        W, gradient, loss = candidate, new_gradient, new_loss
        logits += np.float32(step) * direction_logits
        if decrease < tolerance and iteration >= _FEWEST_ITERATIONS:
            break
    return W


def _inverse_hessian_times(gradient: Float32s, history: deque[tuple[Float32s, Float32s, float]]) -> Float32s:
    """Return the two-loop recursion of L-BFGS (Nocedal & Wright 2006, algorithm 7.4)."""
    if not history:
        return gradient / np.float32(np.sqrt(np.vdot(gradient, gradient)) + 1e-12)
    q = gradient.copy()
    factors = []
    for moved, turned, curvature in reversed(history):
        factor = np.float32(np.vdot(moved, q) / curvature)
        factors.append(factor)
        q -= factor * turned
    _, turned, curvature = history[-1]
    q *= np.float32(curvature / np.vdot(turned, turned))
    for (moved, turned, curvature), factor in zip(history, reversed(factors), strict=True):
        q += (factor - np.float32(np.vdot(turned, q) / curvature)) * moved
    return q

"""What a teacher says of tickets: shares of labels, from the vectors of a sentence encoder.

It has two sources. Labelled tickets, and texts that describe labels, are fitted by a logistic regression. And where
labels are described, each has a prototype, which is where its texts point, moved to where the tickets lie that are
nearest to it: k-means with soft assignments that begins at the descriptions, and never leaves them altogether. How
much either source counts is what predicts labelled tickets best; without any, the prototypes alone do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import log_softmax, softmax

from app.training.fitting.softmax_regression import Float32s, fit_softmax

# Measured on three public sets with ten or sixteen tickets a label: a weaker penalty changed nothing, a stronger one
# cost a point. A sharpness above one makes shares firmer than the regression's own, which is shy with few tickets; it
# is one over a temperature of one half.
_INVERSE_REGULARISATION = 10.0
_SHARPNESS = 2.0
# Cosines become logits by this factor, as in the training of such encoders.
_COSINE_SCALE = 20.0
# What a text of a label weighs in its prototype, beside the mean of the tickets that are nearest to it.
_TEXT_WEIGHT = 0.5
_N_ROUNDS = 10
_N_FOLDS = 5
# What is tried where there are both sources: the sharpness of the regression, and what prototypes count.
_SHARPNESSES = (0.0, 1.0, 2.0, 4.0)
_PROTOTYPE_WEIGHTS = (0.0, 0.25, 0.5, 1.0)
_FEWEST_TO_CHOOSE = 10


def shares_by_regression(labelled: Float32s, truth: NDArray[np.int64], others: Float32s, *, n_labels: int) -> Float32s:
    """Return shares ``(n_others, n_labels)``; ``labelled`` and ``others`` are vectors, a row a ticket."""
    return _shares(_SHARPNESS * _regression_logits(labelled, truth, others, n_labels))


def shares_by_descriptions(
    texts: Float32s,
    labels: NDArray[np.int64],
    others: Float32s,
    *,
    labelled: Float32s,
    truth: NDArray[np.int64],
    n_labels: int,
) -> Float32s:
    """Return shares ``(n_others, n_labels)``; ``texts`` are vectors that describe ``labels``, each of which has one."""
    n_labelled = len(truth)
    of_prototypes = _prototype_logits(texts, labels, np.concatenate([labelled, others]), n_labels)
    if n_labelled < _FEWEST_TO_CHOOSE:
        return _shares(of_prototypes[n_labelled:])
    out_of_fold = np.empty((n_labelled, n_labels))
    folds = np.arange(n_labelled) % _N_FOLDS
    for fold in range(_N_FOLDS):
        kept = folds != fold
        known, of_known = np.concatenate([labelled[kept], texts]), np.concatenate([truth[kept], labels])
        out_of_fold[~kept] = _regression_logits(known, of_known, labelled[~kept], n_labels)

    def log_loss(sharpness: float, weight: float) -> float:
        logits = sharpness * out_of_fold + weight * of_prototypes[:n_labelled]
        return float(-log_softmax(logits, axis=1)[np.arange(n_labelled), truth].mean())

    choices = [(sharpness, weight) for sharpness in _SHARPNESSES for weight in _PROTOTYPE_WEIGHTS]
    sharpness, weight = min(choices, key=lambda choice: log_loss(*choice))
    known, of_known = np.concatenate([labelled, texts]), np.concatenate([truth, labels])
    of_regression = _regression_logits(known, of_known, others, n_labels)
    return _shares(sharpness * of_regression + weight * of_prototypes[n_labelled:])


def _shares(logits: NDArray[np.float64]) -> Float32s:
    shares: Float32s = softmax(logits, axis=1).astype(np.float32)
    return shares


def _regression_logits(
    labelled: Float32s, truth: NDArray[np.int64], others: Float32s, n_labels: int
) -> NDArray[np.float64]:
    fitted = fit_softmax(
        csr_matrix((len(truth), 0)),
        truth,
        n_labels=n_labels,
        inverse_regularisation=_INVERSE_REGULARISATION,
        dense=labelled,
    )
    logits: NDArray[np.float64] = (others @ fitted.dense + fitted.bias).astype(np.float64)
    return logits


def _prototype_logits(
    texts: Float32s, labels: NDArray[np.int64], tickets: Float32s, n_labels: int
) -> NDArray[np.float64]:
    """Return ``(n_tickets, n_labels)``: scaled cosines to where each label's texts and nearest tickets point.

    Texts and tickets are centred each on their own mean, because all tickets of a team have something in common.
    """
    n_texts = np.bincount(labels, minlength=n_labels)
    means = np.stack([texts[labels == label].mean(axis=0) for label in range(n_labels)])
    described = _of_length_one(_of_length_one(means) - _of_length_one(means).mean(axis=0))
    if not len(tickets):
        return np.zeros((0, n_labels))
    centred = _of_length_one(tickets - tickets.mean(axis=0))
    prototypes = described
    for _ in range(_N_ROUNDS):
        nearest = softmax(_COSINE_SCALE * (centred @ prototypes.T), axis=1)
        moved = _of_length_one((nearest / np.maximum(nearest.sum(axis=0), 1e-9)).T @ centred)
        prototypes = _of_length_one(_TEXT_WEIGHT * n_texts[:, np.newaxis] * described + moved)
    logits: NDArray[np.float64] = (_COSINE_SCALE * (centred @ prototypes.T)).astype(np.float64)
    return logits


def _of_length_one(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    scaled: NDArray[np.floating] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return scaled

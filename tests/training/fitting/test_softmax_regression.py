"""The regression is scikit-learn's, with weights, scales and a dense block, and the same input gives the same bits."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack, vstack
from sklearn.linear_model import LogisticRegression

from app.training.fitting.softmax_regression import SoftmaxWeights, fit_softmax

C = 3.0
N_LABELS = 3


def problem(seed: int = 0) -> tuple[csr_matrix, np.ndarray]:
    """Sparse rows of length one, as TF-IDF makes them, and labels that they say something about."""
    rng = np.random.default_rng(seed)
    X = rng.exponential(size=(240, 30)) * (rng.random((240, 30)) < 0.25)
    X[:, 0] += 0.1
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    truth = (X @ rng.normal(size=(30, N_LABELS)) * 4 + rng.gumbel(size=(240, N_LABELS))).argmax(axis=1)
    return csr_matrix(X), truth


def ours(X: csr_matrix, truth: np.ndarray, **terms: np.ndarray) -> SoftmaxWeights:
    return fit_softmax(X, truth, n_labels=N_LABELS, inverse_regularisation=C, tolerance=1e-8, **terms)


def scikit_learn(
    X: csr_matrix | np.ndarray, truth: np.ndarray, sample_weight: np.ndarray | None = None
) -> LogisticRegression:
    return LogisticRegression(C=C, tol=1e-8, max_iter=5_000).fit(X, truth, sample_weight=sample_weight)


def probabilities(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_sparse_features_get_the_probabilities_of_scikit_learn() -> None:
    X, truth = problem()

    fitted = ours(X, truth)

    expected = scikit_learn(X, truth).predict_proba(X)
    np.testing.assert_allclose(probabilities(X @ fitted.sparse + fitted.bias), expected, atol=2e-3)


def test_a_dense_block_beside_the_sparse_one_is_as_if_they_were_one() -> None:
    X, truth = problem()
    dense = np.random.default_rng(1).normal(size=(240, 4)).astype(np.float32)

    fitted = ours(X, truth, dense=dense)

    both = hstack([X, csr_matrix(dense)], format="csr")
    logits = X @ fitted.sparse + dense @ fitted.dense + fitted.bias
    np.testing.assert_allclose(probabilities(logits), scikit_learn(both, truth).predict_proba(both), atol=2e-3)


def test_a_ticket_that_weighs_two_counts_like_two_tickets() -> None:
    X, truth = problem()
    weights = np.random.default_rng(2).integers(1, 4, 240).astype(np.float32)

    fitted = ours(X, truth, ticket_weights=weights)

    expected = scikit_learn(X, truth, weights).predict_proba(X)
    np.testing.assert_allclose(probabilities(X @ fitted.sparse + fitted.bias), expected, atol=2e-3)


def test_scaling_a_feature_for_all_labels_is_scaling_its_column() -> None:
    X, truth = problem()
    scales = np.random.default_rng(3).uniform(0.3, 3, 30).astype(np.float32)

    fitted = ours(X, truth, feature_scales=np.repeat(scales[:, np.newaxis], N_LABELS, axis=1))

    scaled = X.multiply(scales).tocsr()
    expected = scikit_learn(scaled, truth).predict_proba(scaled)
    np.testing.assert_allclose(probabilities(X @ fitted.sparse + fitted.bias), expected, atol=2e-3)


def test_a_scale_of_one_label_lets_it_alone_use_the_feature() -> None:
    X, truth = problem()
    scales = np.ones((30, N_LABELS), np.float32)
    scales[5] = (1, 0, 0)

    fitted = ours(X, truth, feature_scales=scales)

    assert fitted.sparse[5, 0] != 0
    assert (fitted.sparse[5, 1:] == 0).all()


def test_the_same_input_gives_the_same_bits() -> None:
    X, truth = problem()

    first, second = (ours(X, truth) for _ in range(2))

    assert first.sparse.tobytes() == second.sparse.tobytes()
    assert first.bias.tobytes() == second.bias.tobytes()


def test_without_features_the_answer_is_the_share_of_each_label() -> None:
    truth = np.array([0] * 6 + [1] * 3 + [2])

    fitted = ours(csr_matrix((10, 1)), truth)

    np.testing.assert_allclose(probabilities(fitted.bias[np.newaxis])[0], [0.6, 0.3, 0.1], atol=1e-3)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-6])
def test_a_finer_tolerance_never_gives_a_worse_objective(tolerance: float) -> None:
    X, truth = problem()

    def objective(tolerance: float) -> float:
        fitted = fit_softmax(X, truth, n_labels=N_LABELS, inverse_regularisation=C, tolerance=tolerance)
        right = probabilities(X @ fitted.sparse + fitted.bias)[np.arange(240), truth]
        return float(-np.log(right).sum() + np.square(fitted.sparse).sum() / (2 * C))

    assert objective(tolerance / 100) <= objective(tolerance) + 1e-4


def test_shares_of_a_label_each_are_as_label_numbers() -> None:
    X, truth = problem()

    fitted = ours(X, np.eye(N_LABELS, dtype=np.float32)[truth])

    expected = ours(X, truth)
    np.testing.assert_allclose(fitted.sparse, expected.sparse, atol=2e-3)


def test_a_ticket_of_two_labels_is_as_two_tickets_that_weigh_its_shares() -> None:
    X, truth = problem()
    other = (truth + 1) % N_LABELS
    one_hot = np.eye(N_LABELS, dtype=np.float32)

    fitted = ours(X, np.float32(0.75) * one_hot[truth] + np.float32(0.25) * one_hot[other])

    weights = np.repeat([0.75, 0.25], X.shape[0]).astype(np.float32)
    twice = csr_matrix(vstack([X, X]))
    expected = ours(twice, np.concatenate([truth, other]), ticket_weights=weights)
    np.testing.assert_allclose(
        probabilities(X @ fitted.sparse + fitted.bias), probabilities(X @ expected.sparse + expected.bias), atol=2e-3
    )

"""A fitted head as plain weights, and as the scikit-learn estimator that says the same."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from app.models.decisions import DecisionPolicy, OperatingPoint
from app.models.features import BlockSpec, FeatureSpec
from app.models.scorer import softmax
from app.training.fitting.design import TermCounts
from app.training.fitting.fit import (
    FittedHead,
    LinearHead,
    fit_head,
    naive_bayes_scales,
    to_model_data,
    to_scikit_learn,
)
from app.training.fitting.recipe import HeadRecipe
from app.training.fitting.word_vectors import WordVectors, vector_block

TITLES = ["server down", "server broken", "server slow", "refund please", "invoice refund", "invoice wrong"] * 5
COUNTS = TermCounts(TITLES, [""] * len(TITLES))
ALL = np.arange(len(TITLES))
FITTED = COUNTS.fit(FeatureSpec((BlockSpec("word"),)), ALL)
X = COUNTS.features(FITTED, ALL)
TWO = np.array([0, 0, 0, 1, 1, 1] * 5)
THREE = np.array([0, 0, 1, 2, 2, 1] * 5)


def head(labels: tuple[str, ...], linear: LinearHead) -> FittedHead:
    points = dict.fromkeys(labels, OperatingPoint(0.9, 0.5))
    return FittedHead("department", labels, linear, DecisionPolicy(points, 0.1, 0.5))


@pytest.mark.parametrize(("truth", "labels"), [(TWO, ("a", "b")), (THREE, ("a", "b", "c"))], ids=["two", "three"])
def test_the_scikit_learn_part_gives_the_same_probabilities_and_labels(
    truth: np.ndarray, labels: tuple[str, ...]
) -> None:
    fitted = head(labels, fit_head(X, truth, len(labels), HeadRecipe()).with_temperature(1.7))

    estimator = to_scikit_learn(fitted)

    np.testing.assert_allclose(estimator.predict_proba(X), softmax(fitted.linear.logits(X)), atol=1e-12)
    assert estimator.predict(X).tolist() == [labels[i] for i in truth]
    assert tuple(estimator.classes_) == labels


def test_two_labels_are_fitted_like_scikit_learn_with_half_the_penalty() -> None:
    # Two opposite columns share one difference w as w/2 and -w/2, whose squares sum to half of w's.
    ours = softmax(fit_head(X, TWO, 2, HeadRecipe(inverse_regularisation=4.0), tolerance=1e-8).logits(X))

    theirs = LogisticRegression(C=8.0, tol=1e-8, max_iter=5_000).fit(X, TWO).predict_proba(X)

    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_balance_lets_a_rare_label_be_heard() -> None:
    truth = np.array([0] * 27 + [1] * 3)
    same = csr_matrix(np.ones((30, 1)))

    def share_of_rare(balance: float) -> float:
        logits = fit_head(same, truth, 2, HeadRecipe(class_balance=balance)).logits(same)
        return float(softmax(logits)[0, 1])

    assert share_of_rare(0.0) == pytest.approx(0.1, abs=0.01)
    assert share_of_rare(0.5) == pytest.approx(0.25, abs=0.01)
    assert share_of_rare(1.0) == pytest.approx(0.5, abs=0.01)


def test_naive_bayes_scales_have_mean_square_one_and_favour_what_tells_labels_apart() -> None:
    features = csr_matrix(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]))

    scales = naive_bayes_scales(features, np.array([0, 0, 1, 1]), 2, np.ones(4, np.float32), smoothing=0.1)

    assert np.square(scales).mean() == pytest.approx(1.0, rel=1e-5)
    # The first feature is in every ticket and says nothing, but it may still correct others.
    np.testing.assert_allclose(scales[0], np.sqrt(0.5), rtol=1e-5)
    assert (scales[1:] > 1).all()


def test_word_vectors_move_a_word_that_no_ticket_has_to_the_label_of_words_like_it() -> None:
    table = WordVectors.load()
    fitted = COUNTS.fit(FeatureSpec((BlockSpec("word"),)), ALL, extra_words=table.words)
    features = COUNTS.features(fitted, ALL)
    block = vector_block(table, fitted, features, scale=1.0)

    linear = fit_head(features, TWO, 2, HeadRecipe(), vectors=block)

    terms = fitted.blocks[0].terms
    reimbursement, network = (
        linear.coefficients[np.searchsorted(terms, word)] for word in ("reimbursement", "network")
    )
    assert reimbursement[1] > reimbursement[0]
    assert network[0] > network[1]


def test_the_stronger_word_vectors_are_the_surer_is_a_word_that_no_ticket_has() -> None:
    table = WordVectors.load()
    fitted = COUNTS.fit(FeatureSpec((BlockSpec("word"),)), ALL, extra_words=table.words)
    features = COUNTS.features(fitted, ALL)
    block = vector_block(table, fitted, features, scale=1.0)
    reimbursement = np.searchsorted(fitted.blocks[0].terms, "reimbursement")

    def margin(strength: float) -> float:
        linear = fit_head(features, TWO, 2, HeadRecipe(vector_strength=strength), vectors=block)
        return float(linear.coefficients[reimbursement, 1] - linear.coefficients[reimbursement, 0])

    assert margin(0.5) < margin(1.0) < margin(2.0)


def test_served_weights_are_the_coefficients_times_idf_in_single_precision() -> None:
    fitted = head(("a", "b"), fit_head(X, TWO, 2, HeadRecipe()).as_served(FITTED.idf))

    model = to_model_data(FeatureSpec((BlockSpec("word"),)), FITTED, [fitted])

    assert model.weights.dtype == np.float32
    np.testing.assert_array_equal(
        model.weights, (fitted.linear.coefficients * FITTED.idf[:, np.newaxis]).astype(np.float32)
    )
    np.testing.assert_allclose(
        model.weights.astype(np.float64) / FITTED.idf[:, np.newaxis], fitted.linear.coefficients, rtol=1e-15
    )


def test_shares_of_one_label_each_give_the_weights_and_scales_of_label_numbers() -> None:
    recipe = HeadRecipe(class_balance=1.0, naive_bayes=0.1)

    hard, soft = (fit_head(X, targets, 2, recipe).logits(X) for targets in (TWO, np.eye(2, dtype=np.float32)[TWO]))

    np.testing.assert_allclose(softmax(soft), softmax(hard), atol=1e-3)

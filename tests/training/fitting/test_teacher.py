"""A teacher weighs what it was told of labels against the labelled tickets that there are."""

from __future__ import annotations

import numpy as np

from app.training.fitting.teacher import shares_by_descriptions, shares_by_regression

N_LABELS = 3


def vectors(numbers: np.ndarray, *, seed: int, noise: float) -> np.ndarray:
    random = np.random.default_rng(seed)
    found = np.eye(16)[numbers] + noise * random.normal(size=(len(numbers), 16))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


TRUTH = np.arange(300) % N_LABELS
TICKETS = vectors(TRUTH, seed=1, noise=0.25)
LABELS = np.arange(N_LABELS)
NOTHING, NO_TRUTH = TICKETS[:0], TRUTH[:0]


def accuracy(shares: np.ndarray, truth: np.ndarray = TRUTH) -> float:
    return float((shares.argmax(axis=1) == truth).mean())


def test_a_regression_on_a_few_tickets_labels_the_others() -> None:
    shares = shares_by_regression(TICKETS[:30], TRUTH[:30], TICKETS[30:], n_labels=N_LABELS)

    assert accuracy(shares, TRUTH[30:]) > 0.9
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)


def test_descriptions_alone_find_the_tickets_that_lie_together() -> None:
    # What describes a label points somewhat elsewhere than its tickets.
    texts = vectors(LABELS, seed=2, noise=0.35)

    shares = shares_by_descriptions(texts, LABELS, TICKETS, labelled=NOTHING, truth=NO_TRUTH, n_labels=N_LABELS)

    nearest = (TICKETS @ texts.T).argmax(axis=1)
    assert accuracy(shares) > max(0.9, float((nearest == TRUTH).mean()))


def test_labelled_tickets_overrule_descriptions_that_mislead() -> None:
    texts = vectors(np.roll(LABELS, 1), seed=2, noise=0.1)
    known = slice(0, 60)

    misled = shares_by_descriptions(texts, LABELS, TICKETS, labelled=NOTHING, truth=NO_TRUTH, n_labels=N_LABELS)
    corrected = shares_by_descriptions(
        texts, LABELS, TICKETS, labelled=TICKETS[known], truth=TRUTH[known], n_labels=N_LABELS
    )

    assert accuracy(misled) < 0.1
    assert accuracy(corrected) > 0.9

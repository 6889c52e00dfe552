"""Word vectors fold into the words' own coefficients, and the committed table is the one that its notice describes."""

import re
from pathlib import Path

import numpy as np
import pytest

from app.models.features import BlockSpec, FeatureSpec
from app.training.fitting.design import TermCounts
from app.training.fitting.word_vectors import DEFAULT_PATH, WordVectors, vector_block

NOTICE = DEFAULT_PATH.with_name("word_vectors.LICENSE.txt")
TITLES = ["server down again", "refund my invoice", "server broken", "invoice wrong amount"]
ALL = np.arange(4)
SPEC = FeatureSpec((BlockSpec("title"), BlockSpec("word"), BlockSpec("word", 2, 2)))


@pytest.fixture(scope="module")
def table() -> WordVectors:
    return WordVectors.load()


def test_the_folded_coefficients_say_what_the_dense_weights_say(table: WordVectors) -> None:
    counts = TermCounts(TITLES, [""] * 4)
    fitted = counts.fit(SPEC, ALL, extra_words=table.words)
    X = counts.features(fitted, ALL)
    block = vector_block(table, fitted, X, scale=1.0)
    assert block is not None
    weights = np.random.default_rng(0).normal(size=(table.n_dimensions, 3)).astype(np.float32)

    folded = X @ block.fold(weights, X.shape[1])

    np.testing.assert_allclose(folded, block.of_tickets(X) @ weights, atol=1e-4)
    assert np.abs(folded).max() > 0.1


def test_tickets_have_vectors_of_the_length_that_was_asked_for(table: WordVectors) -> None:
    counts = TermCounts(TITLES, [""] * 4)
    fitted = counts.fit(SPEC, ALL, extra_words=table.words)
    X = counts.features(fitted, ALL)

    for scale in (0.5, 2.0):
        block = vector_block(table, fitted, X, scale=scale)
        assert block is not None
        lengths = np.square(block.of_tickets(X)).sum(axis=1)
        assert np.sqrt(lengths.mean()) == pytest.approx(scale, rel=1e-4)


def test_leaving_out_words_that_no_ticket_has_changes_nothing_for_those_that_some_have(table: WordVectors) -> None:
    counts = TermCounts(TITLES, [""] * 4)
    vectors = []
    for some in (table, table.restricted_to(counts.words)):
        fitted = counts.fit(SPEC, ALL, extra_words=some.words)
        X = counts.features(fitted, ALL)
        block = vector_block(some, fitted, X, scale=1.0)
        assert block is not None
        vectors.append(block.of_tickets(X))
    assert len(table.restricted_to(counts.words).words) == len(counts.words)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_a_word_that_is_not_in_the_table_has_no_vector(table: WordVectors) -> None:
    vectors = table.of(np.array(["server", "xqzzy"]))

    assert np.linalg.norm(vectors[0]) > 0.1
    assert not vectors[1].any()


def test_tickets_of_other_words_have_no_block(table: WordVectors) -> None:
    counts = TermCounts(["xqzzy qqqx", "zzzqx"], ["", ""])
    fitted = counts.fit(SPEC, np.arange(2))

    assert vector_block(table, fitted, counts.features(fitted, np.arange(2)), scale=1.0) is None


@pytest.mark.parametrize(
    ("word", "near", "far"),
    [("refund", "reimbursement", "laptop"), ("laptop", "computer", "invoice"), ("crash", "crashed", "pricing")],
)
def test_words_of_one_meaning_are_closer_than_others(table: WordVectors, word: str, near: str, far: str) -> None:
    a, b, c = table.of(np.array([word, near, far]))

    def cosine(x: np.ndarray, y: np.ndarray) -> float:
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    assert cosine(a, b) > cosine(a, c) + 0.1


def test_the_table_is_what_its_notice_says(table: WordVectors) -> None:
    notice = NOTICE.read_text(encoding="utf-8")
    n_words, n_dimensions = re.search(r"([\d,]+) words of (\d+) dimensions", notice).groups()  # type: ignore[union-attr]

    assert len(table.words) == int(n_words.replace(",", ""))
    assert table.n_dimensions == int(n_dimensions)
    assert (table.words[:-1] < table.words[1:]).all()
    assert all(re.fullmatch(r"[a-z]+", word) for word in table.words.tolist())
    for required in (
        "all-MiniLM-L6-v2",
        "Apache License",
        "Copyright 2000-2011 by Kevin Atkinson",
        "WordNet",
        "12Dicts",
    ):
        assert required in notice


def test_the_table_stays_small() -> None:
    assert Path(DEFAULT_PATH).stat().st_size < 6_000_000

"""The encoder gives the vectors that its authors' own code gives, whatever stands beside a text."""

from __future__ import annotations

import numpy as np
import pytest

from app.training.teaching.encoder import SentenceEncoder, is_installed
from app.training.teaching.minilm import MiniLM

N_DIMENSIONS, N_INNER = 24, 48
needs_the_extra = pytest.mark.skipif(not is_installed(), reason="comes with requirements-teacher.lock")


def small_model() -> MiniLM:
    """A model of two layers and the real names, with weights drawn by chance."""
    random = np.random.default_rng(3)
    shapes = {
        "embeddings.word_embeddings.weight": (50, N_DIMENSIONS),
        "embeddings.position_embeddings.weight": (16, N_DIMENSIONS),
        "embeddings.token_type_embeddings.weight": (2, N_DIMENSIONS),
    }
    linear, norms = {}, ["embeddings"]
    for layer in ("encoder.layer.0", "encoder.layer.1"):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear[f"{layer}.attention.{part}"] = (N_DIMENSIONS, N_DIMENSIONS)
        linear[f"{layer}.intermediate.dense"] = (N_INNER, N_DIMENSIONS)
        linear[f"{layer}.output.dense"] = (N_DIMENSIONS, N_INNER)
        norms += [f"{layer}.attention.output", f"{layer}.output"]
    for name, (n_out, n_in) in linear.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (n_out, n_in), (n_out,)
    for name in norms:
        shapes[f"{name}.LayerNorm.weight"] = shapes[f"{name}.LayerNorm.bias"] = (N_DIMENSIONS,)
    return MiniLM({name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()})


def test_a_text_has_the_same_vector_alone_and_beside_a_longer_one() -> None:
    model = small_model()
    short, long = [1, 7, 2], [1, 9, 30, 31, 32, 33, 2]

    together = model.vectors([short, long])

    np.testing.assert_allclose(together[:1], model.vectors([short]), atol=1e-5)
    np.testing.assert_allclose(together[1:], model.vectors([long]), atol=1e-5)


def test_a_vector_has_length_one_and_depends_on_the_order_of_the_tokens() -> None:
    first, second = small_model().vectors([[1, 7, 8, 2], [1, 8, 7, 2]])

    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-5)
    assert np.abs(first - second).max() > 1e-3


@needs_the_extra
def test_the_vectors_are_those_that_the_authors_of_the_model_publish() -> None:
    # The first five numbers of the two example sentences of the model's card, as sentence-transformers prints them.
    published = [
        [6.76569e-02, 6.34959e-02, 4.87131e-02, 7.93049e-02, 3.74480e-02],
        [8.64386e-02, 1.02763e-01, 5.39456e-03, 2.04449e-03, -9.96340e-03],
    ]

    vectors = SentenceEncoder.load().vectors(["This is an example sentence", "Each sentence is converted"])

    np.testing.assert_allclose(vectors[:, :5], published, atol=1e-5)


@needs_the_extra
def test_texts_of_every_length_keep_their_places_and_what_is_too_long_is_cut() -> None:
    encoder = SentenceEncoder.load()
    texts = ["refund", "", "the server is down " * 200, "refund", "the server is down " * 400]
    done: list[int] = []

    vectors = encoder.vectors(texts, done.append)

    np.testing.assert_allclose(vectors[0], vectors[3], atol=1e-5)
    np.testing.assert_allclose(vectors[2], vectors[4], atol=1e-5)
    assert vectors[0] @ vectors[2] < 0.9
    assert done[-1] == len(texts)

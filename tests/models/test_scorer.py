"""The scorer: the numbers of scikit-learn on any text, with the same bits in any batch and any thread."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from app.models.decisions import DecisionPolicy, OperatingPoint
from app.models.features import (
    MAX_WORD_CHARACTERS,
    BlockSpec,
    FeatureSpec,
    join_fields,
    spaced_words,
    split_fields,
    terms_of,
    words_of,
)
from app.models.model_data import Head, ModelData
from app.models.scorer import Scorer

LABELS = ("High", "Low", "Medium", "Urgent")
TRAINING_TEXTS = (
    "Server down\nall users of the main server are down since 9 am",
    "Café invoice\nthe invoice of the café was paid, the invoice number is 4711",
    "STRASSE\nstraße und Straße, a street is a street is a street",
    "Not cut\n" + "a" * 60 + " 日本語 サーバー x_1 ñandú",
    "Price of 12 licences\nwe would like to know the price of 12 licences for all users",
)
SPECS = (
    FeatureSpec((BlockSpec("word", 1, 2),)),
    FeatureSpec((BlockSpec("word", 1, 3), BlockSpec("title", 1, 1)), sublinear_tf=False),
    FeatureSpec((BlockSpec("word", 1, 2), BlockSpec("char", 2, 5))),
    FeatureSpec((BlockSpec("title", 2, 3), BlockSpec("char", 3, 3), BlockSpec("word", 2, 4))),
)


class Pair:
    """The same model as scikit-learn's parts and as what serves."""

    def __init__(self, spec: FeatureSpec) -> None:
        rng = np.random.default_rng(5)
        self._vectorizers = [
            TfidfVectorizer(
                analyzer=lambda text, block=block: terms_of(words_of(*split_fields(text)), block),
                sublinear_tf=spec.sublinear_tf,
            ).fit(TRAINING_TEXTS)
            for block in spec.blocks
        ]
        idf = np.concatenate([vectorizer.idf_ for vectorizer in self._vectorizers])
        weights = rng.normal(size=(len(idf), len(LABELS))).astype(np.float32)
        self._coefficients = weights.astype(np.float64) / idf[:, np.newaxis]
        self._bias = rng.normal(size=len(LABELS))
        policy = DecisionPolicy(dict.fromkeys(LABELS, OperatingPoint(0.8, 0.5)), 0.1, 0.5)
        terms = tuple(tuple(vectorizer.get_feature_names_out().tolist()) for vectorizer in self._vectorizers)
        self.scorer = Scorer(
            ModelData(spec, terms, idf, weights, (Head("priority", LABELS, tuple(self._bias.tolist()), policy),))
        )

    def reference(self, titles: Sequence[str], descriptions: Sequence[str]) -> NDArray[np.float64]:
        texts = [join_fields(title, text) for title, text in zip(titles, descriptions, strict=True)]
        X = hstack([vectorizer.transform(texts) for vectorizer in self._vectorizers]).tocsr()
        logits: NDArray[np.float64] = X @ self._coefficients + self._bias
        return logits


PAIRS = {"-".join(f"{b.kind}{b.smallest}{b.largest}" for b in spec.blocks): Pair(spec) for spec in SPECS}
WORDS = sorted({word for text in TRAINING_TEXTS for word in text.split()})
NOISE = [
    "unheard",
    "b" * 50,
    "ü" * 45,
    "_",
    "7",
    "<b>",
    "</b>",
    "&amp;",
    "&eacute;",
    "--",
    "> quoted",
    "\n",
    "\x01",
    "\x02",
]
# join_fields needs a title of one line; the words of a title are the same on one line as on several.
TEXT = st.lists(st.sampled_from(WORDS + NOISE), max_size=20).map(" ".join) | st.text(max_size=60)
TITLE = TEXT.map(lambda text: " ".join(text.splitlines()))


@pytest.mark.parametrize("blocks", PAIRS)
@given(tickets=st.lists(st.tuples(TITLE, TEXT), min_size=1, max_size=5))
def test_logits_are_those_of_scikit_learn(blocks: str, tickets: list[tuple[str, str]]) -> None:
    titles, descriptions = zip(*tickets, strict=True)
    pair = PAIRS[blocks]
    scores = pair.scorer.score(titles, descriptions)
    np.testing.assert_allclose(scores.logits, pair.reference(titles, descriptions), rtol=0, atol=1e-9)


@pytest.mark.parametrize("blocks", PAIRS)
@given(tickets=st.lists(st.tuples(TEXT, TEXT), max_size=6))
def test_a_ticket_has_the_same_bits_alone_and_in_a_batch(blocks: str, tickets: list[tuple[str, str]]) -> None:
    scorer = PAIRS[blocks].scorer
    batch = scorer.score([title for title, _ in tickets], [text for _, text in tickets])
    assert batch.logits.shape == (len(tickets), len(LABELS))
    for i, (title, text) in enumerate(tickets):
        alone = scorer.score([title], [text])
        assert alone.logits.tobytes() == batch.logits[i].tobytes()
        assert (alone.n_words, alone.n_unknown_words) == ([batch.n_words[i]], [batch.n_unknown_words[i]])


@given(TEXT, TEXT)
def test_words_are_counted_as_they_are_defined(title: str, description: str) -> None:
    words = words_of(title, description).all
    known = {word for text in TRAINING_TEXTS for word in words_of(*split_fields(text)).all}
    scores = PAIRS["word12"].scorer.score([title], [description])
    assert scores.n_words == [len(words)]
    assert scores.n_unknown_words == [sum(word not in known for word in words)]


@given(TEXT | st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_quick_way_to_cut_words_gives_the_words_that_are_defined(text: str) -> None:
    cut = [word.decode()[:MAX_WORD_CHARACTERS] for word in spaced_words(text).split()]
    assert cut == list(words_of("", text).all)


def test_threads_that_share_a_scorer_get_the_answers_of_one() -> None:
    scorer = PAIRS["word12-char25"].scorer
    texts = [f"server {i} of the café w{i % 97}x is down {i * i}" for i in range(400)]
    expected = [scorer.score([""], [text]).logits.tobytes() for text in texts]
    fresh = Pair(SPECS[2]).scorer
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda text: fresh.score([""], [text]).logits.tobytes(), texts * 5))
    assert answers == expected * 5


def test_a_vocabulary_with_terms_that_no_ticket_can_have_scores_the_others() -> None:
    terms = ("\x01", "\x02", "a b c", "down", "server", "server down", "x" * 41, "x" * 41 + " down")
    policy = DecisionPolicy(dict.fromkeys(("no", "yes"), OperatingPoint(None, None)), 0.1, 0.5)
    weights = np.arange(16, dtype=np.float32).reshape(8, 2)
    head = Head("h", ("no", "yes"), (0.0, 0.0), policy)
    model = ModelData(
        FeatureSpec((BlockSpec("word", 1, 2),), sublinear_tf=False), (terms,), np.ones(8), weights, (head,)
    )
    scores = Scorer(model).score(["\x01 \x02 server"], ["down " + "x" * 41])
    np.testing.assert_allclose(scores.logits, weights[[3, 4, 5]].sum(axis=0, keepdims=True) / np.sqrt(3))
    assert (scores.n_words, scores.n_unknown_words) == ([3], [1])

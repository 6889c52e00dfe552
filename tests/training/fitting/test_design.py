"""Features are scikit-learn's TF-IDF, fitted on the tickets of one part only."""

import re

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from app.models.features import BlockSpec, FeatureSpec, join_fields
from app.models.likeness import least_unseen_idf
from app.training.files.vectorizer import BlockAnalyzer
from app.training.fitting.design import TermCounts
from data.generate_dataset import generate

TICKETS = list(generate(60, seed=3))
# Without numbers, which are in no vocabulary.
TITLES, DESCRIPTIONS = (
    [re.sub("[0-9@]", "x", text) for text in texts]
    for texts in ([t.title for t in TICKETS], [t.description for t in TICKETS])
)
TEXTS = [join_fields(*ticket) for ticket in zip(TITLES, DESCRIPTIONS, strict=True)]
TRAIN, OTHERS = np.arange(40), np.arange(40, 60)
BLOCKS = (
    BlockSpec("word", 1, 1),
    BlockSpec("word", 2, 2),
    BlockSpec("word", 1, 2),
    BlockSpec("char", 3, 4),
    BlockSpec("title", 1, 1),
)


@pytest.mark.parametrize("fewest_senders", [1, 2])
@pytest.mark.parametrize("sublinear_tf", [True, False])
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.kind}-{block.smallest}-{block.largest}")
def test_each_kind_of_block_is_what_scikit_learn_makes_of_the_same_terms(
    block: BlockSpec, *, sublinear_tf: bool, fewest_senders: int
) -> None:
    counts = TermCounts(TITLES, DESCRIPTIONS, fewest_senders=fewest_senders)
    fitted = counts.fit(FeatureSpec((block,), sublinear_tf), TRAIN)

    theirs = TfidfVectorizer(analyzer=BlockAnalyzer(block), sublinear_tf=sublinear_tf, min_df=fewest_senders)
    theirs.fit([TEXTS[i] for i in TRAIN])

    assert fitted.blocks[0].terms.tolist() == theirs.get_feature_names_out().tolist()
    np.testing.assert_allclose(fitted.idf, theirs.idf_, rtol=1e-12)
    for part in (TRAIN, OTHERS):
        expected = theirs.transform([TEXTS[i] for i in part])
        np.testing.assert_allclose(counts.features(fitted, part).toarray(), expected.toarray(), atol=1e-12)


def test_blocks_stand_side_by_side_each_with_a_length_of_one() -> None:
    counts = TermCounts(TITLES, DESCRIPTIONS)
    fitted = counts.fit(FeatureSpec(BLOCKS[:2]), TRAIN)

    X = counts.features(fitted, TRAIN)

    starts = fitted.starts
    assert starts == [0, len(fitted.blocks[0].terms)]
    for part in (X[:, : starts[1]], X[:, starts[1] :]):
        np.testing.assert_allclose(part.multiply(part).sum(axis=1), 1.0)


def test_words_and_their_weights_come_from_the_tickets_of_the_part_alone() -> None:
    titles = ["common rare", "common", "common", "common other"]
    counts = TermCounts(titles, [""] * 4)
    spec = FeatureSpec((BlockSpec("word"),))

    first, second = counts.fit(spec, np.array([0, 1])), counts.fit(spec, np.array([1, 2, 3]))

    assert first.blocks[0].terms.tolist() == ["common", "rare"]
    assert second.blocks[0].terms.tolist() == ["common", "other"]
    assert first.idf[1] == pytest.approx(np.log(3 / 2) + 1)
    assert second.idf[1] == pytest.approx(np.log(4 / 2) + 1)


def test_extra_words_join_blocks_of_single_words_and_no_other() -> None:
    counts = TermCounts(["server down", "server up"], ["", ""])
    spec = FeatureSpec((BlockSpec("word", 1, 1), BlockSpec("word", 2, 2), BlockSpec("title", 1, 1)))

    fitted = counts.fit(spec, np.array([0]), extra_words=np.array(["broken", "up"]))

    words, pairs, title = (block.terms.tolist() for block in fitted.blocks)
    assert words == ["broken", "down", "server", "up"]
    assert pairs == ["server down"]
    assert title == ["down", "server"]
    # Nothing in training has them, so they are as rare as can be.
    assert fitted.idf[0] == fitted.idf[3] == pytest.approx(np.log(2) + 1)


def test_a_ticket_without_a_known_term_has_no_features() -> None:
    counts = TermCounts(["server", "zzz"], ["", ""])
    fitted = counts.fit(FeatureSpec((BlockSpec("word"), BlockSpec("char", 3, 4))), np.array([0]))

    assert counts.features(fitted, np.array([1])).nnz == 0


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.kind}-{block.smallest}-{block.largest}")
def test_no_vocabulary_has_a_number_or_what_stands_in_addresses_only(block: BlockSpec) -> None:
    titles = ["Invoice 48213 for anna.wanderhof@quillberg.example", "Invoice 48213 is wrong, call 0171_555"] * 3
    descriptions = ["<p>quillberg&#64;wanderhof.example</p> asks about B2023, and so does Anna", "call 48213 7"] * 3
    counts = TermCounts(titles, descriptions, fewest_senders=2)

    terms = counts.fit(FeatureSpec((block,)), np.arange(6)).blocks[0].terms.tolist()

    if block.kind == "char":
        assert {"invo", "b202", "anna"} <= set(terms)
        assert not [term for term in terms if re.fullmatch(r"[\d_ ]+", term)]
        assert not {"wand", "quil", "erho"} & set(terms)
    else:
        words = {word for term in terms for word in term.split()}
        assert words >= ({"invoice", "call"} if block.kind == "title" else {"anna", "b2023", "asks"})
        assert not words & {"48213", "7", "0171_555", "wanderhof", "quillberg", "example"}


@pytest.mark.parametrize(
    ("block", "hers", "of_two"),
    [
        (BlockSpec("word", 1, 1), "wanderhof", "all"),
        (BlockSpec("word", 2, 2), "for wanderhof", "for all"),
        (BlockSpec("char", 3, 4), "wand", " all"),
        (BlockSpec("title", 1, 1), "wanderhof", "all"),
    ],
)
def test_what_one_sender_alone_writes_is_in_no_vocabulary_however_often(
    block: BlockSpec, hers: str, of_two: str
) -> None:
    titles = ["Refund for Wanderhof", "Refund for Wanderhof again", "Refund for all", "Refund for all"]
    counts = TermCounts(titles, [""] * 4, senders=np.array([7, 7, 8, 9]), fewest_senders=2)

    everything, without_nine = (counts.fit(FeatureSpec((block,)), np.arange(n)) for n in (4, 3))

    assert hers not in everything.blocks[0].terms
    assert of_two in everything.blocks[0].terms
    assert of_two not in without_nine.blocks[0].terms, "one sender of this part has it"
    assert counts.n_left_out(without_nine) > counts.n_left_out(everything) > 0


def test_what_is_in_no_vocabulary_still_takes_its_part_of_a_known_ticket() -> None:
    """Serving counts every word that a model knows, inside an address too, and so training does."""
    counts = TermCounts(["help anna", "anna@help.example please"], ["", ""])
    fitted = counts.fit(FeatureSpec((BlockSpec("word"),)), np.arange(2))

    assert fitted.blocks[0].terms.tolist() == ["anna", "help", "please"]
    assert (counts.features(fitted, np.arange(2)).toarray() > 0).tolist() == [[True, True, False], [True, True, True]]


def test_idf_alone_tells_words_of_no_training_ticket_from_those_of_a_single_one() -> None:
    words = np.array(["printer", "unheard", "zebra"], dtype=np.str_)
    titles, descriptions = ["printer jams", "server down", "server slow"], ["", "", "down again"]
    counts = TermCounts(titles, descriptions)
    fitted = counts.fit(FeatureSpec((BlockSpec("word", 1, 1),)), np.arange(3), extra_words=words)

    unseen = fitted.idf >= least_unseen_idf(len(titles))

    assert fitted.blocks[0].terms[unseen].tolist() == ["unheard", "zebra"]


def test_the_shares_of_known_words_and_pairs_are_of_those_that_the_tickets_fitted_had() -> None:
    counts = TermCounts(["server down", "server down", "server up today"], ["", "again", ""])
    fitted = counts.fit(FeatureSpec((BlockSpec("word"), BlockSpec("word", 2, 2))), np.arange(2), extra_words=TABLE)

    words, pairs = (counts.known_share(fitted, np.array([2, 1]), n_words=n, n_fitted=2) for n in (1, 2))

    assert words.tolist() == pytest.approx([1 / 3, 1.0]), '"up" is in the table, and no ticket fitted had it'
    assert pairs.tolist() == pytest.approx([0.0, 1.0])


TABLE = np.array(["up"])

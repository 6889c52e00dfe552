"""A recipe must earn what it costs: nothing is taken that does not help, and what helps is."""

from collections.abc import Sequence

import numpy as np
import pytest

from app.training.fitting.design import TermCounts
from app.training.fitting.selection import CHARACTERS, TITLE, WORDS, Selection, Selector
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.label_numbers import number_labels


def select(
    titles: Sequence[str],
    descriptions: Sequence[str],
    labels: Sequence[str],
    *,
    vectors: WordVectors | None = None,
    has_titles: bool = False,
    seed: int = 1,
) -> Selection:
    selector = Selector(
        TermCounts(titles, descriptions),
        number_labels({"head": labels}),
        np.arange(len(titles)),
        vectors=vectors,
        progress=lambda _: None,
    )
    return selector.select(np.arange(len(titles)), {"head": list(labels)}, has_titles=has_titles, seed=seed)


@pytest.fixture(scope="module")
def easy() -> Selection:
    """Tickets that one word of each decides, so that nothing can be better than words."""
    rng = np.random.default_rng(0)
    labels = [str(label) for label in rng.choice(["billing", "sales", "support"], 120)]
    fillers = ["please", "today", "again", "thanks", "our", "team"]
    texts = [f"{label} {' '.join(rng.choice(fillers, 3))}" for label in labels]
    return select(texts, [""] * 120, labels, vectors=WordVectors.load(), has_titles=True)


def test_what_gains_nothing_is_not_taken(easy: Selection) -> None:
    assert easy.features.features.blocks == WORDS
    assert easy.features.word_vectors == 0
    assert {trial.choice for trial in easy.trials if not trial.taken} >= {
        "and characters",
        "and words of the title",
        "and word vectors",
    }


def test_every_candidate_is_on_record_with_its_score(easy: Selection) -> None:
    assert all(0.99 <= trial.score <= 1 for trial in easy.trials)
    for question in {trial.question for trial in easy.trials if trial.head == "head"}:
        assert sum(trial.taken for trial in easy.trials if trial.question == question) == 1


def test_balanced_labels_are_not_asked_for_weights(easy: Selection) -> None:
    assert "class_balance" not in {trial.question for trial in easy.trials}


def test_how_strong_word_vectors_are_is_not_asked_where_there_are_none(easy: Selection) -> None:
    assert "vector_strength" not in {trial.question for trial in easy.trials}


def test_characters_are_taken_where_words_never_repeat() -> None:
    rng = np.random.default_rng(2)
    labels = [str(label) for label in rng.choice(["a", "b", "c"], 150)]
    stems = {"a": "zylok", "b": "mivra", "c": "qundo"}
    texts = [
        f"{''.join(rng.choice(list('bcdfghk'), 4))}{stems[label]}{''.join(rng.choice(list('bcdfghk'), 4))}"
        for label in labels
    ]

    chosen = select(texts, [""] * 150, labels)

    assert CHARACTERS in chosen.features.features.blocks


def test_words_of_the_title_are_taken_where_only_they_decide() -> None:
    rng = np.random.default_rng(4)
    words = ["red", "green", "blue"]
    labels = [str(label) for label in rng.choice(words, 240)]
    descriptions = [" ".join(rng.choice(words, 9)) for _ in labels]

    chosen = select(labels, descriptions, labels, has_titles=True)

    assert TITLE in chosen.features.features.blocks


def test_strong_word_vectors_are_taken_where_what_decides_hardly_repeats_but_means_the_same() -> None:
    kinds = (
        "cat dog horse cow sheep goat pig rabbit lion tiger bear wolf fox deer monkey elephant mouse rat",
        "bread cheese butter milk rice soup cake pie meat beef pork chicken fish egg sugar salt apple potato",
        "hammer saw drill knife axe shovel rake screw nail wrench ladder rope chain brush bucket lock pipe hook",
    )
    words = [kind.split() for kind in kinds]
    rng = np.random.default_rng(0)
    meaningless = ["".join(rng.choice(list("xqzwkj"), 5)) for _ in range(30)]
    numbers = rng.choice(len(kinds), 90)
    texts = [" ".join([rng.choice(words[number]), *rng.choice(meaningless, 3)]) for number in numbers]

    chosen = select(texts, [""] * 90, [str(number) for number in numbers], vectors=WordVectors.load())

    assert chosen.features.word_vectors > 0
    assert chosen.heads["head"].vector_strength > 1


def test_the_same_seed_gives_the_same_choice_and_scores() -> None:
    texts = ["red one", "green two", "blue three", "red four"] * 15
    labels = ["r", "g", "b", "r"] * 15

    first, second = (select(texts, [""] * 60, labels) for _ in range(2))

    assert first.trials == second.trials
    assert first.features == second.features

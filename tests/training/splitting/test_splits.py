"""Splits that cannot flatter: near-duplicates stay together, labels stay in proportion, and the count proves it."""

import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.training.intake.labelled_tickets import Tickets
from app.training.splitting.near_duplicates import group_near_duplicates, shingles_of, similarities
from app.training.splitting.overlap import overlap, overlap_figures, partition
from app.training.splitting.splits import OneGroupError, Split, folds, hold_out, strata

WORDS = [f"{a}{b}" for a in "bcdfghjklmnpqrstvwxz" for b in ("ab", "ile", "ont", "ury", "esk", "ino", "arp", "oth")]


def tickets_of(texts: Sequence[str], labels: Sequence[str], groups: list[str] | None = None) -> Tickets:
    return Tickets(
        titles=[""] * len(texts), descriptions=list(texts), labels={"priority": list(labels)},
        groups=groups, sha256="", notes=(),
    )  # fmt: skip


def random_texts(n: int, *, n_words: int = 20, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=n_words)) for _ in range(n)]


def with_one_word_changed(text: str, rng: random.Random) -> str:
    words = text.split()
    words[rng.randrange(len(words))] = "changed"
    return " ".join(words)


def jaccard(left: str, right: str) -> float:
    """Return the similarity as the documentation defines it, in plain sets."""
    sets = []
    for text in (left, right):
        words = ["0" if any(c.isdigit() for c in word) else word for word in text.split()]
        sets.append({*words, *itertools.pairwise(words)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@given(
    st.lists(
        st.lists(st.sampled_from([*WORDS[:6], "order12", "order99"]), min_size=1, max_size=8), min_size=2, max_size=6
    )
)
def test_the_similarity_is_the_jaccard_index_of_words_and_pairs_of_words(tickets: list[list[str]]) -> None:
    texts = [" ".join(words) for words in tickets]
    shingles = shingles_of([""] * len(texts), texts)
    first, second = (np.array(side) for side in zip(*[(0, i) for i in range(1, len(texts))], strict=True))
    expected = [jaccard(texts[0], text) for text in texts[1:]]
    np.testing.assert_allclose(similarities(shingles, first, second), expected)


def test_texts_that_differ_in_a_word_or_a_number_are_grouped_and_others_are_not() -> None:
    rng = random.Random(1)
    texts = random_texts(2000)
    copies = [with_one_word_changed(text, rng) for text in texts]
    ids = group_near_duplicates(shingles_of([""] * 4000, texts + copies)).ids
    assert (ids[:2000] == ids[2000:]).mean() == 1.0
    assert len(set(ids[:2000].tolist())) == 2000
    numbered = ["Invoice 1001 of March was paid twice", "invoice 77 of March was paid twice!", "The door is locked"]
    ids = group_near_duplicates(shingles_of([""] * 3, numbered)).ids
    assert ids[0] == ids[1] != ids[2]


def test_a_chain_of_ever_so_similar_texts_does_not_swallow_the_data() -> None:
    # Each text shares most words with the next, and none with one far away.
    words = [word + ending for ending in "xyz" for word in WORDS]
    chain = [" ".join(words[start : start + 20]) for start in range(400)]
    grouping = group_near_duplicates(shingles_of([""] * 400, chain))
    assert np.bincount(grouping.ids).max() <= 80
    assert grouping.similarity > 0.7


def test_grouping_takes_time_in_proportion_to_the_tickets() -> None:
    # Half of them are one boilerplate text with a number: 8,000 tickets are 32 million pairs.
    texts = [f"Monitoring alert {i} disk almost full on server {i % 7} please check" for i in range(8000)]
    start = time.process_time()
    ids = group_near_duplicates(shingles_of([""] * 16_000, texts + random_texts(8000))).ids
    assert time.process_time() - start < 20
    assert len(set(ids[:8000].tolist())) == 1


def test_a_situation_and_its_near_duplicates_stay_on_one_side() -> None:
    rng = random.Random(2)
    texts = random_texts(300)
    texts += [with_one_word_changed(text, rng) for text in texts[:100]]
    groups = [f"situation {i % 150}" for i in range(400)]
    tickets = tickets_of(texts, [rng.choice(["High", "Low"]) for _ in texts], groups)
    parts = partition(tickets, share=0.2, seed=5)
    train = set(parts.split.train.tolist())
    for members in ([i for i in range(400) if groups[i] == name] for name in set(groups)):
        assert len({i in train for i in members}) == 1
    assert all((i in train) == (300 + i in train) for i in range(100))
    figures = overlap_figures(parts)
    assert (figures["texts"], figures["near_duplicates"], figures["groups"]) == (0, 0, 0)
    assert figures["tickets_checked"] == len(parts.split.validation) > 40


def test_the_count_of_overlap_finds_what_a_careless_split_tore_apart() -> None:
    rng = random.Random(3)
    texts = random_texts(200)
    near = [with_one_word_changed(text, rng) for text in texts[:30]]
    same = [text.upper().replace(" ", "  ") for text in texts[30:40]]
    tickets = tickets_of(texts + near + same, ["High"] * 240, [str(i) for i in range(200)] + ["0"] * 40)
    split = Split(np.arange(200), np.arange(200, 240))
    found = overlap(tickets, shingles_of(tickets.titles, tickets.descriptions), split, 0.7)
    assert (found.n_checked, found.n_near_duplicates, found.n_same_text, found.n_same_group) == (40, 40, 10, 40)
    clean = overlap(
        tickets, shingles_of(tickets.titles, tickets.descriptions), Split(np.arange(100, 200), np.arange(100)), 0.7
    )
    assert len(clean.torn) == 0


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_fold_keeps_groups_whole_and_every_ticket_is_validated_once(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 60))
    groups = np.array(data.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n)))
    labels = data.draw(st.lists(st.sampled_from("abcd"), min_size=n, max_size=n))
    seen: list[int] = []
    for fold in folds({"head": labels}, groups, n_folds=5, seed=1):
        assert not set(groups[fold.train]) & set(groups[fold.validation])
        assert sorted([*fold.train.tolist(), *fold.validation.tolist()]) == list(range(n))
        seen += fold.validation.tolist()
    if len(set(groups.tolist())) > 1:
        assert sorted(seen) == list(range(n))
        split = hold_out({"head": labels}, groups, share=0.2, seed=1)
        assert len(split.train)
        assert len(split.validation)
        assert not set(groups[split.train]) & set(groups[split.validation])
    else:
        with pytest.raises(OneGroupError):
            hold_out({"head": labels}, groups, share=0.2, seed=1)


def test_labels_of_all_heads_are_held_out_in_proportion() -> None:
    rng = random.Random(4)
    labels = {
        "priority": rng.choices(["Urgent", "High", "Low"], weights=[1, 3, 6], k=3000),
        "department": rng.choices(["Billing", "Sales"], weights=[1, 4], k=3000),
    }
    split = hold_out(labels, np.arange(3000), share=0.2, seed=1)
    combinations = list(zip(*labels.values(), strict=True))
    held_out = Counter(combinations[i] for i in split.validation)
    for combination, n in Counter(combinations).items():
        assert held_out[combination] == pytest.approx(0.2 * n, abs=1)


def test_a_label_of_two_tickets_stays_in_training() -> None:
    labels = ["common"] * 298 + ["rare"] * 2
    split = hold_out({"head": labels}, np.arange(300), share=0.2, seed=9)
    assert {298, 299} <= set(split.train.tolist())
    assert len(split.validation) == pytest.approx(60, abs=1)


def test_a_rare_combination_falls_back_to_its_rarest_label() -> None:
    labels = {"priority": ["Low"] * 20 + ["Urgent"] * 4, "department": ["Sales"] * 20 + ["Sales", "Billing"] * 2}
    numbers = strata(labels).tolist()
    assert len(set(numbers[:20])) == 1
    # Two of a kind are too few for a stratum: "Billing" is rarer than "Urgent", and "Urgent" than "Sales".
    assert numbers[20] == numbers[22] != numbers[21] == numbers[23]


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    labels = {"head": ["a", "b"] * 100}
    splits = [hold_out(labels, np.arange(200), share=0.2, seed=seed).validation.tolist() for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_every_head_has_tickets_with_a_label_on_either_side(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 40))
    groups = np.array(data.draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)))
    label = st.sampled_from(["", "", "a", "b"])
    labels = {head: data.draw(st.lists(label, min_size=n, max_size=n).filter(any)) for head in ("priority", "team")}
    share = data.draw(st.sampled_from([0.05, 0.2, 0.5]))

    try:
        split = hold_out(labels, groups, share=share, seed=1)
    except OneGroupError:
        # Only where the heads want more of few groups than there are.
        labelled_groups = [{g for g, label in zip(groups.tolist(), of, strict=True) if label} for of in labels.values()]
        assert min(map(len, labelled_groups)) <= 2
        return

    assert not set(groups[split.train]) & set(groups[split.validation])
    for of_head in labels.values():
        assert any(of_head[i] for i in split.train)
        assert any(of_head[i] for i in split.validation)


def test_a_head_whose_labels_are_in_one_group_is_named() -> None:
    labels = {"priority": list("abab"), "team": ["x", "y", "", ""]}

    with pytest.raises(OneGroupError, match='all tickets with a label of "team" are one group'):
        hold_out(labels, np.array([0, 0, 1, 2]), share=0.2, seed=1)


def test_a_rare_combination_with_a_blank_label_is_dealt_by_the_label_that_it_has() -> None:
    labels = {"priority": ["a"] * 6 + ["", ""], "team": ["x"] * 6 + ["x", "y"]}

    numbers = strata(labels).tolist()

    assert len(set(numbers)) == 3
    assert strata({"priority": ["a"] * 6 + ["", ""], "team": ["x"] * 6 + ["y", "y"]}).tolist()[-2:] == [1, 1]

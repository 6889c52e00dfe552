"""A teacher's labels are learned from where that pays, and never from what repeats a validation ticket."""

from __future__ import annotations

import numpy as np

from app.training.fitting.design import TermCounts
from app.training.fitting.pool import Pool
from app.training.fitting.selection import Selection, Selector
from app.training.intake.label_numbers import number_labels
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.unlabelled_tickets import Unlabelled
from app.training.splitting.overlap import partition

LABELS = ("billing", "sales", "support")
NONE = np.array([], dtype=np.int64)
N_LABELLED, N_POOL = 45, 900


def vectors_of(numbers: np.ndarray, *, noise: float) -> np.ndarray:
    """Return unit vectors that point where the label of each ticket is, and by ``noise`` elsewhere."""
    random = np.random.default_rng(5)
    vectors = np.eye(8, dtype=np.float32)[numbers] + noise * random.normal(size=(len(numbers), 8)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pool_of(numbers: np.ndarray, *, noise: float = 0.1) -> Pool:
    positions = np.arange(N_LABELLED, len(numbers))
    return Pool(positions, NONE, vectors_of(numbers, noise=noise), np.arange(len(numbers)))


def select(*, teacher_knows: bool) -> Selection:
    """Choose on tickets each of which has two of the forty words of its label, so that few of them say little."""
    random = np.random.default_rng(8)
    numbers = random.integers(3, size=N_LABELLED + N_POOL)
    # Words that share no n-gram with others of their label.
    words = [
        "".join(letters) for letters in random.permuted(np.tile(list("abcdefghijklmnop"), (120, 1)), axis=1)[:, :7]
    ]
    vocabulary = np.array(words).reshape(3, 40)
    texts = [" ".join(random.choice(vocabulary[number], 2)) for number in numbers]
    labels = [LABELS[number] for number in numbers[:N_LABELLED]]
    known = numbers if teacher_knows else random.integers(3, size=len(numbers))
    selector = Selector(
        TermCounts(texts, [""] * len(texts)),
        number_labels({"head": [*labels, *[""] * N_POOL]}),
        np.arange(N_LABELLED),
        vectors=None,
        pool=pool_of(known),
        progress=lambda _: None,
    )
    return selector.select(np.arange(N_LABELLED), {"head": labels}, has_titles=False, seed=1)


def test_a_teacher_is_taken_where_it_knows_what_few_tickets_do_not_say() -> None:
    selection = select(teacher_knows=True)

    scores = {t.choice: t.score for t in selection.trials if t.question == "teacher_share"}
    assert selection.heads["head"].teacher_share > 0
    assert scores["1"] > scores["0"] + 0.2


def test_a_teacher_that_knows_nothing_is_not_taken() -> None:
    assert select(teacher_knows=False).heads["head"].teacher_share == 0


def test_a_lesson_keeps_labels_as_they_are_and_shares_out_the_rest() -> None:
    numbers = np.array([0, 1, 2] * 100)
    truth = np.where(np.arange(300) < N_LABELLED, numbers, -1)

    lesson = pool_of(numbers).lesson(np.arange(300), truth, 3, 1.0)

    assert lesson.tickets.tolist() == list(range(300))
    assert np.array_equal(lesson.shares[:N_LABELLED], np.eye(3, dtype=np.float32)[numbers[:N_LABELLED]])
    np.testing.assert_allclose(lesson.shares.sum(axis=1), 1, atol=1e-5)
    assert (lesson.shares.argmax(axis=1) == numbers).mean() > 0.95
    assert lesson.shares[N_LABELLED:].max() < 1


def test_of_a_part_of_the_pool_the_surest_are_learned_from() -> None:
    numbers = np.array([0, 1, 2] * 100)
    truth = np.where(np.arange(300) < N_LABELLED, numbers, -1)
    pool = pool_of(numbers, noise=0.6)
    every, surest = (pool.lesson(np.arange(300), truth, 3, share) for share in (1.0, 0.4))

    kept = np.isin(every.tickets, surest.tickets)

    assert len(surest.tickets) == N_LABELLED + round(0.4 * 255)
    confidence = every.shares[N_LABELLED:].max(axis=1)
    assert confidence[kept[N_LABELLED:]].min() >= confidence[~kept[N_LABELLED:]].max()


def test_what_nearly_repeats_a_ticket_is_kept_apart_from_it() -> None:
    words = [f"{a}{b}" for a in "abcdefghij" for b in "vwxyz"]
    random = np.random.default_rng(2)
    texts = [" ".join(random.choice(words, 12)) for _ in range(60)]
    tickets = Tickets(texts, [""] * 60, {"head": list("ab") * 30}, None, "", ())
    unlabelled = Unlabelled([f"{texts[7]} thanks", " ".join(random.choice(words, 12))], ["", ""], "")

    parts = partition(tickets, share=0.2, seed=1, unlabelled=unlabelled)
    groups = np.concatenate([parts.grouping.ids, parts.unlabelled_groups])
    pool = Pool(np.array([60, 61]), NONE, np.zeros((62, 2), np.float32), groups)

    assert pool.apart_from(np.array([7, 8])).tolist() == [61]
    assert pool.apart_from(np.array([8])).tolist() == [60, 61]
    assert parts.grouping.ids.max() == 59

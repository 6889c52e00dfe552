from __future__ import annotations

from bisect import bisect_left
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.insights.drift_report import WATCH_INDEX, stability_index
from app.models.label_shares import Confusion
from app.training.files.reference import histogram_of, reference_of
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.learnable_words import FEWEST_SENDERS


def tickets(texts: list[str], labels: list[str]) -> Tickets:
    return Tickets(
        titles=texts, descriptions=[""] * len(texts), labels={"kind": labels}, groups=None, sha256="", notes=()
    )


@given(values=st.lists(st.integers(0, 20_000) | st.sampled_from([0, 1]), min_size=1, max_size=300))
def test_every_value_is_in_one_bin_and_bins_are_about_equal(values: list[int]) -> None:
    histogram = histogram_of(np.array(values, dtype=np.float64))

    bins = np.bincount([bisect_left(histogram.edges, value) for value in values], minlength=len(histogram.counts))
    assert histogram.counts == tuple(bins.tolist())
    assert 2 <= len(histogram.counts) <= 10
    if len(set(values)) == len(values) >= 10:
        assert max(histogram.counts) <= len(values) / 10 + 2


def test_values_that_are_all_the_same_leave_a_bin_for_others() -> None:
    histogram = histogram_of(np.zeros(100))

    assert (histogram.edges, histogram.counts) == ((0.0,), (100, 0))


def test_predictions_of_models_that_saw_the_ticket_do_not_count() -> None:
    unseen = np.array([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan], [0.6, 0.4]])

    reference = reference_of(
        tickets(["one", "two", "three", "four"], ["a", "b", "a", "b"]),
        {"kind": unseen},
        labels={"kind": ("a", "b")},
        senders=np.arange(4),
        seed=1,
    )

    kind = reference.heads["kind"]
    assert dict(zip(kind.labels.labels, kind.labels.counts, strict=True)) == {"a": 2, "b": 1}
    assert sum(kind.confidence.counts) == 3
    assert kind.confusion == Confusion(("a", "b"), ((0, 0, 1), (0, 1, 1), (1, 1, 1)))
    assert bisect_left(kind.confidence.edges, 0.6) == 0
    assert sum(reference.text_length.counts) == 4


def largest_share(
    texts: list[str], *, n_senders: int | None = None, enough_senders: dict[str, int] | None = None
) -> float:
    labels = [str(i % 2) for i in range(len(texts))]
    reference = reference_of(
        tickets(texts, labels),
        {"kind": np.eye(2)[[i % 2 for i in range(len(texts))]]},
        labels={"kind": ("0", "1")},
        senders=np.arange(len(texts)) % (n_senders or len(texts)),
        enough_senders=enough_senders or {},
        seed=1,
    )
    return max(reference.unknown_share.edges)


def test_a_word_counts_as_known_if_tickets_of_other_senders_have_it_of_one_where_a_table_has_it() -> None:
    alone = [f"word{i}" for i in range(40)]

    assert largest_share(alone) == 1.0
    assert largest_share(alone * 2 + alone * 8) == 0.0
    assert largest_share(alone * 10, n_senders=40) == 1.0, "ten tickets, and all of one sender"
    assert largest_share(alone * 2) == 1.0
    assert largest_share(alone * 2, enough_senders=dict.fromkeys(alone, 1)) < 0.5, "but for those drawn together"
    assert largest_share(alone, enough_senders=dict.fromkeys(alone, 1)) == 1.0, "no ticket but its own has it"
    assert largest_share(alone, enough_senders=dict.fromkeys(alone, 0)) == 0.0


def test_new_tickets_of_the_same_kind_have_about_as_many_unknown_words() -> None:
    draw = np.random.default_rng(5)
    texts = [" ".join(f"w{n}" for n in draw.zipf(1.6, 12)) for _ in range(1200)]
    old, new = texts[:600], texts[600:]

    reference = reference_of(
        tickets(old, ["a", "b"] * 300),
        {"kind": np.eye(2)[[0, 1] * 300]},
        labels={"kind": ("a", "b")},
        senders=np.arange(600),
        seed=1,
    )
    n_tickets = Counter(word for text in old for word in set(text.split()))
    known = {word for word, n in n_tickets.items() if n >= FEWEST_SENDERS}
    shares = [sum(word not in known for word in text.split()) / 12 for text in new]

    histogram = reference.unknown_share
    observed = np.bincount([bisect_left(histogram.edges, share) for share in shares], minlength=len(histogram.counts))
    assert stability_index(histogram.counts, observed.tolist()) < WATCH_INDEX

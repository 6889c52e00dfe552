"""How far two people agree: shares with honest intervals, and Cohen's kappa where it is defined."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from app.feedback.agreement import Agreement, Share, agreements, cohens_kappa, share_of
from app.store.second_readings import Pair

SAID = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=60)


def pairs(head: str, said: Sequence[tuple[str, str]]) -> list[Pair]:
    return [Pair(head, first, second) for first, second in said]


def test_without_pairs_there_is_nothing_to_say() -> None:
    assert agreements([]) == []
    assert cohens_kappa([]) is None
    assert share_of(0, 0) == Share(0, 0, 0.0, 1.0)
    assert share_of(0, 0).share is None


def test_each_head_is_told_by_itself() -> None:
    said = [*pairs("priority", [("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")]), *pairs("department", [("x", "x")])]

    department, priority = agreements(said)

    assert department == Agreement("department", share_of(1, 1), None)
    assert (priority.same.share, priority.kappa) == (0.75, 0.5)


def test_kappa_is_one_for_those_who_always_agree_and_none_where_one_label_explains_it() -> None:
    assert cohens_kappa([("a", "a"), ("b", "b")]) == 1.0
    assert cohens_kappa([("a", "a"), ("a", "a")]) is None
    assert cohens_kappa([("a", "b"), ("a", "b")]) == 0.0


@given(SAID)
def test_kappa_is_that_of_scikit_learn(said: list[tuple[str, str]]) -> None:
    firsts, seconds = zip(*said, strict=True)
    if {*firsts} == {*seconds} and len({*firsts}) == 1:
        assert cohens_kappa(said) is None
    else:
        assert cohens_kappa(said) == pytest.approx(cohen_kappa_score(firsts, seconds))


@given(SAID)
def test_it_does_not_matter_who_is_the_first(said: list[tuple[str, str]]) -> None:
    assert cohens_kappa(said) == cohens_kappa([(second, first) for first, second in said])


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_exact(counts: tuple[int, int]) -> None:
    found = share_of(*counts)
    expected = binomtest(*counts).proportion_ci(method="exact")

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    assert found.low <= counts[0] / counts[1] <= found.high


def test_people_who_guess_do_not_agree_beyond_chance() -> None:
    draw = random.Random(7)
    said = [(draw.choice("aaab"), draw.choice("aaab")) for _ in range(20_000)]

    (guessed,) = agreements(pairs("priority", said))

    assert guessed.same.share == pytest.approx(0.625, abs=0.02)
    assert guessed.kappa == pytest.approx(0, abs=0.03)

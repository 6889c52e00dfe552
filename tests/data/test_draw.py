"""Draws are lawful, and the same on every Python version."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from data.draw import Draw


def test_a_draw_gives_the_values_that_python_promises_for_a_seed() -> None:
    draw = Draw(42)

    assert [draw.below(1000) for _ in range(5)] == [639, 25, 275, 223, 736]
    assert draw.shuffled("abcdef") == ["c", "d", "b", "a", "f", "e"]


@given(seed=st.integers(), weights=st.dictionaries(st.text(max_size=3), st.floats(0.01, 100), min_size=1, max_size=6))
def test_a_weighted_draw_gives_one_of_the_keys(seed: int, weights: dict[str, float]) -> None:
    assert Draw(seed).weighted(weights) in weights


@given(seed=st.integers(), items=st.lists(st.integers()))
def test_shuffling_keeps_every_item(seed: int, items: list[int]) -> None:
    assert sorted(Draw(seed).shuffled(items)) == sorted(items)

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.web.console.review_shown import _in_two, keys_of


def test_keys_are_what_stands_on_the_keyboard() -> None:
    assert keys_of(3) == ["1", "2", "3"]
    assert keys_of(10)[-2:] == ["9", "0"]
    assert keys_of(12)[:2] == ["01", "02"]
    assert keys_of(12)[-1] == "12"
    assert keys_of(120)[98:101] == ["99", "", ""]


@given(st.integers(0, 150))
def test_no_key_begins_another(n_labels: int) -> None:
    keys = [key for key in keys_of(n_labels) if key]

    assert len(keys_of(n_labels)) == n_labels
    assert not any(one != other and other.startswith(one) for one in keys for other in keys)
    assert len(set(keys)) == len(keys)


@given(st.text(st.sampled_from("ab \n"), max_size=4_000) | st.integers(0, 20_000).map(lambda n: "x" * n))
def test_nothing_of_a_text_is_lost_where_it_is_parted(text: str) -> None:
    beginning, rest = _in_two(text)

    assert beginning + rest == text
    assert len(beginning) <= 1_500
    assert not rest or len(rest) >= 300

"""The perfect hash table: it has what it was given, where it says, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.ngram_table import NGramTable

KEYS = st.integers(min_value=0, max_value=2**62)


@given(st.sets(KEYS, max_size=200), st.lists(KEYS, max_size=50))
def test_what_is_found_is_what_was_put_in(keys: set[int], others: list[int]) -> None:
    table = NGramTable(np.array(sorted(keys), dtype=np.int64))
    asked = [*others, *keys]
    which, slots = table.find(np.array(asked, dtype=np.int64))
    assert which.tolist() == [i for i, key in enumerate(asked) if key in keys]
    slot_of = dict(zip(sorted(keys), table.slots.tolist(), strict=True))
    assert slots.tolist() == [slot_of[asked[i]] for i in which.tolist()]


@given(st.sets(KEYS, min_size=1, max_size=200))
def test_no_two_keys_share_a_slot(keys: set[int]) -> None:
    table = NGramTable(np.array(sorted(keys), dtype=np.int64))
    assert len(set(table.slots.tolist())) == len(keys)
    assert table.slots.max() < table.n_slots <= max(2, 4 * len(keys))


def test_many_keys_with_a_pattern_find_their_slots() -> None:
    keys = np.arange(100_000, dtype=np.int64) << 20
    which, slots = NGramTable(keys).find(keys)
    assert len(which) == len(np.unique(slots)) == len(keys)


def test_a_key_that_is_given_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="the same"):
        NGramTable(np.array([5, 5], dtype=np.int64))

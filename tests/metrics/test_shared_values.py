from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.metrics.shared_values import CAPACITY, MAX_ADJOINING, Key, SharedValues

REQUESTS = Key("requests", ("/classify",))
STATE = Key("state", lasting=False)


class EveryName:
    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)


EVERY_NAME = EveryName()


def test_the_same_key_has_the_same_slot() -> None:
    values = SharedValues()

    assert values.slot(REQUESTS) == values.slot(Key("requests", ("/classify",)))
    assert values.slot(REQUESTS) != values.slot(Key("requests", ("/",)))


@given(
    counts=st.lists(
        st.tuples(st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3), st.integers(1, 5), st.booleans()),
        unique_by=lambda entry: (entry[0], tuple(entry[1]), entry[3]),
        max_size=20,
    )
)
def test_what_is_written_is_read_by_another_process(
    tmp_path_factory: pytest.TempPathFactory, counts: list[tuple[str, list[str], int, bool]]
) -> None:
    directory = tmp_path_factory.mktemp("values")
    writer, reader = SharedValues(directory), SharedValues(directory)
    expected = {}
    for i, (name, labels, n_numbers, lasting) in enumerate(counts):
        key = Key(name, tuple(labels), lasting)
        slot = writer.slot(key, n_numbers)
        for j in range(n_numbers):
            writer.numbers[slot + j] = i + j / 10
        expected[key] = tuple(i + j / 10 for j in range(n_numbers))

    own, other = reader.processes(EVERY_NAME)

    assert own.numbers == {}
    assert (other.pid, other.position, other.numbers) == (os.getpid(), 0, expected)
    writer.close()
    reader.close()


def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    writer, reader = SharedValues(tmp_path), SharedValues(tmp_path)
    for values in (writer, reader):
        values.slot(REQUESTS)
        values.slot(STATE)

    assert [process.numbers for process in reader.processes({"state"})] == [{STATE: (0.0,)}] * 2


def test_who_comes_after_one_that_ended_goes_on_with_its_counters_only(tmp_path: Path) -> None:
    ended = SharedValues(tmp_path)
    ended.numbers[ended.slot(REQUESTS)] = 5
    ended.numbers[ended.slot(STATE)] = 1
    ended.close()

    (seen,) = SharedValues(tmp_path / "elsewhere").processes(EVERY_NAME)
    following = SharedValues(tmp_path)
    following.numbers[following.slot(REQUESTS)] += 1

    assert seen.numbers == {}
    (own,) = following.processes(EVERY_NAME)
    assert own.numbers == {REQUESTS: (6.0,), STATE: (0.0,)}
    assert [path.name for path in tmp_path.glob("*.values")] == ["0.values"]


def test_of_one_that_ended_only_counters_are_read(tmp_path: Path) -> None:
    ended, reader = SharedValues(tmp_path), SharedValues(tmp_path)
    ended.numbers[ended.slot(REQUESTS)] = 5
    ended.numbers[ended.slot(STATE)] = 1
    ended.close()

    _, other = reader.processes(EVERY_NAME)

    assert (other.pid, other.numbers) == (None, {REQUESTS: (5.0,)})


def test_what_has_no_room_is_not_counted_and_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    values = SharedValues()
    first = values.slot(REQUESTS)
    values.numbers[first] = 1

    with caplog.at_level(logging.ERROR):
        for i in range(CAPACITY // MAX_ADJOINING + 1):
            slot = values.slot(Key("histogram", (str(i),)), MAX_ADJOINING)
            for j in range(MAX_ADJOINING):
                values.numbers[slot + j] += 7

    (own,) = values.processes(EVERY_NAME)
    assert own.numbers[REQUESTS] == (1.0,)
    assert len(own.numbers) < CAPACITY // MAX_ADJOINING
    assert "no room for another metric" in caplog.text
    with pytest.raises(ValueError, match="4097 adjoining"):
        values.slot(Key("too wide"), MAX_ADJOINING + 1)


def test_keys_have_bounded_room_too() -> None:
    values = SharedValues()

    slots = {values.slot(Key("long", (f"{i}{'x' * 100_000}",))) for i in range(20)}

    assert len(slots) < 20
    (own,) = values.processes(EVERY_NAME)
    assert 5 < len(own.numbers) < 15


def test_threads_that_look_up_one_key_at_once_get_one_slot() -> None:
    values = SharedValues()
    found: list[int] = []
    barrier = threading.Barrier(4)

    def look_up() -> None:
        barrier.wait()
        found.extend(values.slot(Key("requests", (str(i),))) for i in range(200))

    threads = [threading.Thread(target=look_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(found)) == 200


def test_a_file_that_is_just_being_made_is_nothing_yet(tmp_path: Path) -> None:
    reader = SharedValues(tmp_path)
    (tmp_path / "1.values").touch()

    assert [process.numbers for process in reader.processes(EVERY_NAME)] == [{}, {}]

"""What is withdrawn is known to a process that takes the place of another, and to those beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.feedback.withdrawn import WithdrawnLabels
from app.metrics.shared_values import SharedValues

if TYPE_CHECKING:
    from pathlib import Path

HIGH, LOW = ("priority", "High"), ("priority", "Low")


def test_a_process_in_the_place_of_one_that_ended_goes_on_from_there(tmp_path: Path) -> None:
    values = SharedValues(tmp_path)
    WithdrawnLabels(values).put("aaa", frozenset({HIGH}))
    values.close()

    replaced = WithdrawnLabels(SharedValues(tmp_path))

    assert replaced.by_digest == {"aaa": frozenset({HIGH})}


def test_a_process_beside_others_begins_with_what_they_know(tmp_path: Path) -> None:
    first = WithdrawnLabels(SharedValues(tmp_path))
    first.put("aaa", frozenset({HIGH, LOW}))
    first.put("bbb", frozenset({HIGH}))

    second = WithdrawnLabels(SharedValues(tmp_path))

    assert second.by_digest == {"aaa": frozenset({HIGH, LOW}), "bbb": frozenset({HIGH})}


def test_what_came_back_is_not_withdrawn_any_more(tmp_path: Path) -> None:
    values = SharedValues(tmp_path)
    withdrawn = WithdrawnLabels(values)
    withdrawn.put("aaa", frozenset({HIGH, LOW}))
    withdrawn.put("aaa", frozenset({LOW}))
    assert withdrawn.by_digest == {"aaa": frozenset({LOW})}
    values.close()

    assert WithdrawnLabels(SharedValues(tmp_path)).by_digest == {"aaa": frozenset({LOW})}


def test_one_process_by_itself_needs_no_directory() -> None:
    withdrawn = WithdrawnLabels(SharedValues())

    withdrawn.put("aaa", frozenset({HIGH}))

    assert withdrawn.by_digest == {"aaa": frozenset({HIGH})}

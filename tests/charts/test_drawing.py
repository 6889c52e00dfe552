"""What charts are drawn with: every picture says what it shows, and no label breaks out of it."""

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.charts.drawing import Plot, cut, marks, picture, shortened, written


def test_a_picture_says_in_words_what_it_shows() -> None:
    root = ET.fromstring(picture("Title", "one of two", [written("a", 1, 2)]))  # noqa: S314 - made here

    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == "Title. one of two"
    assert [child.tag for child in root] == ["title", "desc", "text"]


def test_no_picture_has_a_colour_or_a_style_of_its_own() -> None:
    plot = Plot(0, 1, 0, 1)
    drawn = [*plot.rules([0, 1]), plot.line("curve", [(0, 0), (1, 1)]), *plot.x_axis([(0, "0")], "x", at=plot.bottom)]

    root = ET.fromstring(picture("Title", "words", drawn))  # noqa: S314 - made here

    assert not [node for node in root.iter() if {"style", "fill", "stroke"} & node.attrib.keys()]


def test_a_label_that_looks_like_an_element_is_written_as_it_is() -> None:
    label = "</text><script>alert(1)</script>"

    root = ET.fromstring(picture("Title", "words", [written(label, 0, 0)]))  # noqa: S314 - made here

    assert [node.tag for node in root.iter() if node.tag == "script"] == []
    assert [node.text for node in root.iter("text")] == [label]


@given(st.floats(0, 1), st.floats(0, 1))
def test_what_is_inside_the_data_is_drawn_inside_the_picture(x: float, y: float) -> None:
    plot = Plot(0, 1, 0, 1)

    assert 0 <= plot.x(x) <= 440
    assert 0 <= plot.y(y) <= 300


@given(st.integers(0, 9))
def test_marks_are_few_and_go_down_from_the_highest_without_leaving_the_range(tenths: int) -> None:
    lowest = tenths / 10

    found = marks(lowest, 1)

    assert found[0] == 1
    assert 2 <= len(found) <= 7
    assert min(found) == pytest.approx(lowest, abs=0.2)
    assert min(found) >= lowest - 1e-9


@pytest.mark.parametrize(("n", "expected"), [(0, "0"), (9_999, "9999"), (10_000, "10k"), (123_456, "123k")])
def test_large_counts_are_shortened(n: int, expected: str) -> None:
    assert shortened(n) == expected


def test_a_long_label_is_cut_to_its_length() -> None:
    assert cut("Sales", 5) == "Sales"
    assert cut("Tech Support", 5) == "Tech…"

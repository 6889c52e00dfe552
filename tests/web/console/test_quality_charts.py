"""The pictures of the quality page: whatever the counts, all of it lies inside, and the same stands in words."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from app.feedback.live_quality import Checked, CheckedWeek, Period
from app.web.console.quality_charts import decisions_chart, promise_row, weeks_chart

MONDAY = 20_780

checks = st.integers(0, 200).flatmap(lambda n: st.builds(Checked, st.just(n), st.integers(0, n)))
weeks_of_checks = st.lists(checks, min_size=1, max_size=26).map(
    lambda found: [CheckedWeek(MONDAY + 7 * i, checked) for i, checked in enumerate(found)]
)
counts = st.dictionaries(st.sampled_from(["auto", "suggest", "review"]), st.integers(1, 10_000))
share = st.floats(0, 1)


def drawn(picture: str) -> ET.Element:
    """Return the picture, all of whose coordinates are numbers that lie in it."""
    root = ET.fromstring(picture)  # noqa: S314 - made by the code under test
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for node in root.iter():
        for names, largest in ((("x", "x1", "x2", "cx"), width), (("y", "y1", "y2", "cy"), height)):
            assert all(-0.01 <= float(node.attrib[name]) <= largest + 0.01 for name in names if name in node.attrib)
        assert all(float(node.attrib[name]) >= 0 for name in ("width", "height") if name in node.attrib)
        assert not {"style", "fill", "stroke"} & node.attrib.keys()
    return root


@given(weeks_of_checks, st.none() | st.floats(0.5, 0.999))
def test_weeks_are_drawn_inside_the_picture_and_said_in_words(weeks: list[CheckedWeek], target: float | None) -> None:
    root = drawn(weeks_chart(weeks, target=target, name="priority"))

    n_points = sum(week.checked.n_checked > 0 for week in weeks)
    assert sum(node.tag == "circle" for node in root.iter()) == n_points
    assert root.attrib["aria-label"].count(" right") == len(weeks)
    assert ("Promised" in root.attrib["aria-label"]) == (target is not None)


@given(st.lists(counts, min_size=1, max_size=28))
def test_the_parts_of_a_bar_make_up_all_of_it(found: list[dict[str, int]]) -> None:
    root = drawn(decisions_chart([Period(MONDAY + i, 1, of_day) for i, of_day in enumerate(found)], name="priority"))

    heights: dict[str, float] = {}
    for node in root.iter("rect"):
        heights[node.attrib["x"]] = heights.get(node.attrib["x"], 0) + float(node.attrib["height"])
    assert len(heights) == sum(bool(of_day) for of_day in found)
    assert all(math.isclose(height, 240, abs_tol=0.1) for height in heights.values())


@given(st.none() | share, share, share, st.floats(0.01, 0.999))
def test_the_row_of_a_promise_stays_inside(measured: float | None, one: float, other: float, target: float) -> None:
    root = drawn(promise_row(share=measured, low=min(one, other), high=max(one, other), target=target))

    assert root.attrib["aria-hidden"] == "true"
    assert sum(node.tag == "circle" for node in root.iter()) == (measured is not None)

"""HTML that is made here: whatever text enters it comes out as text, in templates of Jinja2 too."""

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from app.charts.html import element, join, table, text
from tests.html_reader import Reader


@given(st.text(), st.text())
def test_any_text_survives_as_text(content: str, attribute: str) -> None:
    made = element("p", content, attributes={"title": attribute})
    reader = Reader(made)
    assert reader.tags == ["p"]
    assert not reader.open
    visible = "".join(reader.text)
    assert len(visible.replace("\r\n", "\n")) == len(content.replace("\r\n", "\n"))
    made.encode()
    assert ET.fromstring(made).tag == "p"  # noqa: S314 - made above


def test_a_text_that_looks_like_a_cell_is_escaped() -> None:
    assert "<td><td" not in table("c", ["a", "b"], [["<td>x", "<td>y</td>"]])
    assert join(["<b>", text("<i>")]) == "&lt;b&gt;&lt;i&gt;"


def test_a_template_takes_what_was_made_here_as_it_is_and_escapes_what_was_not() -> None:
    template = Environment(autoescape=True).from_string("{{ made }}|{{ other }}")

    shown = template.render(made=element("p", "<b>"), other="<b>")

    assert shown == "<p>&lt;b&gt;</p>|&lt;b&gt;"

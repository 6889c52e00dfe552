"""HTML that cannot be broken by what stands in it: plain text is escaped wherever it enters an element."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup, escape

# Markup that is safe as it is; any other ``str`` is text.
Html = Markup
Attributes = Mapping[str, str | float]

# Control characters are not allowed in HTML, not even escaped; nor are lone surrogates, which cannot be encoded.
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_VOID = frozenset({"meta", "br", "rect", "line", "circle", "polyline"})
_NO_ATTRIBUTES: Attributes = {}


class Cell(Html):
    """A whole ``td`` element, made by ``cell``."""

    __slots__ = ()


def text(value: str) -> Html:
    return escape(_NOT_TEXT.sub("\ufffd", value))


def join(parts: Iterable[str]) -> Html:
    """Return the parts one after the other; text among them is escaped."""
    return Html("").join(part if isinstance(part, Html) else text(part) for part in parts)


def element(name: str, *children: str, attributes: Attributes = _NO_ATTRIBUTES) -> Html:
    """Return an element; names are the program's own, values and text children are escaped."""
    written = "".join(f' {key}="{text(_number(value))}"' for key, value in attributes.items())
    if name in _VOID and not children:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def paragraph(*children: str, kind: str = "") -> Html:
    return element("p", *children, attributes={"class": kind} if kind else {})


def bullets(items: Iterable[str]) -> Html:
    listed = [element("li", item) for item in items]
    return element("ul", *listed) if listed else Html("")


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, kind: str = "") -> Html:
    """Return a table whose first column names the rows; it scrolls by itself where the screen is narrow."""
    head = element("tr", *(element("th", name, attributes={"scope": "col"}) for name in header))
    body = [
        element("tr", element("th", row[0], attributes={"scope": "row"}), *(_in_cell(content) for content in row[1:]))
        for row in rows
    ]
    inside = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return scrolled(inside, name=caption, kind=kind)


def scrolled(inside: Html, *, name: str, kind: str = "") -> Html:
    """Return ``inside`` in a box that can be focused, so that it can be scrolled from the keyboard."""
    attributes = {"class": f"scroll {kind}".strip(), "tabindex": "0", "role": "region", "aria-label": name}
    return element("div", inside, attributes=attributes)


def cell(*children: str, attributes: Attributes = _NO_ATTRIBUTES) -> Cell:
    """Return a cell with attributes of its own for a row of ``table``; other cells are made by ``table``."""
    return Cell(element("td", *children, attributes=attributes))


def _in_cell(content: str) -> Html:
    return content if isinstance(content, Cell) else element("td", content)


def _number(value: str | float) -> str:
    if isinstance(value, (str, int)):
        return str(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")

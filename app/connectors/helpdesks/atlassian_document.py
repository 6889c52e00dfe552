"""Plain text of an Atlassian document: Jira's rich text, a tree of nodes in JSON.

https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/ lists the nodes. Each gives its words and
then what it contains, also one that is not known here, so that no words of a customer are lost to a new kind of node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

# Within a line; every other node begins and ends lines of its own.
_INLINE = ("text", "mention", "emoji", "status", "date", "inlineCard", "mediaInline", "inlineExtension")
# The attributes that a reader sees as words, of which the first that is there counts: an emoji has a text and a name.
_WORDS = ("text", "shortName", "title", "url")
_LINE_END = "\n"


@dataclass(frozen=True)
class _Step:
    """What is still to be read: a node, a list of nodes, words or the end of a line, within so many quotes."""

    node: object
    quotes: int


def plain_text(document: object) -> str:
    """Return a document's lines, with "> " before those that are quoted; what is no document has none.

    The tree is walked without recursion: how deep it is nested is the sender's choice.
    """
    lines: list[str] = []
    line: list[str] = []
    pending = [_Step(document, quotes=0), _Step(_LINE_END, quotes=0)][::-1]
    while pending:
        step = pending.pop()
        match step.node:
            case "\n":
                lines += ["> " * step.quotes + words for words in "".join(line).splitlines() if words.strip()]
                line.clear()
            case str(words):
                line.append(words)
            case list(nodes):
                pending += [_Step(node, step.quotes) for node in reversed(nodes)]
            case Mapping() as node:
                pending += reversed(_steps_into(node, step.quotes))
    return "\n".join(lines)


def _steps_into(node: Mapping[str, object], quotes: int) -> list[_Step]:
    """Return what to read of a node, in the order of reading."""
    kind = node.get("type")
    if kind == "hardBreak":
        return [_Step(_LINE_END, quotes)]
    inside = quotes + (kind == "blockquote")
    steps = [_Step(_words_of(node), inside), _Step(node.get("content"), inside)]
    return steps if kind in _INLINE else [_Step(_LINE_END, quotes), *steps, _Step(_LINE_END, inside)]


def _words_of(node: Mapping[str, object]) -> str:
    attributes = node.get("attrs")
    said = {**attributes, **node} if isinstance(attributes, Mapping) else node
    if node.get("type") == "date":
        return _date(said.get("timestamp"))
    return next((words for name in _WORDS if isinstance(words := said.get(name), str)), "")


def _date(milliseconds: object) -> str:
    try:
        return f"{datetime.fromtimestamp(int(str(milliseconds)) / 1000, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return ""

"""Jira's rich text, read as the lines that its writer sees."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.connectors.helpdesks.atlassian_document import plain_text

DOCUMENT = """{"type": "doc", "version": 1, "content": [
  {"type": "heading", "attrs": {"level": 2}, "content": [{"type": "text", "text": "Screens"}]},
  {"type": "paragraph", "content": [
    {"type": "text", "text": "My second "}, {"type": "text", "text": "screen", "marks": [{"type": "strong"}]},
    {"type": "text", "text": " is dark."}, {"type": "hardBreak"},
    {"type": "mention", "attrs": {"id": "557058:1", "text": "@Ann"}}, {"type": "text", "text": " saw it "},
    {"type": "emoji", "attrs": {"shortName": ":cry:", "text": "\u2639"}}, {"type": "text", "text": " on "},
    {"type": "date", "attrs": {"timestamp": "1764374400000"}}]},
  {"type": "bulletList", "content": [
    {"type": "listItem", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "cable"}]}]},
    {"type": "listItem", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "port"}]}]}]},
  {"type": "table", "content": [{"type": "tableRow", "content": [
    {"type": "tableCell", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "Room"}]}]},
    {"type": "tableCell", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "12"}]}]}]}]},
  {"type": "blockquote", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "Try again"}]}]},
  {"type": "codeBlock", "content": [{"type": "text", "text": "error 5\\nerror 6"}]},
  {"type": "mediaSingle", "content": [{"type": "media", "attrs": {"type": "file", "id": "1", "collection": ""}}]},
  {"type": "rule"},
  {"type": "paragraph", "content": [{"type": "inlineCard", "attrs": {"url": "https://example.com/x"}}]},
  {"type": "hologram", "content": [{"type": "text", "text": "of next year"}]}
]}"""


def test_a_document_is_read_line_by_line() -> None:
    assert plain_text(json.loads(DOCUMENT)).splitlines() == [
        "Screens",
        "My second screen is dark.",
        "@Ann saw it \u2639 on 2025-11-29",
        "cable",
        "port",
        "Room",
        "12",
        "> Try again",
        "error 5",
        "error 6",
        "https://example.com/x",
        "of next year",
    ]


@pytest.mark.parametrize(
    "document",
    [
        None,
        7,
        [],
        {},
        {"type": "doc"},
        {"type": "doc", "content": {"type": 3}},
        {"type": "date", "attrs": {"timestamp": "9" * 40}},
    ],
)
def test_what_is_no_document_has_no_text(document: object) -> None:
    assert plain_text(document) == ""


def test_a_document_of_any_depth_is_read() -> None:
    document: object = {"type": "text", "text": "deep"}
    for _ in range(100_000):
        document = {"type": "panel", "content": [document]}

    assert plain_text(document) == "deep"


NODES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "content", "text", "attrs", "timestamp"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(NODES)
def test_any_json_is_read_without_an_error(document: object) -> None:
    assert isinstance(plain_text(document), str)

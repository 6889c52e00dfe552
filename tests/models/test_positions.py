"""Cleaning that remembers: the text of ``clean``, and for each of its characters where it was written."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.models import positions
from app.models.cleaning import clean
from app.models.positions import trace

LETTERS = "server Down can't they\u2019re café cafe\u0301 straße İstanbul ΟΔΟΣ ΟΔΟΣ'"
MORE_LETTERS = "日本語 ｻｰﾊﾞｰ ﬁle ½ \ufdfa 각 ١٢٣ שלום 😀 👩‍🔬"
PARTS_OF_LETTERS = ("\u1100\u1161\u11a8", "\u1100", "\u1161", "q\u0323\u0307", "\u0307", "\u0323", "\u0300" * 40)
MARKUP = (
    "<b> </b> <!--hidden--> <style>p{}</style> <script> </script> < > <br/> <! &amp; &eacute; &nbsp; &ampserver &notit;"
)
MORE_MARKUP = "&#233; &#xfb01; & &; &#59;; &lt;b&gt; ' '' \u2019 -- >"
LINES = (
    "\n",
    "\r\n",
    "\r",
    "\u2028",
    "\x0b",
    "\n> quoted\n",
    "| table",
    "\n-- \n",
    "\nSent from my phone",
    "On Mon, Jo wrote:",
)
OTHERS = ("-" * 70, "a" * 60, " ", "  ", "\t", "\x00")
PIECES = (
    *LETTERS.split(),
    *MORE_LETTERS.split(),
    *PARTS_OF_LETTERS,
    *MARKUP.split(),
    *MORE_MARKUP.split(),
    *LINES,
    *OTHERS,
)
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=14).map("".join)
SPACED = st.lists(st.sampled_from(PIECES), max_size=14).map(" ".join)


@given(TEXT | SPACED | st.text())
@example("> only quoted\n> lines")
@example("İ" * 40 + "'")
def test_the_traced_text_is_the_cleaned_text(source: str) -> None:
    traced = trace(source)
    assert traced.text == clean(source)
    assert len(traced.starts) == len(traced.ends) == len(traced.text)


@given(TEXT | SPACED | st.text())
def test_places_lie_in_the_source_and_never_go_back(source: str) -> None:
    traced = trace(source)
    starts, ends = list(traced.starts), list(traced.ends)
    assert starts == sorted(starts)
    assert ends == sorted(ends)
    assert all(0 <= start < end <= len(source) for start, end in zip(starts, ends, strict=True))


@given(TEXT | SPACED | st.text())
def test_each_step_is_explained_by_its_own_edits(source: str) -> None:
    text = source
    for step, finders in positions._EDITS.items():
        after = step(text)
        if after != text:
            traced = positions.Traced(text, range(len(text)), range(1, len(text) + 1))
            for find in finders:
                traced = positions._applied(find(traced.text), traced)
            assert traced.text.lower() == after.lower()
        text = after


@pytest.mark.parametrize(
    ("source", "cleaned", "written"),
    [
        ("I can't log in", "cant", "can't"),
        ("the <b>VPN</b> drops", "vpn", "VPN"),
        ("caf&eacute; closed", "café", "caf&eacute;"),
        ("cafe\u0301 closed", "café", "cafe\u0301"),
        ("the ﬁle is gone", "file", "ﬁle"),
        ("İzmir office", "izmir office".replace("i", "i\u0307", 1), "İzmir office"),
        ("> earlier\nthe printer\n> quoted\njams\n-- \nJo", "the printer\njams", "the printer\n> quoted\njams"),
        ("<!-- a --><style>p{}</style>no sound", "no sound", "no sound"),
        ("각 door", "각", "각"),
        ("\u1100\u1161\u11a8 door", "각", "\u1100\u1161\u11a8"),
        ("x&ampserver", "server", "server"),
        ("ｻｰﾊﾞｰ down", "サーバー", "ｻｰﾊﾞｰ"),
    ],
)
def test_what_was_written_is_found_again(source: str, cleaned: str, written: str) -> None:
    traced = trace(source)
    place = traced.text.index(cleaned)
    assert source[traced.starts[place] : traced.ends[place + len(cleaned) - 1]] == written


@pytest.mark.parametrize(
    "text",
    [
        "a\u0315\u0300" * 6_600,
        "<a " * 6_600,
        "&a" * 10_000,
        "&amp;" * 4_000,
        "\ufb01" * 20_000,
        "\u1161" * 20_000,
        ">\n" * 10_000,
        "'" * 20_000,
    ],
    ids=["marks", "open tags", "ampersands", "entities", "ligatures", "jamo", "quotes", "apostrophes"],
)
def test_hostile_text_of_20000_characters_is_traced_in_less_than_a_second(text: str) -> None:
    started = time.thread_time()
    assert trace(text).text == clean(text)
    assert time.thread_time() - started < 1

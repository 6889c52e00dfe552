"""Cleaning: what is not the ticket goes, the ticket stays, and no text takes long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.cleaning import clean


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The VPN <b>drops</b>&nbsp;hourly", "the vpn drops hourly"),
        ("<style>p { color: red }</style><p>Printer jammed</p>", "printer jammed"),
        ("<!-- tracker --><SCRIPT>track()</SCRIPT>No sound", "no sound"),
        ("if a < b and b > c then crash", "if a < b and b > c then crash"),
        ("Please advise\n\nOn Mon, 2 Feb 2026 at 10:11, Support wrote:\n> have you tried\nit", "please advise"),
        ("Refund?\n-----Original Message-----\nFrom: desk", "refund?"),
        ("Danke\nAm 3. Mai 2026 um 10:00 schrieb Support:\nBitte neu starten", "danke"),
        ("It failed\n-- \nJo Doe\nHead of Operations", "it failed"),
        ("Done\nSent from my phone", "done"),
        ("I can't, they’re down", "i cant, theyre down"),  # noqa: RUF001
        ("> quoted\nmine\n> quoted", "mine"),
        ("ﬁle Ｓｅｒｖｅｒ", "file server"),  # noqa: RUF001 - compatibility characters are what is tested
    ],
)
def test_noise_is_removed_and_the_words_of_the_writer_stay(text: str, words: str) -> None:
    assert clean(text).split() == words.split()


@pytest.mark.parametrize("text", ["<b></b>", "> only quoted", "-- \nJo", "<p>\n</p>"])
def test_text_that_is_nothing_but_noise_is_kept(text: str) -> None:
    assert clean(text).strip() == text.strip().lower()


@given(st.text())
def test_cleaning_never_fails_and_lower_cases(text: str) -> None:
    assert clean(text) == clean(text).lower()


HOSTILE = {
    "open tags": "<a" * 10_000,
    "tags that never end": "<a " * 6_600,
    "scripts that never end": "<script>" * 2_500,
    "scripts closed as styles": "<script>" * 1_250 + "</style>" * 1_250,
    "comments that never end": "<!--" * 5_000 + ">",
    "ampersands": "&" * 20_000,
    "entities that never end": "&a" * 10_000,
    "combining marks in the wrong order": "a" + "\u0315\u0300" * 10_000,
    "expanding ligatures": "\ufdfa" * 20_000,
    "reply headers": "on x\n" * 4_000,
    "dashes": "-" * 20_000 + "\n",
    "underscores": ("_" * 500 + "\n") * 40,
    "new lines": "\n" * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_of_20000_characters_costs_no_more_than_twice_for_twice_the_text(name: str) -> None:
    text = HOSTILE[name]
    shorter = text[: len(text) // 2] + text[-1]  # the last character may be what makes it hostile
    whole, half = (_quickest(lambda t=part: clean(t)) for part in (text, shorter))
    # Quadratic work would be 4 times; a few microseconds of noise are allowed for.
    assert whole < 3 * half + 0.002


def _quickest(call: object) -> float:
    assert callable(call)
    times = []
    # The time of this thread alone, whatever else the machine does.
    for _ in range(5):
        start = time.thread_time()
        call()
        times.append(time.thread_time() - start)
    return min(times)

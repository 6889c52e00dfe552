"""What the composer makes of one set of wordings, style by style."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.composer import Composer
from data.draw import Draw
from data.generate_dataset import COMPOSITION_FILE

COMPOSITION = tomllib.loads(COMPOSITION_FILE.read_text(encoding="utf-8"))


@settings(deadline=None)
@given(
    seed=st.integers(),
    titles=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=3),
    descriptions=st.lists(st.text(min_size=1), min_size=1, max_size=4),
)
def test_any_wording_can_be_composed(seed: int, titles: list[str], descriptions: list[str]) -> None:
    composer = Composer.load(COMPOSITION_FILE)

    composition = composer.compose(titles, descriptions, Draw(seed))

    assert len(composition.title) <= 300


def quiet_composer(**changed: object) -> Composer:
    """A composer that adds nothing and changes nothing, but for `changed`: chances by name, weights by choice."""
    material = {
        **COMPOSITION,
        "chances": {name: changed.get(name, 0.0) for name in COMPOSITION["chances"]},
        "weights": {
            "title": {"own": 1},
            "body": {"one": 1},
            "letters": {"as_written": 1},
            **{choice: {kind: 1} for choice, kind in changed.items() if choice in COMPOSITION["weights"]},
        },
        "exchange": {**COMPOSITION["exchange"], "chance": changed.get("exchange", 0.0)},
    }
    return Composer(material)


WORDING = "It's down. We can't pay, the Portal says \"no\"."


@pytest.mark.parametrize(
    ("changed", "title", "description"),
    [
        ({}, "Portal down", WORDING),
        ({"letters": "upper"}, "PORTAL DOWN", WORDING.upper()),
        ({"letters": "lower"}, "portal down", WORDING.lower()),
        ({"letters": "lower_sentence_starts"}, "portal down", "it's down. we can't pay, the Portal says \"no\"."),
        ({"no_apostrophes": 1.0}, "Portal down", 'Its down. We cant pay, the Portal says "no".'),
        ({"no_punctuation": 1.0}, "Portal down", "It's down We can't pay the Portal says \"no\""),
        ({"title": "empty"}, "", WORDING),
        ({"title": "everything"}, WORDING, ""),
    ],
)
def test_styles_change_letters_and_stops_and_nothing_else(
    changed: dict[str, object], title: str, description: str
) -> None:
    composition = quiet_composer(**changed).compose(["Portal down"], [WORDING], Draw(1))

    assert (composition.title, composition.description) == (title, description)


def test_two_wordings_are_both_in_the_description_whole() -> None:
    composition = quiet_composer(body="two").compose(["T"], ["First wording here", "Second wording here"], Draw(1))

    assert "First wording here" in composition.description
    assert "Second wording here" in composition.description


def test_an_echoing_title_is_the_beginning_of_the_description() -> None:
    wording = " ".join(f"word{number}" for number in range(30))

    composition = quiet_composer(title="echo").compose(["T"], [wording], Draw(1))

    assert composition.description.startswith(composition.title.rstrip(".…"))
    assert 4 <= len(composition.title.split()) <= 10


def test_html_noise_is_escaped_markup() -> None:
    composition = quiet_composer(html=1.0).compose(["T"], ["a < b & c"], Draw(1))

    assert "a &lt; b &amp; c" in composition.description
    assert composition.description != "a &lt; b &amp; c"


def test_exchanged_words_stand_for_each_other() -> None:
    composition = quiet_composer(exchange=1.0).compose(["T"], ["Nobody can log in, the Password is wrong."], Draw(1))

    assert composition.description == "No one can sign in, the Passcode is incorrect."

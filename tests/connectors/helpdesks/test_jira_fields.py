"""Fields of Jira, which has a shape for each kind of them."""

from __future__ import annotations

import pytest

from app.connectors.api import RefusedError
from app.connectors.helpdesks.jira_fields import field_value, text_of, word_of, words_of
from app.models.cleaning import clean

CHOICES = [{"id": "10100", "value": "Billing"}, {"id": "10101", "value": "Tech Support"}]
KINDS = {
    "customfield_1": {"schema": {"type": "option"}, "allowedValues": CHOICES},
    "customfield_2": {"schema": {"type": "array", "items": "option"}, "allowedValues": CHOICES},
    "customfield_3": {"schema": {"type": "group"}},
    "customfield_4": {"schema": {"type": "array", "items": "group"}},
    "customfield_5": {"schema": {"type": "string"}},
    "labels": {"schema": {"type": "array", "items": "string"}},
}


@pytest.mark.parametrize(
    ("name", "shaped"),
    [
        ("priority", {"name": "Billing"}),
        ("components", [{"name": "Billing"}]),
        ("customfield_1", {"id": "10100"}),
        ("customfield_2", [{"id": "10100"}]),
        ("customfield_3", {"name": "Billing"}),
        ("customfield_4", [{"name": "Billing"}]),
        ("customfield_5", "Billing"),
        ("labels", ["Billing"]),
    ],
)
def test_a_value_has_the_shape_of_its_field(name: str, shaped: object) -> None:
    assert field_value(name, "Billing", KINDS) == shaped


def test_a_value_or_a_field_that_is_not_there_is_refused_by_its_name() -> None:
    assert field_value("customfield_1", "billing", KINDS) == {"id": "10100"}
    with pytest.raises(RefusedError, match='customfield_1 has no value "Sales"'):
        field_value("customfield_1", "Sales", KINDS)
    with pytest.raises(RefusedError, match="customfield_9 is not one that the token's user can edit"):
        field_value("customfield_9", "Sales", KINDS)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, None),
        ("", None),
        ([], None),
        ({}, None),
        ("Billing", "Billing"),
        (7, "7"),
        ({"id": "1", "value": "Billing"}, "Billing"),
        ({"self": "https://", "name": "High", "id": "2"}, "High"),
        ([{"name": "Billing"}, {"name": "Sales"}], "Billing, Sales"),
        ([[["Billing"]]], None),
    ],
)
def test_a_value_is_read_as_the_word_that_people_see(value: object, word: str | None) -> None:
    assert word_of(value) == word


def test_the_values_of_a_field_are_told_where_it_has_any() -> None:
    assert words_of(KINDS["customfield_2"]) == {"Billing", "Tech Support"}
    assert words_of(KINDS["customfield_5"]) is None
    assert words_of(None) == frozenset()


def test_a_table_in_jiras_markup_is_not_taken_for_a_quote() -> None:
    text = text_of("These are dark:\n||Room||Floor||\n |12|third|\nSee [here|https://example.com].")

    words = " ".join(clean(str(text)).split())
    assert words == "these are dark: room floor 12 third see [here|https://example.com]."

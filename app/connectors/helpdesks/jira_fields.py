"""Values of Jira's fields: read as text, and given the shape that each kind of field wants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from app.connectors.api import RefusedError
from app.connectors.helpdesks.atlassian_document import plain_text
from app.connectors.json_content import as_text, at_pointer

# The shape of these is known without asking.
KNOWN: Final = frozenset({"priority", "components"})
_TABLE_ROW: Final = re.compile(r"^[ \t]*\|.*", re.MULTILINE)
# Where a value of several parts has its name.
_NAMES: Final = ("value", "name", "displayName", "key", "id")


def text_of(value: object) -> str | None:
    """Return rich text, or Jira's markup, as plain text."""
    if isinstance(value, dict):
        return plain_text(value)
    text = as_text(value)
    # Lines that begin with a bar are quotes elsewhere.
    return None if text is None else _TABLE_ROW.sub(lambda row: row[0].replace("|", " "), text)


def word_of(value: object) -> str | None:
    """Return the value of a field as text, several values with commas between."""
    words = [_single(item) for item in value] if isinstance(value, list) else [_single(value)]
    return ", ".join(word for word in words if word is not None) or None


def words_of(kind: Mapping[str, Any] | None) -> frozenset[str] | None:
    """Return the values that a field may get, None if it takes any; ``kind`` is what Jira says of it."""
    if kind is None:
        return frozenset()
    allowed = kind.get("allowedValues")
    if not isinstance(allowed, list):
        return None
    return frozenset(word for choice in allowed if (word := word_of(choice)) is not None)


def field_value(name: str, value: str, kinds: Mapping[str, Mapping[str, Any]]) -> object:
    """Return ``value`` as the field wants it; raise ``RefusedError`` where it has no such value."""
    if name == "priority":
        return {"name": value}
    if name == "components":
        return [{"name": value}]
    if name not in kinds:
        raise RefusedError(f"the field {name} is not one that the token's user can edit in this issue", 0)
    schema, allowed = kinds[name].get("schema"), kinds[name].get("allowedValues")
    is_list = at_pointer(schema, "/type") == "array"
    item: object = value
    if isinstance(allowed, list):
        ids = {(word_of(choice) or "").casefold(): at_pointer(choice, "/id") for choice in allowed}
        if value.casefold() not in ids:
            raise RefusedError(f'the field {name} has no value "{value}"', 0)
        item = {"id": ids[value.casefold()]}
    elif at_pointer(schema, "/items" if is_list else "/type") == "group":
        item = {"name": value}
    return [item] if is_list else item


def _single(value: object) -> str | None:
    if isinstance(value, dict):
        return next((word for name in _NAMES if (word := as_text(value.get(name))) is not None), None)
    return as_text(value)

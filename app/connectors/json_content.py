"""JSON of helpdesks, taken apart with care: what is not there is None, and what is not as documented is said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from app.connectors.sighting import UnreadableError


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object that ``body`` is; raise ``UnreadableError``."""
    content = json_value(body)
    if not isinstance(content, dict):
        raise UnreadableError("the body is JSON, but not an object")
    return content


def json_value(body: bytes) -> Any:  # noqa: ANN401 - whatever was sent
    """Return what ``body`` is in JSON; raise ``UnreadableError``."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableError("the body is not JSON") from None


def at_pointer(content: Any, pointer: str) -> Any:  # noqa: ANN401 - as above
    """Return what a JSON pointer (RFC 6901) leads to in ``content``, None where that is nothing."""
    if not pointer:
        return content
    for token in pointer.removeprefix("/").split("/"):
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(content, dict):
            content = content.get(name)
        elif isinstance(content, list) and name.isascii() and name.isdecimal() and len(name) < 6:  # noqa: PLR2004
            content = content[int(name)] if int(name) < len(content) else None
        else:
            return None
    return content


def as_text(value: object) -> str | None:
    """Return a value of a field as text: numbers in digits, None for what is empty or no single value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    return None


def required_text(value: object, name: str) -> str:
    """Return a value as text; raise ``UnreadableError`` if there is none."""
    text = as_text(value)
    if text is None:
        raise UnreadableError(f"{name} is missing or empty")
    return text


def required_list(value: object, name: str) -> list[Any]:
    """Return a list; raise ``UnreadableError`` if it is none, since that is not the same as an empty one."""
    if not isinstance(value, list):
        raise UnreadableError(f"{name} is not listed as it is documented")
    return value


def as_milliseconds(value: object) -> int | None:
    """Return a time, in ISO 8601 or in seconds or milliseconds since 1970, in milliseconds; None if it is neither."""
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value.strip())
        except ValueError:
            return as_milliseconds(int(value)) if value.isascii() and value.isdecimal() and len(value) < 16 else None  # noqa: PLR2004
        # Without a zone it is UTC, as in most APIs.
        return round((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() * 1000)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e14:  # noqa: PLR2004
        return None
    return round(value) if value > 1e11 else round(value * 1000)  # noqa: PLR2004 - seconds until the year 5138

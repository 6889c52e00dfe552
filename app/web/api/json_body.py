"""Request bodies: read, decoded in strict form, and validated, with errors that never repeat what was sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Never, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from app.errors import (
    MALFORMED_JSON,
    UNSUPPORTED_CONTENT_ENCODING,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_FAILED,
    FieldError,
    ServiceError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails
    from starlette.types import Receive, Scope

Body = TypeVar("Body", bound=BaseModel)

JSON_BODY_ERRORS: Final = (
    UNSUPPORTED_MEDIA_TYPE,
    UNSUPPORTED_CONTENT_ENCODING,
    MALFORMED_JSON,
    VALIDATION_FAILED,
)
MAX_REPORTED_ERRORS: Final = 20
UNKNOWN_FIELD: Final = FieldError("(unknown field)", "is not a field of this body")

# pydantic's own sentences could change with its version, and some of them quote the input.
_MESSAGES: Final = {
    "missing": "is required",
    "string_type": "must be a string",
    "string_unicode": "must not contain lone surrogates",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must be an e-mail address",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number",
    "int_from_float": "must be a whole number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "bool_type": "must be true or false",
    "list_type": "must be an array",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "model_version": "must be a version such as 1.10.0",
    "not_printable": "must have printable characters only",
    "cursor": "must be the next_cursor of an answer",
    "nul_character": "title and description must not contain NUL characters",
    "uuid": "must be a UUID such as 01980c2e-7a4b-7c11-8f3e-5b1f0c9a2d47",
    "labels": "must be an object of 1 to 100 heads and their labels, which have 1 to 200 printable characters",
    "two_tickets": "must have prediction_id or ticket_id, not both",
    "no_ticket": "must have prediction_id, ticket_id or ticket",
    "blank_ticket": "title and description must not both be blank",
}


async def read_json_body(scope: Scope, receive: Receive, model: type[Body]) -> Body:
    """Return the request's body as ``model``; raise ``ServiceError`` (415 or 422) when it is not one."""
    check_content_headers(scope)
    return validate(decode_strict(await read_body(receive)), model)


def check_content_headers(scope: Scope) -> None:
    """Raise ``ServiceError`` (415) unless the body is plain JSON in UTF-8."""
    content_type = None
    for name, value in scope["headers"]:
        if name == b"content-type":
            if content_type is not None:
                raise ServiceError(UNSUPPORTED_MEDIA_TYPE)
            content_type = value
        elif name == b"content-encoding":
            raise ServiceError(UNSUPPORTED_CONTENT_ENCODING)
    if content_type != b"application/json" and not _is_json(content_type or b""):
        raise ServiceError(UNSUPPORTED_MEDIA_TYPE)


def _is_json(content_type: bytes) -> bool:
    media_type, _, parameters = content_type.lower().partition(b";")
    charset = parameters.strip().replace(b'"', b"")
    return media_type.strip() == b"application/json" and charset in {b"", b"charset=utf-8", b"charset=utf8"}


async def read_body(receive: Receive) -> bytes:
    """Return the whole body; raise ``ClientDisconnect`` when the client left before its end."""
    message = await receive()
    chunks = []
    while message["type"] != "http.disconnect":
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        message = await receive()
    raise ClientDisconnect


class _RefusedJSONError(ValueError):
    """JSON that the standard library would take, and we do not."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _RefusedJSONError("An object has the same key twice.")
    return content


def _constant(_: str) -> Never:
    raise _RefusedJSONError("NaN and Infinity are not JSON.")


_decode: Final = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode


def decode_strict(body: bytes) -> object:
    """Decode JSON in UTF-8; raise ``ServiceError`` (422) for duplicate keys, NaN, Infinity and lone surrogates too."""
    try:
        text = body.decode()
        content = _decode(text)
        if "\\u" in text:
            # Lone surrogates come from escapes only, and show when the text is encoded again.
            json.dumps(content, ensure_ascii=False).encode()
    except _RefusedJSONError as error:
        raise ServiceError(MALFORMED_JSON, str(error)) from None
    except UnicodeDecodeError:
        raise ServiceError(MALFORMED_JSON, "The request body is not UTF-8.") from None
    except UnicodeEncodeError:
        raise ServiceError(MALFORMED_JSON, "A string has a lone surrogate.") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ServiceError(MALFORMED_JSON, f"The request body is not JSON: see {place}.") from None
    except (RecursionError, ValueError):
        # Nesting without end, or a number of thousands of digits.
        raise ServiceError(MALFORMED_JSON, "The request body is nested too deep, or has a number too long.") from None
    return content


def validate(content: object, model: type[Body], *, detail: str | None = None) -> Body:
    """Return ``content`` as ``model``; raise ``ServiceError`` (422) that names the fields, but quotes nothing.

    ``detail`` says what it is, if that is not the body of a request.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        errors = field_errors(error, unknown=UNKNOWN_FIELD)
    raise ServiceError(VALIDATION_FAILED, detail, errors=errors)


def read_path(scope: Scope, model: type[Body]) -> Body:
    """Return what a path has in the places of its template; raise ``ServiceError`` (422) when that is not right."""
    return validate(scope["path_params"], model, detail="The path has no id of the form that it takes.")


def field_errors(error: ValidationError, *, unknown: FieldError) -> list[FieldError]:
    """Return the first errors by their fields; a name that the caller made up is said to be ``unknown``."""
    details = error.errors(include_url=False, include_context=True, include_input=False)
    return [_field_error(detail, unknown) for detail in details[:MAX_REPORTED_ERRORS]]


def _field_error(detail: ErrorDetails, unknown: FieldError) -> FieldError:
    kind = detail["type"]
    path: Sequence[int | str] = detail["loc"]
    if kind == "extra_forbidden":
        return FieldError(".".join(str(part) for part in (*path[:-1], unknown.field)), unknown.message)
    # What the sentences have places for are the model's own bounds and values.
    message = _MESSAGES.get(kind, "is not valid").format_map(detail.get("ctx", {}))
    return FieldError(".".join(str(part) for part in path) or "(body)", message)

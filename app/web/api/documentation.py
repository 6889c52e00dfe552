"""What the OpenAPI document says beyond the routes' own signatures: errors, headers and API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from app.errors import (
    BAD_REQUEST,
    BODY_TOO_LARGE,
    HEAD_TOO_LARGE,
    INTERNAL_ERROR,
    MALFORMED_REQUEST,
    RATE_LIMITED,
    REQUEST_TIMEOUT,
)
from app.models.schemas import ErrorBody, ValidationErrorBody

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet

    from fastapi import FastAPI

    from app.errors import ErrorKind

COMMON_ERRORS: Final = (
    BAD_REQUEST,
    MALFORMED_REQUEST,
    REQUEST_TIMEOUT,
    BODY_TOO_LARGE,
    HEAD_TOO_LARGE,
    INTERNAL_ERROR,
)
LIMITED_ERRORS: Final = (*COMMON_ERRORS, RATE_LIMITED)

_SECURITY_SCHEMES: Final = {
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
# What the framework would say of parameters that it had parsed; it is given none to parse.
_FRAMEWORK_ERROR: Final = "HTTPValidationError"
_REQUEST_ID_HEADER: Final = {
    "description": "The request's id: what was sent, if it has a valid form, else a new one.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
}
_RETRY_AFTER_HEADER: Final = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}


def error_responses(kinds: Iterable[ErrorKind]) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses`` of a route that may answer with ``kinds``, grouped by status."""
    responses: dict[int | str, dict[str, Any]] = {}
    for kind in sorted(kinds, key=lambda kind: kind.status):
        line = f"`{kind.slug}`: {kind.meaning}"
        if kind.status in responses:
            responses[kind.status]["description"] += f"\n\n{line}"
        else:
            model = ValidationErrorBody if kind.status == 422 else ErrorBody  # noqa: PLR2004 - HTTP's own number
            headers = {} if kind.retry_after_seconds is None else {"Retry-After": _RETRY_AFTER_HEADER}
            responses[kind.status] = {"model": model, "description": line, "headers": headers}
    return responses


def complete_openapi(app: FastAPI, *, protected_paths: AbstractSet[str]) -> None:
    """Make the document of ``app`` name the headers of every answer, and the keys that ``protected_paths`` ask for."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            if protected_paths:
                schema.setdefault("components", {})["securitySchemes"] = _SECURITY_SCHEMES
            for path, operations in schema["paths"].items():
                for operation in operations.values():
                    if _FRAMEWORK_ERROR in str(operation["responses"].get("422")):
                        del operation["responses"]["422"]
                    for response in operation["responses"].values():
                        response.setdefault("headers", {})["X-Request-ID"] = _REQUEST_ID_HEADER
                    if path in protected_paths:
                        operation["security"] = [{name: []} for name in _SECURITY_SCHEMES]
            for name in (_FRAMEWORK_ERROR, "ValidationError"):
                schema["components"]["schemas"].pop(name, None)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's documented way

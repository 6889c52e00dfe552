"""The only place that makes error JSON: for handlers, for middleware, and for what the framework raises by itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.errors import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    KIND_BY_STATUS,
    NO_HEADERS,
    VALIDATION_FAILED,
    ErrorKind,
    FieldError,
    ServiceError,
)

if TYPE_CHECKING:
    from starlette.types import Scope, Send

_ANY_ID: Final = "<request id>"


def error_response(
    scope: Scope,
    kind: ErrorKind,
    *,
    detail: str | None = None,
    status: int | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
    errors: Iterable[FieldError] = (),
) -> Response:
    """Return the response for ``kind``, and leave its slug in the request's state for the log and the metrics."""
    state = scope.setdefault("state", {})
    state["error"] = kind.slug
    status = status or kind.status
    all_headers = dict(headers)
    if kind.retry_after_seconds is not None:
        all_headers.setdefault("Retry-After", str(kind.retry_after_seconds))
    content: dict[str, object] = {
        "detail": detail or kind.meaning,
        "code": f"HTTP_{status}",
        "error": kind.slug,
        "request_id": state.get("request_id", ""),
    }
    if status == VALIDATION_FAILED.status:
        content["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    return Response(json.dumps(content), status, all_headers, "application/json")


async def send_error(
    scope: Scope,
    send: Send,
    kind: ErrorKind,
    *,
    detail: str | None = None,
    headers: Mapping[str, str] = NO_HEADERS,
) -> None:
    """Answer from a middleware."""
    if detail is not None or headers is not NO_HEADERS:
        await error_response(scope, kind, detail=detail, headers=headers)(scope, _no_receive, send)
        return
    # What is refused most when there is least time for it, overload, knows nothing but its kind.
    state = scope.setdefault("state", {})
    state["error"] = kind.slug
    before, after, of_kind = _parts(kind)
    content = b"".join((before, state.get("request_id", "").encode(), after))
    all_headers = [*of_kind, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": kind.status, "headers": all_headers})
    await send({"type": "http.response.body", "body": content})


@cache
def _parts(kind: ErrorKind) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """Return what stands before and after the request id, which needs no escapes, and all headers but the length."""
    whole = error_response({"state": {"request_id": _ANY_ID}}, kind)
    before, _, after = bytes(whole.body).partition(_ANY_ID.encode())
    return before, after, [header for header in whole.raw_headers if header[0] != b"content-length"]


async def _no_receive() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def response_to(scope: Scope, error: ServiceError | HTTPException) -> Response:
    """Return the response for an error that was raised on purpose."""
    if isinstance(error, ServiceError):
        return error_response(scope, error.kind, detail=error.detail, headers=error.headers, errors=error.errors)
    kind = KIND_BY_STATUS.get(error.status_code)
    if kind is None:
        kind = BAD_REQUEST if error.status_code < INTERNAL_ERROR.status else INTERNAL_ERROR
    return error_response(scope, kind, status=error.status_code, headers=error.headers or NO_HEADERS)

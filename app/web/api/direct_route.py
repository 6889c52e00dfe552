"""Routes that take bytes and answer bytes, and are documented as if the framework had parsed them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from fastapi.routing import APIRoute

from app.web.api.documentation import error_responses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.errors import ErrorKind


class DirectRoute(APIRoute):
    """A POST route whose ``app`` answers by itself: the framework's own parsing and encoding cost several scorings."""

    def __init__(  # noqa: PLR0913 - what the document shows
        self,
        path: str,
        app: ASGIApp,
        *,
        name: str,
        summary: str,
        request_model: type[BaseModel],
        response_model: type[BaseModel],
        errors: Iterable[ErrorKind],
    ) -> None:
        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)

        # The document is made from the endpoint's signature; requests never go through it.
        parameter = inspect.Parameter("body", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=request_model)
        endpoint.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
        super().__init__(
            path,
            endpoint,
            methods=["POST"],
            name=name,
            operation_id=name,
            summary=summary,
            response_model=response_model,
            response_description="OK",
            responses=error_responses(errors),
        )
        self.app = app


async def send_json(send: Send, content: bytes) -> None:
    """Answer 200 with JSON that is encoded already."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})

"""Routes that take bytes and answer bytes, and are documented as if the framework had parsed them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated

from fastapi import Header, Path, Query
from fastapi.routing import APIRoute
from starlette.routing import compile_path

from app.web.api.documentation import error_responses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.errors import ErrorKind


class DirectRoute(APIRoute):
    """A route whose ``app`` answers by itself: the framework's own parsing and encoding cost several scorings.

    ``app`` finds what the path has in the places of its template in ``scope["path_params"]``, always as text, and reads
    bodies with ``read_json_body`` and queries with ``read_query``, so that all of them are refused in the same form.
    """

    def __init__(  # noqa: PLR0913 - what the document shows
        self,
        path: str,
        app: ASGIApp,
        *,
        method: str = "POST",
        name: str,
        summary: str,
        query_model: type[BaseModel] | None = None,
        header_model: type[BaseModel] | None = None,
        request_model: type[BaseModel] | None = None,
        needs_body: bool = True,
        response_model: type[BaseModel],
        status_code: int = 200,
        errors: Iterable[ErrorKind],
    ) -> None:
        async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)

        # The document is made from the endpoint's signature; requests never go through it.
        annotations: dict[str, object] = dict.fromkeys(compile_path(path)[2], Annotated[str, Path()])
        if query_model is not None:
            annotations["query"] = Annotated[query_model, Query()]
        if header_model is not None:
            annotations["headers"] = Annotated[header_model, Header()]
        if request_model is not None:
            annotations["body"] = request_model if needs_body else request_model | None
        parameters = [
            inspect.Parameter(
                parameter,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=annotation,
                default=None if parameter == "body" and not needs_body else inspect.Parameter.empty,
            )
            for parameter, annotation in annotations.items()
        ]
        endpoint.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        super().__init__(
            path,
            endpoint,
            methods=[method],
            name=name,
            operation_id=name,
            summary=summary,
            response_model=response_model,
            response_description="OK",
            status_code=status_code,
            responses=error_responses(errors),
        )
        self.app = app


async def send_json(send: Send, content: bytes, *, status: int = 200) -> None:
    """Answer with JSON that is encoded already."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})

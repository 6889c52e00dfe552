"""Routes that take bytes and answer bytes, and are documented as if the framework had parsed them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app.errors import ServiceError
from app.web.api.documentation import error_responses
from app.web.error_handlers import response_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel
    from starlette.types import ASGIApp, Receive, Scope, Send

    from app.errors import ErrorKind

JSON_HEADERS: Final = ((b"content-type", b"application/json"),)


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


class DirectDispatch:
    """Hands POST requests for direct routes to them at once, and everything else to the framework's own layers.

    Those layers (exception handlers, exit stacks, routing) cost more than validating and encoding a ticket, and a
    direct route needs none of them.
    """

    def __init__(self, app: ASGIApp, *, routes: Iterable[DirectRoute]) -> None:
        self._app = app
        self._direct = {route.path: route.app for route in routes}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        direct = self._direct.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if direct is None:
            await self._app(scope, receive, send)
            return
        try:
            await direct(scope, receive, send)
        except (ServiceError, HTTPException) as error:
            await response_to(scope, error)(scope, receive, send)


class DirectFastAPI(FastAPI):
    """A FastAPI whose middleware lies around everything, and whose direct routes are reached without its own layers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.root_path or self.middleware_stack is None:
            await super().__call__(scope, receive, send)
            return
        scope["app"] = self
        await self.middleware_stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Return the user's middleware, then the direct routes, then what FastAPI builds by itself."""
        middleware, self.user_middleware = self.user_middleware, []
        try:
            app = super().build_middleware_stack()
        finally:
            self.user_middleware = middleware
        app = DirectDispatch(app, routes=[route for route in self.routes if isinstance(route, DirectRoute)])
        for layer, args, kwargs in reversed(middleware):
            app = layer(app, *args, **kwargs)
        return app


async def send_json(send: Send, content: bytes) -> None:
    """Answer 200 with JSON that is encoded already."""
    headers = [*JSON_HEADERS, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})

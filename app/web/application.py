"""The application: a path is matched once for guards, metrics and routes; our middleware lies around everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.exceptions import HTTPException
from starlette.routing import Route

from app.errors import NOT_FOUND, ServiceError
from app.metrics.service_metrics import UNMATCHED_ROUTE
from app.web.api.direct_route import DirectRoute
from app.web.error_handlers import response_to, send_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send


class RouteTable:
    """Which route a path belongs to, whatever the method; no path has parameters."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._paths = frozenset(route.path for route in routes if isinstance(route, Route))

    def match(self, scope: Scope) -> str:
        """Return the route of a request, or ``UNMATCHED_ROUTE``; a server's ``--root-path`` is not part of it."""
        path: str = scope["path"]
        prefix: str = scope.get("root_path", "")
        if prefix and path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in {"", "/"}:
            path = path[len(prefix) :]
        return path if path in self._paths else UNMATCHED_ROUTE


class Application(FastAPI):
    """Leaves the route of each request in ``scope["state"]["route"]``: whoever decides by the path looks there.

    The framework has three layers outside of all middleware and two inside, which cost more than validating and
    encoding a ticket. Errors are answered here and by our own middleware, so they have nothing to do.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self
        if scope["type"] != "http":
            await self.router(scope, receive, send)
            return
        stack = self.middleware_stack
        if stack is None:
            stack = self.middleware_stack = self.build_middleware_stack()
        scope.setdefault("state", {})["route"] = self._table.match(scope)
        await stack(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Return the user's middleware, around the direct routes and those of the framework."""
        self._table = RouteTable(self.routes)
        app: ASGIApp = Dispatch(self.routes, framework=AsyncExitStackMiddleware(self.router))
        for layer, args, kwargs in reversed(self.user_middleware):
            app = layer(app, *args, **kwargs)
        return app


class Dispatch:
    """Hands requests to direct routes, and those for others to the framework; answers what either raises on purpose."""

    def __init__(self, routes: Iterable[BaseRoute], *, framework: ASGIApp) -> None:
        self._direct = {route.path: route.app for route in routes if isinstance(route, DirectRoute)}
        self._framework = framework

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["state"]["route"]
        if route is UNMATCHED_ROUTE:
            await send_error(scope, send, NOT_FOUND)
            return
        direct = self._direct.get(route) if scope["method"] == "POST" else None
        try:
            await (direct or self._framework)(scope, receive, send)
        except (ServiceError, HTTPException) as error:
            await response_to(scope, error)(scope, receive, send)

"""The application: a path is matched once for guards, metrics and routes; our middleware lies around everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route

from app.errors import NOT_FOUND, ServiceError
from app.metrics.service_metrics import UNMATCHED_ROUTE
from app.web.api.direct_route import DirectRoute
from app.web.error_handlers import response_to, send_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send


class RouteTable:
    """Which route a path belongs to, whatever the method; routes are named by their path with its parameters' names."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._exact: dict[str, str] = {}
        self._patterns = []
        for route in routes:
            if isinstance(route, Route) and not route.param_convertors:
                self._exact[route.path] = route.path
            elif isinstance(route, Route | Mount):
                self._patterns.append((route.path_regex, route.path))

    def match(self, scope: Scope) -> str:
        """Return the route of a request, or ``UNMATCHED_ROUTE``; a server's ``--root-path`` is not part of it."""
        path: str = scope["path"]
        prefix: str = scope.get("root_path", "")
        if prefix and path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in {"", "/"}:
            path = path[len(prefix) :]
        route = self._exact.get(path)
        if route is None and self._patterns:
            route = next((name for regex, name in self._patterns if regex.match(path)), None)
        return UNMATCHED_ROUTE if route is None else route


class Application(FastAPI):
    """Leaves the route of each request in ``scope["state"]["route"]``: whoever decides by the path looks there.

    The framework has three layers outside of all middleware and three inside, which cost more than validating and
    encoding a ticket. Errors are answered by our own middleware, so the outer ones have nothing to do; requests for
    direct routes, and for none, do not go through the inner ones.
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
        """Return the user's middleware, around the direct routes and what FastAPI builds by itself."""
        self._table = RouteTable(self.routes)
        middleware, self.user_middleware = self.user_middleware, []
        try:
            framework = super().build_middleware_stack()
        finally:
            self.user_middleware = middleware
        direct = {route.path: route.app for route in self.routes if isinstance(route, DirectRoute)}
        app: ASGIApp = Dispatch(framework, direct=direct)
        for layer, args, kwargs in reversed(middleware):
            app = layer(app, *args, **kwargs)
        return app


_DIRECT_METHOD: Final = "POST"


class Dispatch:
    """Hands requests to direct routes, and those for others to the framework."""

    def __init__(self, framework: ASGIApp, *, direct: Mapping[str, ASGIApp]) -> None:
        self._framework = framework
        self._direct = direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = scope["state"]["route"]
        direct = self._direct.get(route) if scope["method"] == _DIRECT_METHOD else None
        if route is UNMATCHED_ROUTE:
            await send_error(scope, send, NOT_FOUND)
            return
        try:
            await (direct or self._framework)(scope, receive, send)
        except (ServiceError, HTTPException) as error:
            await response_to(scope, error)(scope, receive, send)

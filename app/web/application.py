"""The application: a path is matched once for guards, metrics and routes; our middleware lies around everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from starlette.exceptions import HTTPException
from starlette.routing import Route

from app.errors import METHOD_NOT_ALLOWED, NOT_FOUND, ServiceError
from app.metrics.service_metrics import UNMATCHED_ROUTE
from app.web.api.direct_route import DirectRoute
from app.web.error_handlers import response_to, send_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send


class RouteTable:
    """Which route a path belongs to, whatever the method: the one that is spelt like it, else the first that fits.

    A route is named by its template, such as ``/feedback/{feedback_id}``, never by what was sent in its place.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        by_template = {route.path_format: route for route in routes if isinstance(route, Route)}
        self._exact = frozenset(template for template, route in by_template.items() if not route.param_convertors)
        # A dollar at the end of a pattern would let a line break pass; the whole path has to fit.
        self._patterns = tuple(
            (template, route.path_regex.fullmatch)
            for template, route in by_template.items()
            if template not in self._exact
        )

    def match(self, scope: Scope) -> str:
        """Return the route of a request, or ``UNMATCHED_ROUTE``; a server's ``--root-path`` is not part of it.

        What a path has in the places of a template is put into ``scope["path_params"]``, and only then is that there.
        """
        path: str = scope["path"]
        prefix: str = scope.get("root_path", "")
        if prefix and path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in {"", "/"}:
            path = path[len(prefix) :]
        if path in self._exact:
            return path
        for template, fullmatch in self._patterns:
            match = fullmatch(path)
            if match is not None:
                scope["path_params"] = match.groupdict()
                return template
        return UNMATCHED_ROUTE


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
        """Return the user's middleware, around the routes."""
        self._table = RouteTable(self.routes)
        app: ASGIApp = Dispatch(self.routes)
        for layer, args, kwargs in reversed(self.user_middleware):
            app = layer(app, *args, **kwargs)
        return app


class Dispatch:
    """Hands a request to what answers its route and method; answers what that raises on purpose."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._methods: dict[str, dict[str, ASGIApp]] = {}
        for route in routes:
            if isinstance(route, Route):
                app = route.app if isinstance(route, DirectRoute) else AsyncExitStackMiddleware(route.app)
                methods = self._methods.setdefault(route.path_format, {})
                methods.update(dict.fromkeys(route.methods or (), app))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = self._methods.get(scope["state"]["route"])
        if methods is None:
            await send_error(scope, send, NOT_FOUND)
            return
        app = methods.get(scope["method"])
        if app is None:
            await send_error(scope, send, METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(sorted(methods))})
            return
        try:
            await app(scope, receive, send)
        except (ServiceError, HTTPException) as error:
            await response_to(scope, error)(scope, receive, send)

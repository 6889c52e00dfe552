"""``GET /docs`` and ``/redoc``: pages that need nothing but this service, their scripts come from an installed package.

Keys are typed into these pages, so nothing of another host may run in them, and nothing that stands in the page itself.
"""

from __future__ import annotations

from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

# Addresses are relative to the page, so that they are right behind any root path, whoever strips it.
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Ticket classifier</title>
<link rel="icon" href="data:,">
{head}
</head>
<body>
{body}
</body>
</html>
"""
_PAGES: Final = {
    "/docs": _PAGE.format(
        head='<link rel="stylesheet" href="docs/swagger-ui.css">',
        body='<div id="swagger-ui"></div>\n<script src="docs/swagger-ui-bundle.js"></script>\n'
        '<script src="docs/start.js"></script>',
    ),
    # The search would run in a worker made of a string.
    "/redoc": _PAGE.format(
        head="",
        body='<redoc spec-url="openapi.json" disable-search></redoc>\n'
        '<script src="redoc/redoc.standalone.js"></script>',
    ),
}
# Without a validator, which would be asked elsewhere.
_START: Final = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
"""
_START_PATH: Final = "/docs/start.js"
_PACKAGED: Final = {
    "/docs/swagger-ui-bundle.js": "text/javascript",
    "/docs/swagger-ui.css": "text/css",
    "/redoc/redoc.standalone.js": "text/javascript",
}

_POLICY: Final = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_POLICIES: Final = {
    "/docs": _POLICY,
    # It writes its styles into the page while it draws; no key is typed there.
    "/redoc": f"{_POLICY}; style-src 'self' 'unsafe-inline'",
}
# A page is five requests of a caller's limit; seen again, one.
_FILE_HEADERS: Final = {"Cache-Control": "max-age=3600"}


def documentation_routes() -> list[Route]:
    """Return the pages and what they load; the package with the files is found, not imported."""
    files = Path(str(distribution("fastapi-offline").locate_file("fastapi_offline/static")))
    pages = [
        _route(path, partial(HTMLResponse, page, headers={"Content-Security-Policy": _POLICIES[path]}))
        for path, page in _PAGES.items()
    ]
    script = _route(_START_PATH, partial(Response, _START, media_type="text/javascript", headers=_FILE_HEADERS))
    packaged = [
        _route(path, partial(FileResponse, files / Path(path).name, media_type=media_type, headers=_FILE_HEADERS))
        for path, media_type in _PACKAGED.items()
    ]
    return [*pages, script, *packaged]


def _route(path: str, respond: Callable[[], Response]) -> Route:
    async def answer(_: Request) -> Response:
        return respond()

    return Route(path, answer, include_in_schema=False)

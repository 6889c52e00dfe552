"""``GET /docs`` and ``/redoc``: pages that need nothing but this service, their scripts come from an installed package.

Keys are typed into these pages, so nothing of another host may run in them, and nothing that stands in the page itself.
"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
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
DOCUMENTATION_PATHS: Final = frozenset({*_PAGES, _START_PATH, *_PACKAGED})

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
    pages = [_page_route(path, page) for path, page in _PAGES.items()]
    packaged = [_file_route(path, files / Path(path).name, media_type) for path, media_type in _PACKAGED.items()]
    return [*pages, _script_route(_START_PATH, _START), *packaged]


def _page_route(path: str, page: str) -> Route:
    async def answer(_: Request) -> Response:
        return HTMLResponse(page, headers={"Content-Security-Policy": _POLICIES[path]})

    return Route(path, answer, include_in_schema=False)


def _script_route(path: str, script: str) -> Route:
    async def answer(_: Request) -> Response:
        return Response(script, media_type="text/javascript", headers=_FILE_HEADERS)

    return Route(path, answer, include_in_schema=False)


def _file_route(path: str, file: Path, media_type: str) -> Route:
    async def answer(_: Request) -> Response:
        content = await run_in_threadpool(file.read_bytes)
        return Response(content, media_type=media_type, headers=_FILE_HEADERS)

    return Route(path, answer, include_in_schema=False)

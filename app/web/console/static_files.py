"""The style sheets and scripts of the console, all of them our own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from app.errors import NOT_FOUND, ServiceError

if TYPE_CHECKING:
    from starlette.requests import Request

STATIC_PATH: Final = "/console/static/{name}"

_DIRECTORY: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


@cache
def _files() -> dict[str, _File]:
    found = {}
    for path in _DIRECTORY.iterdir():
        if path.suffix in _TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[path.name] = _File(content, _TYPES[path.suffix], etag)
    return found


async def _static(request: Request) -> Response:
    file = _files().get(request.scope["path_params"]["name"])
    if file is None:
        raise ServiceError(NOT_FOUND)
    # Asked again each time, so that a new release is seen at once; what did not change is not sent again.
    headers = {"ETag": file.etag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


def static_routes() -> list[Route]:
    return [Route(STATIC_PATH, _static, include_in_schema=False)]

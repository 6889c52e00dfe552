"""Requests and answers of pages: what a page is given, how it is rendered, and how its errors are said to people."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from app.errors import (
    BAD_REQUEST,
    FORM_EXPIRED,
    INVALID_API_KEY,
    UNSUPPORTED_MEDIA_TYPE,
    ServiceError,
)
from app.limits.clients import Role
from app.web.api.json_body import read_body
from app.web.console.sessions import Session, Sessions, set_cookie
from app.web.roles import CONSOLE_PATH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from jinja2 import Environment
    from starlette.types import Receive, Scope, Send

    from app.errors import ErrorKind
    from app.limits.clients import Client

SIGN_IN_PATH: Final = "/console/sign-in"
# The field of a form, or the header of a script's request, that a page of another site cannot know.
TOKEN_FIELD: Final = "csrf_token"  # noqa: S105 - a name
_TOKEN_HEADER: Final = b"x-csrf-token"
_FRAGMENT_HEADER: Final = b"x-fragment"

_POLICY: Final = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": _POLICY,
    # Tickets and tokens stand in pages.
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_FORM_TYPE: Final = b"application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 1_000
_PAGE_DEPTH: Final = SIGN_IN_PATH.count("/")


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """A page of the menu: its address under the console, and what people call it."""

    page: str
    name: str


MENU: Final = (
    MenuEntry("review", "Review"),
    MenuEntry("try", "Try"),
    MenuEntry("quality", "Quality"),
    MenuEntry("models", "Models"),
    MenuEntry("connectors", "Connectors"),
)
FIRST_PAGE: Final = MENU[0].page
PAGES: Final = frozenset(entry.page for entry in MENU)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a page is asked: by whom, with which query or form, and in which session."""

    scope: Scope
    session: Session
    fields: Mapping[str, str]

    @property
    def state(self) -> Mapping[str, Any]:
        state: Mapping[str, Any] = self.scope["state"]
        return state

    @property
    def client(self) -> Client:
        client: Client = self.state["client"]
        return client

    @property
    def path_params(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.scope.get("path_params", {})
        return found

    @property
    def is_admin(self) -> bool:
        return self.client.role is Role.ADMIN

    @property
    def wants_fragment(self) -> bool:
        """Whether a script asks, which puts the answer into the page that is there."""
        return _wants_fragment(self.scope)

    def render(self, template: str, *, status: int = HTTPStatus.OK, **context: object) -> Response:
        """Return the page or fragment of ``template``, with what every page shows."""
        return _rendered(self.scope, self.session, template, status=status, context=context)


def page(path: str, answer: Callable[[PageRequest], Awaitable[Response]]) -> Route:
    """Return a route that shows something; ``fields`` are its query."""
    return Route(path, _Page(answer, is_action=False), methods=["GET"], include_in_schema=False)


def action(path: str, answer: Callable[[PageRequest], Awaitable[Response]]) -> Route:
    """Return a route that changes something, for forms and scripts that have the session's token.

    ``fields`` are the form's, from a body of the type that forms send.
    """
    return Route(path, _Page(answer, is_action=True), methods=["POST"], include_in_schema=False)


def to_page(name: str) -> Response:
    """Return the answer that sends a browser from one page of the console to another."""
    return RedirectResponse(name, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})


class _Page:
    """One page or action as an application; what is a class of its own, Starlette takes for one."""

    def __init__(self, answer: Callable[[PageRequest], Awaitable[Response]], *, is_action: bool) -> None:
        self._answer = answer
        self._is_action = is_action

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await _respond(scope, receive, self._answer, is_action=self._is_action)
        await response(scope, receive, send)


async def _respond(
    scope: Scope,
    receive: Receive,
    answer: Callable[[PageRequest], Awaitable[Response]],
    *,
    is_action: bool,
) -> Response:
    session: Session | None = scope["state"]["session"]
    sessions: Sessions = scope["state"]["sessions"]
    if session is None and not is_action and _comes_from_elsewhere(scope):
        return _rendered(scope, None, "again.html", status=HTTPStatus.OK, context={})
    is_new = session is None
    try:
        if session is None:
            session = await sessions.begin()
        if is_action:
            fields = await _read_form(scope, receive)
            _check_token(scope, None if is_new else session, fields)
        else:
            fields = _decode(scope["query_string"])
        response = await answer(PageRequest(scope, session, fields))
    except ServiceError as error:
        return error_page(scope, error, session)
    # A browser keeps a cookie for the addresses beside the page that gave it: only of pages that is the console.
    if is_new and scope["state"]["route"].count("/") == _PAGE_DEPTH and "set-cookie" not in response.headers:
        response.headers["Set-Cookie"] = set_cookie(scope, session)
    return response


def refusal_page(scope: Scope, kind: ErrorKind) -> Response:
    """Return what a person sees who may not see a page: where to sign in, if that helps."""
    if kind is INVALID_API_KEY and scope["method"] in {"GET", "HEAD"} and not _wants_fragment(scope):
        wanted = _page_of(scope)
        return to_page(f"{way_to_pages(scope)}sign-in" + (f"?next={wanted}" if wanted in PAGES else ""))
    return error_page(scope, ServiceError(kind), scope["state"]["session"])


def error_page(scope: Scope, error: ServiceError, session: Session | None = None) -> Response:
    """Return ``error`` for people, and leave its slug in the request's state for the log and the metrics."""
    scope["state"]["error"] = error.kind.slug
    headers = dict(error.headers)
    if error.kind.retry_after_seconds is not None:
        headers.setdefault("Retry-After", str(error.kind.retry_after_seconds))
    template = "error_fragment.html" if _wants_fragment(scope) else "error.html"
    response = _rendered(scope, session, template, status=error.kind.status, context={"error": error})
    response.headers.update(headers)
    return response


def _rendered(
    scope: Scope, session: Session | None, template: str, *, status: int, context: Mapping[str, object]
) -> Response:
    state = scope["state"]
    of_every_page = {
        "menu": MENU,
        "client": state.get("client"),
        "csrf_token": "" if session is None else session.csrf_token,
        "is_signed_in": session is not None and session.client is not None,
        "request_id": state.get("request_id", ""),
        "page": _page_of(scope),
        "pages": way_to_pages(scope),
    }
    content = _environment().get_template(template).render({**of_every_page, **context})
    return HTMLResponse(content, status, PAGE_HEADERS)


def _page_of(scope: Scope) -> str:
    """Return the page of a request; a document belongs to the page that links to it."""
    route: str = scope["state"]["route"]
    return route.removeprefix(f"{CONSOLE_PATH}/").partition("/")[0]


def way_to_pages(scope: Scope) -> str:
    """Return what makes the name of a page an address, as seen from the one that was asked for."""
    below = scope["state"]["route"].count("/") - _PAGE_DEPTH
    return f"{CONSOLE_PATH.removeprefix('/')}/" if below < 0 else "../" * below


@cache
def _environment() -> Environment:
    # Only a service whose console somebody opens needs the package, and waits for its import.
    from app.web.console.rendering import environment  # noqa: PLC0415

    return environment(Path(__file__).parent / "templates")


def _comes_from_elsewhere(scope: Scope) -> bool:
    """Return whether a link of another site led here: then the browser keeps its cookie back, and has to ask again.

    A new session would take the place of the one that it has.
    """
    return any(name == b"sec-fetch-site" and value == b"cross-site" for name, value in scope["headers"])


def _wants_fragment(scope: Scope) -> bool:
    return any(name == _FRAGMENT_HEADER for name, _ in scope["headers"])


async def _read_form(scope: Scope, receive: Receive) -> dict[str, str]:
    types = [value for name, value in scope["headers"] if name == b"content-type"]
    if len(types) != 1 or types[0].lower().partition(b";")[0].strip() != _FORM_TYPE:
        raise ServiceError(UNSUPPORTED_MEDIA_TYPE, "A form is sent as application/x-www-form-urlencoded.")
    return _decode(await read_body(receive))


def _decode(content: bytes) -> dict[str, str]:
    """Return the fields of a form or query, of a repeated one the last."""
    try:
        pairs = parse_qsl(content.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise ServiceError(BAD_REQUEST, "The form is not encoded as browsers encode forms.") from None
    return dict(pairs)


def _check_token(scope: Scope, session: Session | None, fields: Mapping[str, str]) -> None:
    sent = next((value for name, value in scope["headers"] if name == _TOKEN_HEADER), None)
    token = fields.get(TOKEN_FIELD, "").encode() if sent is None else sent
    if session is None or not hmac.compare_digest(token, session.csrf_token.encode()):
        raise ServiceError(FORM_EXPIRED)

"""Every route of the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.limits.clients import Role
from app.web.console.connectors_page import ConnectorsPage
from app.web.console.models_page import ModelsPage
from app.web.console.page import FIRST_PAGE, PageRequest, page, to_page, way_to_pages
from app.web.console.quality_page import QualityPage
from app.web.console.review_page import ReviewPage
from app.web.console.sign_in import SignIn
from app.web.console.static_files import static_routes
from app.web.console.try_page import try_routes
from app.web.roles import CONSOLE_PATH

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from app.limits.clients import ClientIdentifier
    from app.limits.local import RateLimiter


def console_routes(*, clients: ClientIdentifier, attempts: RateLimiter, keeps_text: bool) -> list[Route]:
    """Return the routes; ``clients`` finds whose key somebody signs in with, ``attempts`` limits how many are tried.

    Without ``keeps_text`` no text is recorded with a judgement.
    """
    has_admins = bool(clients.with_role(Role.ADMIN))
    return [
        page(CONSOLE_PATH, _first_page),
        # As people type it.
        page(f"{CONSOLE_PATH}/", _first_page),
        *SignIn(clients, attempts).routes(),
        *ReviewPage(keeps_text=keeps_text).routes(),
        *QualityPage(has_admins=has_admins).routes(),
        *ModelsPage(has_admins=has_admins).routes(),
        *ConnectorsPage(has_admins=has_admins).routes(),
        *try_routes(),
        *static_routes(),
    ]


async def _first_page(request: PageRequest) -> Response:
    return to_page(f"{way_to_pages(request.scope)}{FIRST_PAGE}")

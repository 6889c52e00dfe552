"""Which role each route asks for, all of them in one table; ``app.web.middleware.authentication`` sees to it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from app.limits.clients import Role

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

# By the template of the route, whatever the method.
LEAST_ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "/": Role.ANYONE,
        "/health": Role.ANYONE,
        "/health/live": Role.ANYONE,
        "/health/ready": Role.ANYONE,
        "/livez": Role.ANYONE,
        "/readyz": Role.ANYONE,
        "/version": Role.ANYONE,
        "/metrics": Role.ANYONE,
        "/openapi.json": Role.ANYONE,
        "/docs": Role.ANYONE,
        "/docs/start.js": Role.ANYONE,
        "/docs/swagger-ui-bundle.js": Role.ANYONE,
        "/docs/swagger-ui.css": Role.ANYONE,
        "/redoc": Role.ANYONE,
        "/redoc/redoc.standalone.js": Role.ANYONE,
        "/console": Role.ANYONE,
        "/console/": Role.ANYONE,
        "/console/sign-in": Role.ANYONE,
        "/console/sign-out": Role.ANYONE,
        "/console/static/{name}": Role.ANYONE,
        "/console/try": Role.REVIEWER,
        "/console/quality": Role.REVIEWER,
        "/console/begin-anew": Role.ADMIN,
        "/console/review": Role.REVIEWER,
        "/console/review-judge": Role.REVIEWER,
        "/console/review-skip": Role.REVIEWER,
        "/console/review-next": Role.REVIEWER,
        "/console/review-keep": Role.REVIEWER,
        "/console/review-take-back": Role.REVIEWER,
        "/console/review-accept": Role.REVIEWER,
        "/console/review-take-all-back": Role.REVIEWER,
        "/console/models": Role.REVIEWER,
        "/console/models/{version}/report": Role.REVIEWER,
        "/console/models/{version}/card": Role.REVIEWER,
        "/console/activate": Role.ADMIN,
        "/console/connectors": Role.REVIEWER,
        "/console/send-again": Role.ADMIN,
        "/classify": Role.CALLER,
        "/classify/batch": Role.CALLER,
        "/explain": Role.CALLER,
        "/feedback": Role.CALLER,
        "/feedback/batch": Role.CALLER,
        "/feedback/{feedback_id}": Role.CALLER,
        # Opened by signatures.
        "/hooks/{name}": Role.ANYONE,
        "/tickets/{ticket_id}": Role.ADMIN,
        "/model/status": Role.CALLER,
        "/model/drift": Role.CALLER,
        "/model/promises": Role.CALLER,
        "/review": Role.REVIEWER,
        "/review/claim": Role.REVIEWER,
        "/review/{prediction_id}/skip": Role.REVIEWER,
        "/model/activate": Role.ADMIN,
        "/model/reload": Role.ADMIN,
        "/model/promises/reset": Role.ADMIN,
    }
)


CONSOLE_PATH: Final = "/console"


def is_of_console(route: str) -> bool:
    """Return whether a route is one of the pages for people, whose sessions open nothing else."""
    return route == CONSOLE_PATH or route.startswith(f"{CONSOLE_PATH}/")


def protected_paths(roles_with_keys: AbstractSet[Role]) -> frozenset[str]:
    """Return the routes that ask for a key, when only ``roles_with_keys`` have some."""
    asked = {Role.ADMIN} | (roles_with_keys & {Role.CALLER})
    if has_reviewers(roles_with_keys):
        asked.add(Role.REVIEWER)
    return frozenset(path for path, role in LEAST_ROLES.items() if role in asked)


def has_reviewers(roles_with_keys: AbstractSet[Role]) -> bool:
    """Return whether any key opens what shows tickets; without one, nothing but this machine does."""
    return bool(roles_with_keys & {Role.REVIEWER, Role.ADMIN})

"""The page of versions: what each of them was measured to do, its report, and the change to another one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.responses import Response

from app.errors import NOT_FOUND, ServiceError
from app.models.artifacts import ArtifactError
from app.models.versions import VersionName
from app.serving.version_summary import CARD_NAME, REPORT_NAME, VersionShelf, VersionSummary
from app.web.console.page import PageRequest, action, page, to_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.routing import Route

    from app.serving.model_updates import ModelUpdates
    from app.serving.registry import ModelRegistry, ModelState
    from app.store.store import Store

_PAGE: Final = "models"
_MAX_VERSIONS: Final = 50

# A report is one file that styles itself. Nothing in it may run, load, send or be framed, whoever made the version.
_DOCUMENT_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "sandbox"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Versions:
    """What stands on the disk, which version answers, and which one did before."""

    on_disk: tuple[VersionName, ...]
    serving: VersionName | None
    previous: VersionName | None
    pinned: VersionName | None
    state: ModelState


class ModelsPage:
    """Shows versions and, to admins, lets another one answer; ``has_admins`` says whether anybody can be one."""

    def __init__(self, *, has_admins: bool) -> None:
        self._has_admins = has_admins

    def routes(self) -> list[Route]:
        return [
            page("/console/models", self._show),
            action("/console/activate", self._activate),
            page("/console/models/{version}/report", _report),
            page("/console/models/{version}/card", _card),
        ]

    async def _show(self, request: PageRequest) -> Response:
        wanted = _version(request.fields.get("activate", ""))
        if wanted is not None and request.is_admin:
            return await self._confirm(request, wanted)
        before = _version(request.fields.get("before", ""))
        if before is not None:
            # Another worker may have made the change, and the next look of this one is a moment away.
            updates: ModelUpdates = request.state["model_updates"]
            await updates.follow()
        return await self._list(request, before=before)

    async def _activate(self, request: PageRequest) -> Response:
        wanted = _version(request.fields.get("version", ""))
        if wanted is None:
            raise ServiceError(NOT_FOUND, "The form names no version.")
        serving = _serving(request)
        if request.fields.get("instead_of", "") != str(serving or ""):
            return await self._confirm(request, wanted, has_changed=True)
        updates: ModelUpdates = request.state["model_updates"]
        try:
            await updates.activate(wanted)
        except ServiceError as error:
            request.scope["state"]["error"] = error.kind.slug
            return await self._list(request, refused=wanted, error=error, status=error.kind.status)
        return to_page(_PAGE if serving is None else f"{_PAGE}?before={quote(str(serving))}")

    async def _confirm(self, request: PageRequest, wanted: VersionName, *, has_changed: bool = False) -> Response:
        versions = await _look(request)
        if wanted == versions.serving or wanted not in versions.on_disk:
            return to_page(_PAGE)
        both = [wanted] if versions.serving is None else [versions.serving, wanted]
        return request.render(
            "models_confirm.html",
            status=HTTPStatus.CONFLICT if has_changed else HTTPStatus.OK,
            page=_PAGE,
            wanted=wanted,
            versions=versions,
            summaries=await _summaries(request, both),
            has_changed=has_changed,
        )

    async def _list(
        self,
        request: PageRequest,
        *,
        before: VersionName | None = None,
        refused: VersionName | None = None,
        error: ServiceError | None = None,
        status: int = HTTPStatus.OK,
    ) -> Response:
        versions = await _look(request)
        shown = versions.on_disk[:_MAX_VERSIONS]
        return request.render(
            "models.html",
            status=status,
            page=_PAGE,
            versions=versions,
            summaries=await _summaries(request, shown),
            n_hidden=len(versions.on_disk) - len(shown),
            may_change=request.is_admin and versions.pinned is None,
            has_admins=self._has_admins,
            before=before if before in versions.on_disk and before != versions.serving else None,
            refused=refused,
            error=error,
        )


async def _report(request: PageRequest) -> Response:
    return await _document(request, REPORT_NAME, "text/html")


async def _card(request: PageRequest) -> Response:
    return await _document(request, CARD_NAME, "text/plain")


async def _document(request: PageRequest, name: str, media_type: str) -> Response:
    shelf: VersionShelf = request.state["versions"]
    version = _version(request.path_params["version"])
    try:
        content = None if version is None else await asyncio.to_thread(shelf.document, version, name)
    except ArtifactError as error:
        raise ServiceError(NOT_FOUND, f"{name} cannot be shown: {error}.") from None
    if content is None:
        raise ServiceError(NOT_FOUND, f"This version has no {name} on this machine; train.py wrote it where it ran.")
    return Response(content, headers=_DOCUMENT_HEADERS, media_type=f"{media_type}; charset=utf-8")


async def _look(request: PageRequest) -> Versions:
    registry: ModelRegistry = request.state["registry"]
    shelf: VersionShelf = request.state["versions"]
    on_disk = await asyncio.to_thread(shelf.versions)
    serving = _serving(request)
    return Versions(
        on_disk=tuple(on_disk),
        serving=serving,
        previous=previous_version(serving, on_disk, await _last_days(request)),
        pinned=registry.pinned,
        state=registry.told_state,
    )


async def _summaries(request: PageRequest, versions: Sequence[VersionName]) -> list[VersionSummary]:
    shelf: VersionShelf = request.state["versions"]
    return await asyncio.to_thread(lambda: [shelf.summary(version) for version in versions])


async def _last_days(request: PageRequest) -> Mapping[str, int]:
    store: Store | None = request.state["store"]
    if store is None:
        return {}
    # Only a service that keeps something has the package.
    from app.store.answered_versions import last_days_of_versions  # noqa: PLC0415

    try:
        return await store.run(last_days_of_versions)
    except ServiceError:
        # It is away: then the order of versions says what is likely.
        return {}


def previous_version(
    serving: VersionName | None, on_disk: Sequence[VersionName], last_days: Mapping[str, int]
) -> VersionName | None:
    """Return the version to go back to: the one that answered last before, else the next lower one.

    ``last_days`` has the last day of each version that is known to have answered. Of several that answered on the same
    day, the next lower one is meant.
    """
    if serving is None:
        return None
    others = [version for version in on_disk if version != serving]
    answered = [version for version in others if str(version) in last_days]
    if answered:
        last_day = max(last_days[str(version)] for version in answered)
        others = [version for version in answered if last_days[str(version)] == last_day]
    lower = [version for version in others if version < serving]
    if lower:
        return max(lower)
    return max(others) if answered else None


def _serving(request: PageRequest) -> VersionName | None:
    registry: ModelRegistry = request.state["registry"]
    return None if registry.current is None else VersionName.parse(registry.current.version)


def _version(text: str) -> VersionName | None:
    try:
        return VersionName.parse(text)
    except ValueError:
        return None

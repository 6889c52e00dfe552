"""The page of quality: what is promised and kept, what people checked and corrected, and how tickets change."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from app.errors import STORE_UNAVAILABLE, VALIDATION_FAILED, FieldError, ServiceError
from app.insights.drift_report import MIN_TICKETS
from app.web.api.store_access import store_of
from app.web.console.page import PageRequest, action, page, to_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.routing import Route

    from app.feedback.agreement import Agreement
    from app.feedback.keeper import PromiseKeeper, Report
    from app.serving.registry import LoadedModel
    from app.store.corrections import Correction
    from app.store.store import Store
    from app.web.console.quality_figures import Figures, LiveHead
    from app.web.console.quality_words import PromisesOfHead

_PAGE: Final = "quality"
_DAY_SECONDS: Final = 86_400
_MOST_CORRECTIONS: Final = 20
# Many judgements are looked at, and must not make the store look as if it did not answer.
_READ_SECONDS: Final = 20.0
_NOT_BROKEN: Final = "is no broken promise of the version that serves; somebody else may have let it begin anew"


@dataclass(frozen=True, slots=True)
class Known:
    """What can be said now: ``store`` is ``here``, ``off`` or ``away``; there are figures while it is here."""

    store: str
    report: Report | None = None
    figures: Figures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What is shown of the store, nothing while it is not here; ``version`` is the one that was chosen."""

    promises: Sequence[PromisesOfHead] = ()
    heads: Sequence[LiveHead] = ()
    corrections: Sequence[Correction] = ()
    agreements: Sequence[Agreement] = ()
    versions: Sequence[str] = ()
    version: str = ""


class QualityPage:
    """Shows quality and, to admins, lets a broken promise begin anew; ``has_admins``: whether anybody can be one."""

    def __init__(self, *, has_admins: bool) -> None:
        self._has_admins = has_admins

    def routes(self) -> list[Route]:
        return [page(f"/console/{_PAGE}", self._show), action("/console/begin-anew", _begin_anew)]

    async def _show(self, request: PageRequest) -> Response:
        wanted = request.fields.get("begin_anew", ""), request.fields.get("of_label", "")
        if wanted[0] and request.is_admin and wanted in await _broken(request):
            return request.render("quality_confirm.html", head=wanted[0], label=wanted[1])
        known = await _known(request)
        # A thousand labels and half a year take a while to draw, and nobody else is to wait for that.
        return await asyncio.to_thread(self._drawn, request, known)

    def _drawn(self, request: PageRequest, known: Known) -> Response:
        # The first page that is asked for waits for the import of what draws it.
        from app.web.console.quality_words import SOURCES, drift_in_words, level_in_words  # noqa: PLC0415

        begun = request.fields.get("begun", "")
        drift = request.state["drift"].report()
        keeper: PromiseKeeper | None = request.state["promises"]
        model: LoadedModel | None = request.state["registry"].current
        return request.render(
            "quality.html",
            model_version=None if model is None else model.version,
            store=known.store,
            is_kept=keeper is not None,
            has_admins=self._has_admins,
            may_begin_anew=request.is_admin,
            # Nobody's link makes the page say what is not so.
            begun_anew=begun if begun in {_name(*of) for of in _targets(known)} else "",
            drift=drift,
            drift_level=None if drift.level is None else level_in_words(drift.level),
            drift_rows=drift_in_words(drift),
            least_tickets=MIN_TICKETS,
            sources=SOURCES,
            live=_live(request, known),
        )


def _live(request: PageRequest, known: Known) -> Live:
    if known.report is None or known.figures is None:
        return Live()
    from app.feedback.agreement import agreements  # noqa: PLC0415 - with the first page
    from app.web.console.quality_figures import live_heads  # noqa: PLC0415 - not where there is no store
    from app.web.console.quality_words import promises_in_words  # noqa: PLC0415 - with the first page

    keeper: PromiseKeeper | None = request.state["promises"]
    versions = known.figures.versions
    version = request.fields.get("version", "")
    figures = known.figures.of_version(version) if version in versions else known.figures
    chosen = request.fields.get("head", ""), request.fields.get("label", "")
    return Live(
        promises=promises_in_words(known.report, acts=keeper is not None and keeper.acts),
        heads=live_heads(figures, targets=_targets(known), chosen=chosen),
        corrections=figures.corrections[:_MOST_CORRECTIONS],
        agreements=agreements(figures.readings),
        versions=versions,
        version=version if version in versions else "",
    )


def _targets(known: Known) -> dict[tuple[str, str], float]:
    """Return what is promised, by head and label."""
    standings = () if known.report is None else known.report.standings
    return {(one.promise.of.head, one.promise.of.label): one.promise.target for one in standings}


async def _known(request: PageRequest) -> Known:
    store: Store | None = request.state["store"]
    if store is None:
        return Known("off")
    from app.feedback.keeper import Report  # noqa: PLC0415 - not where there is no store
    from app.web.console.quality_figures import read_figures  # noqa: PLC0415 - as above

    keeper: PromiseKeeper | None = request.state["promises"]
    today = int(time.time()) // _DAY_SECONDS
    try:
        report = Report("", (), {}) if keeper is None else await keeper.report()
        figures = await store.run(partial(read_figures, today=today), seconds=_READ_SECONDS)
    except ServiceError as error:
        if error.kind is not STORE_UNAVAILABLE:
            raise
        return Known("away")
    return Known("here", report, figures)


async def _begin_anew(request: PageRequest) -> Response:
    """Let a broken promise begin anew: that of a label, or with an empty one all of its head."""
    store_of(request.state)
    of = request.fields.get("head", ""), request.fields.get("label", "")
    keeper: PromiseKeeper | None = request.state["promises"]
    if keeper is None or of not in await _broken(request):
        raise ServiceError(VALIDATION_FAILED, errors=[FieldError("label" if of[1] else "head", _NOT_BROKEN)])
    await keeper.reset(head=of[0], label=of[1] or None)
    return to_page(f"{_PAGE}?{urlencode({'begun': _name(*of)})}")


def _name(head: str, label: str) -> str:
    return f"{head}: {label}" if label else head


async def _broken(request: PageRequest) -> set[tuple[str, str]]:
    """Return the head and label of each promise that is broken now; raise ``StoreUnavailableError``."""
    keeper: PromiseKeeper | None = request.state["promises"]
    if keeper is None:
        return set()
    await keeper.look()
    return {(one.promise.of.head, one.promise.of.label) for one in keeper.standings() if one.state == "broken"}

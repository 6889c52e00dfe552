"""The page of connectors: what came from helpdesks and went to them, what failed, and trying that again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from app.errors import STORE_UNAVAILABLE, UNKNOWN_CONNECTOR, ServiceError
from app.web.api.store_access import store_of
from app.web.console.page import PageRequest, action, page, to_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.routing import Route

    from app.connectors.connector import Connector
    from app.connectors.hub import ConnectorHub
    from app.store.connector_views import ConnectorsView, OutboxJob
    from app.store.database import Database

_PAGE: Final = "connectors"
_DAY_MS: Final = 86_400_000
_MOST_ROWS: Final = 50
# So many are seen at once.
_FEW_ROWS: Final = 10
_MAX_REF_CHARACTERS: Final = 128
_ID_CHARACTERS: Final = 36
# A day may have many deliveries, and counting them must not make the store look as if it did not answer.
_READ_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to see: all ``connectors``, or the one called ``name``, and all tickets, or one."""

    connectors: Sequence[Connector]
    name: str
    ticket: str

    @property
    def refs(self) -> frozenset[str]:
        """The ids by which helpdesks may know the ticket: a ``ticket_id`` begins with the connector's name."""
        if not self.ticket:
            return frozenset()
        bare = (self.ticket.removeprefix(f"{connector.name}:") for connector in self.connectors)
        return frozenset({self.ticket, *bare})


class ConnectorsPage:
    """Shows connectors and, to admins, tries again what was given up; ``has_admins``: whether anybody can be one."""

    def __init__(self, *, has_admins: bool) -> None:
        self._has_admins = has_admins

    def routes(self) -> list[Route]:
        return [page(f"/console/{_PAGE}", self._show), action("/console/send-again", _send_again)]

    async def _show(self, request: PageRequest) -> Response:
        hub: ConnectorHub | None = request.state["connectors"]
        if hub is None:
            return request.render(
                "connectors_none.html", why="no_store" if request.state["store"] is None else "no_file"
            )
        now_ms, wanted = _now_ms(), _wanted(request, hub)
        try:
            view, sent = await _look(request, wanted, now_ms=now_ms)
        except ServiceError as error:
            if error.kind is not STORE_UNAVAILABLE:
                raise
            return request.render("connectors_none.html", why="away")
        # Many rows take a while to draw, and nobody else is to wait for that.
        return await asyncio.to_thread(self._drawn, request, wanted, view, sent, now_ms=now_ms)

    def _drawn(
        self, request: PageRequest, wanted: Wanted, view: ConnectorsView, sent: OutboxJob | None, *, now_ms: int
    ) -> Response:
        # The first page that is asked for waits for the import of what draws it.
        from app.web.console.connectors_words import connector_in_words, jobs_in_words  # noqa: PLC0415

        hub: ConnectorHub = request.state["connectors"]
        in_words = partial(jobs_in_words, connectors=hub.connectors, standings=view.standings, now_ms=now_ms)
        counted = [connector for connector in wanted.connectors if connector.name in view.counts]
        shown = [connector_in_words(connector, view, now_ms=now_ms) for connector in counted]
        sent_all = request.fields.get("sent_all", "")
        return request.render(
            "connectors.html",
            names=[connector.name for connector in hub.connectors],
            wanted=wanted,
            query=_query(wanted),
            now_ms=now_ms,
            connectors=shown,
            odd=view.odd,
            waiting=in_words(view.waiting),
            done=in_words(view.done),
            dead=in_words(view.dead),
            few_rows=_FEW_ROWS,
            most_rows=_MOST_ROWS,
            sent=next(iter(in_words([] if sent is None else [sent])), None),
            sent_all=next((one for one in shown if one.name == sent_all), None),
            may_send_again=request.is_admin,
            has_admins=self._has_admins,
        )


def _wanted(request: PageRequest, hub: ConnectorHub) -> Wanted:
    name, ticket = request.fields.get("connector", ""), request.fields.get("ticket", "").strip()
    chosen = [connector for connector in hub.connectors if connector.name == name]
    # No ticket has such an id, and no database takes every character.
    is_ref = len(ticket) <= _MAX_REF_CHARACTERS and ticket.isprintable()
    return Wanted(chosen or hub.connectors, name if chosen else "", ticket if is_ref else "")


async def _look(request: PageRequest, wanted: Wanted, *, now_ms: int) -> tuple[ConnectorsView, OutboxJob | None]:
    """Return what there is, and the job that was just sent again; raise ``StoreUnavailableError``."""
    from app.store.connector_views import find_job, view_connectors  # noqa: PLC0415 - not where there is no store

    store, job_id = store_of(request.state), request.fields.get("sent", "")
    names = [connector.name for connector in wanted.connectors]
    look = partial(view_connectors, connectors=names, since_ms=now_ms - _DAY_MS, limit=_MOST_ROWS, refs=wanted.refs)
    sent = await store.run(partial(find_job, job_id=job_id)) if _is_id(job_id) else None
    return await store.run(look, seconds=_READ_SECONDS), sent


async def _send_again(request: PageRequest) -> Response:
    """Try dead letters again: the job ``job_id``, or all of the connector ``name``."""
    hub: ConnectorHub | None = request.state["connectors"]
    names = [] if hub is None else [connector.name for connector in hub.connectors]
    name, job_id = request.fields.get("name", ""), request.fields.get("job_id", "")
    if not job_id and name not in names:
        raise ServiceError(UNKNOWN_CONNECTOR)
    await store_of(request.state).run(partial(_try_again, names=names, name=name, job_id=job_id))
    shown = {"connector": request.fields.get("connector", ""), "ticket": request.fields.get("ticket", "")}
    done = {"sent": job_id} if job_id else {"sent_all": name}
    return to_page(f"{_PAGE}?{urlencode({**{key: value for key, value in shown.items() if value}, **done})}")


def _try_again(database: Database, *, names: Sequence[str], name: str, job_id: str) -> None:
    from app.store.connector_views import find_job  # noqa: PLC0415 - not where there is no store
    from app.store.outbox import send_again  # noqa: PLC0415 - as above

    if not job_id:
        send_again(database, now_ms=_now_ms(), connector=name)
    elif _is_id(job_id) and (job := find_job(database, job_id)) is not None and job.connector in names:
        send_again(database, now_ms=_now_ms(), job_ids=[job_id])


def _query(wanted: Wanted) -> str:
    """Return what asks for the same again."""
    asked = {"connector": wanted.name, "ticket": wanted.ticket}
    return urlencode({key: value for key, value in asked.items() if value})


def _is_id(text: str) -> bool:
    """Return whether ``text`` can be the id of a job; no database takes every character."""
    return len(text) == _ID_CHARACTERS and text.isascii() and text.isprintable()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

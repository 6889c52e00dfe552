"""django-helpdesk (2.6): webhooks with a secret in their address, and a REST API where only follow-ups have times.

The API goes through every ticket that its ``status`` admits, also to find one, so it is always given.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.api import ConflictError, RefusedError, TooLargeError, path_part
from app.connectors.helpdesk import DEPARTMENT, PRIORITY, Helpdesk, OptionError, Options
from app.connectors.json_content import as_milliseconds, as_text, json_object, required_text
from app.connectors.sighting import Sighting, UnreadableError

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery

_GONE: Final = 404
_OPEN: Final = "1,2"
_CLOSED: Final = ("3", "4")
# The thread of a ticket can be long, and so can be what is said in it.
_FOLLOWUPS_AT_ONCE: Final = 25
# What has neither a user nor an e-mail is done by the helpdesk itself, as when it escalates.
_ITSELF: Final = "helpdesk"


class DjangoHelpdesk(Helpdesk):
    """Nothing is signed; the department is a queue, always set: ``unset.department`` is where new ones go."""

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        PRIORITY: {"Urgent": "1", "High": "2", "Medium": "3", "Low": "4"},
    }
    fields: ClassVar[Mapping[str, str]] = {PRIORITY: "priority", DEPARTMENT: "queue"}
    # Its form begins with 3, and so does its API.
    unset: ClassVar[Mapping[str, Sequence[str | None]]] = {PRIORITY: (None, "3"), DEPARTMENT: (None,)}
    not_people: ClassVar[frozenset[str]] = frozenset({_ITSELF})
    option_names: ClassVar[frozenset[str]] = frozenset({"closed"})

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        closed = options.others.get("closed", _CLOSED)
        if not isinstance(closed, list | tuple):
            raise OptionError("closed must be a list of the numbers that the status of a closed ticket has")
        self._closed = frozenset(str(status) for status in closed)

    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        content = json_object(delivery.body)
        return [self._sighting(content.get("ticket"), followup_id=content.get("followup_id"))]

    def authorization(self, token: str) -> Mapping[str, str]:
        if ":" in token:
            return {"authorization": f"Basic {base64.b64encode(token.encode()).decode()}"}
        return {"authorization": f"Token {token}"}

    async def fetch(self, api: Api, ref: str) -> Sighting:
        return self._sighting(await self._ticket(api, ref))

    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        changed_ms: int | None = None
        if change.values:
            values = {self.options.fields[head]: value for head, value in change.values.items()}
            # There is no condition but this: that its status is still what was seen.
            query = {"status": change.over.version or _OPEN}
            try:
                answer = await api.call("PATCH", _path(ref), body=values, query=query)
            except RefusedError as error:
                if error.status == _GONE:
                    raise ConflictError(str(error)) from None
                raise
            # Writing has no time, but the latest follow-up that was there has: what is not later is of before.
            changed_ms = self._sighting(json_object(answer.body)).changed_ms
        if change.note is not None:
            # With a title it would rename the ticket.
            note = {"ticket": ref, "comment": _literal(change.note), "public": False}
            # What says 201 and is no JSON comes from something on the way, and nothing was written.
            (await api.call("POST", "/api/followups/", body=note)).json()
        return changed_ms

    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        return any(marker in (as_text(each.get("comment")) or "") for each in _followups(await self._ticket(api, ref)))

    async def changed_since(self, api: Api, since_ms: int) -> AsyncIterator[Sighting]:
        """Yield tickets that have a follow-up of since then.

        What changed without one shows when the next one is written. Tickets that are gone, and those of which the
        thread is too long to be read, are left out.
        """
        for ref, at_ms in await _changes_since(api, since_ms):
            try:
                sighting = await self.fetch(api, ref)
            except (RefusedError, TooLargeError):
                continue
            # What changed meanwhile would be out of order, and the next look finds it.
            if (sighting.changed_ms or 0) <= at_ms:
                yield sighting

    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        # Of queues it tells nothing.
        content = json_object((await api.call("OPTIONS", "/api/tickets/")).body)
        try:
            choices = content["actions"]["POST"]["priority"]["choices"]
            return {PRIORITY: frozenset(str(choice["value"]) for choice in choices)}
        except (KeyError, TypeError):
            raise UnreadableError("the API does not tell which priorities there are") from None

    @staticmethod
    async def _ticket(api: Api, ref: str) -> dict[str, Any]:
        try:
            answer = await api.get(_path(ref), {"status": _OPEN})
        except RefusedError as error:
            if error.status != _GONE:
                raise
            answer = await api.get(_path(ref))
        return json_object(answer.body)

    def _sighting(self, ticket: object, *, followup_id: object = None) -> Sighting:
        if not isinstance(ticket, dict):
            raise UnreadableError("ticket is missing")
        followups = _followups(ticket)
        times = [time for each in followups if (time := as_milliseconds(each.get("date"))) is not None]
        status = as_text(ticket.get("status"))
        latest = next((each for each in followups if each.get("id") == followup_id), followups[-1] if followups else {})
        return Sighting(
            ref=required_text(ticket.get("id"), "ticket.id"),
            title=as_text(ticket.get("title")),
            description=as_text(ticket.get("description")),
            values={head: as_text(ticket[name]) for head, name in self.options.fields.items() if name in ticket},
            created_ms=min(times, default=None),
            changed_ms=max(times, default=None),
            actor=as_text(latest.get("user")) or _actor_without_user(latest, is_first=len(followups) == 1),
            is_closed=None if status is None else status in self._closed,
            version=status,
        )


def _path(ref: str) -> str:
    return f"/api/tickets/{path_part(ref)}/"


def _actor_without_user(followup: Mapping[str, Any], *, is_first: bool) -> str | None:
    return None if is_first or not followup or followup.get("message_id") else _ITSELF


def _literal(note: str) -> str:
    """Return a comment that shows as ``note``: it is taken for a template, and ``#7`` in it for ticket 7."""
    return re.sub(r"#(?=\d)", "# ", note.replace("{{", "{ {"))


def _followups(ticket: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the thread of a ticket, oldest first."""
    followups = ticket.get("followup_set")
    return [each for each in followups if isinstance(each, dict)] if isinstance(followups, list) else []


async def _changes_since(api: Api, since_ms: int) -> list[tuple[str, int]]:
    """Return the tickets that have a follow-up of since then, and when the last one was written, oldest first."""
    changed: dict[str, int] = {}
    # All follow-ups there are, oldest first, are in pages; the latest are on the last one.
    page = -(-await _n_followups(api) // _FOLLOWUPS_AT_ONCE)
    is_older = False
    while page > 0 and not is_older:
        for followup in await _page(api, page):
            ref, at = as_text(followup.get("ticket")), as_milliseconds(followup.get("date"))
            if ref is None or at is None:
                continue
            if at < since_ms:
                is_older = True
            else:
                changed[ref] = max(at, changed.get(ref, 0))
        page -= 1
    return sorted(changed.items(), key=lambda change: change[1])


async def _n_followups(api: Api) -> int:
    count = json_object((await api.get("/api/followups/", {"page_size": 1})).body).get("count")
    if not isinstance(count, int):
        raise UnreadableError("the API does not tell how many follow-ups there are")
    return count


async def _page(api: Api, page: int) -> Iterable[dict[str, Any]]:
    try:
        return await _followups_of(api, page, _FOLLOWUPS_AT_ONCE)
    except TooLargeError:
        pass
    found: list[dict[str, Any]] = []
    for single in range((page - 1) * _FOLLOWUPS_AT_ONCE + 1, page * _FOLLOWUPS_AT_ONCE + 1):
        try:
            found += await _followups_of(api, single, 1)
        except (RefusedError, TooLargeError):
            # Beyond the end, or too long by itself.
            continue
    return found


async def _followups_of(api: Api, page: int, page_size: int) -> list[dict[str, Any]]:
    answer = await api.get("/api/followups/", {"page": page, "page_size": page_size})
    results = json_object(answer.body).get("results")
    if not isinstance(results, list):
        raise UnreadableError("the API does not list follow-ups as it is documented")
    return [each for each in results if isinstance(each, dict)]

"""Request Tracker 5: deliveries of the scrip in ``deploy/request-tracker``, and its REST API 2.0.

https://docs.bestpractical.com/rt/5.0.5/RT/REST2.html describes the API. It answers 200 to changes that it does not
make, for want of a right or of such a queue, so that what was written is read again.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.api import RefusedError, path_part
from app.connectors.helpdesk import DEPARTMENT, PRIORITY, Helpdesk, OptionError, Options
from app.connectors.helpdesks.paging import Page, by_time_of_change
from app.connectors.helpdesks.request_tracker_history import PAGE_SIZE, REST, changes_of, objects, text_of
from app.connectors.json_content import as_milliseconds, as_text, at_pointer, json_object, required_text
from app.connectors.sighting import Sighting, UnreadableError
from app.connectors.signatures import is_standard_webhook, standard_content

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery
    from app.connectors.signatures import Secrets

_PRIORITY: Final = "Priority"
_QUEUE: Final = "Queue"
_CUSTOM: Final = "CF."
_CLOSED: Final = ("resolved", "rejected")
_DELETED: Final = "deleted"
# Its rules act in this name.
_SYSTEM: Final = "RT_System"
_MAX_PAGES: Final = 20
_GONE: Final = 404


class RequestTrackerHelpdesk(Helpdesk):
    """``fields`` name ``Priority``, ``Queue``, or a custom field as ``CF.Name``; priorities are numbers.

    The words of priorities in its pages are made from numbers by ``%PriorityAsString``, and the API does not know them.
    """

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        PRIORITY: {"Urgent": "100", "High": "100", "Medium": "50", "Low": "0"}
    }
    fields: ClassVar[Mapping[str, str]] = {PRIORITY: _PRIORITY, DEPARTMENT: _QUEUE}
    unset: ClassVar[Mapping[str, Sequence[str | None]]] = {PRIORITY: (None, "0"), DEPARTMENT: (None, "General")}
    not_people: ClassVar[frozenset[str]] = frozenset({_SYSTEM})
    calls_per_minute: ClassVar[int] = 600
    calls_of_a_job: ClassVar[int] = 9
    option_names: ClassVar[frozenset[str]] = frozenset({"closed"})

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        for head, field in options.fields.items():
            if field not in {_PRIORITY, _QUEUE} and not (field.startswith(_CUSTOM) and field != _CUSTOM):
                raise OptionError(f'fields.{head} "{field}" must be {_PRIORITY}, {_QUEUE} or {_CUSTOM}NAME')
        closed = options.others.get("closed", list(_CLOSED))
        if not isinstance(closed, list) or not all(isinstance(status, str) for status in closed):
            raise OptionError("closed must be a list of the statuses that a closed ticket has")
        self._closed = frozenset(status.casefold() for status in closed)

    # What arrives

    def is_authentic(self, delivery: Delivery, secrets: Secrets) -> bool:
        return is_standard_webhook(delivery, secrets)

    def signed_content(self, delivery: Delivery) -> bytes:
        return standard_content(delivery)

    def delivery_id(self, delivery: Delivery) -> str | None:
        return delivery.headers.get("webhook-id")

    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        said = json_object(delivery.body)
        custom = said.get("custom_fields")
        known = {f"{_CUSTOM}{name}": value for name, value in custom.items()} if isinstance(custom, dict) else {}
        known |= {field: said[name] for field, name in ((_PRIORITY, "priority"), (_QUEUE, "queue")) if name in said}
        return [
            Sighting(
                ref=_ref(said.get("id")),
                title=as_text(said.get("title")),
                description=as_text(said.get("description")),
                values=self._values(known),
                created_ms=as_milliseconds(said.get("created")),
                changed_ms=as_milliseconds(said.get("changed")),
                actor=as_text(said.get("actor")),
                is_closed=self._is_closed(as_text(said.get("status"))),
            )
        ]

    def _values(self, known: Mapping[str, object]) -> dict[str, str | None]:
        return {head: as_text(known[field]) for head, field in self.options.fields.items() if field in known}

    def _is_closed(self, status: str | None) -> bool | None:
        # Nobody has said that the values of spam that was deleted are right.
        return None if status is None or status == _DELETED else status.casefold() in self._closed

    # What is asked

    def authorization(self, token: str) -> Mapping[str, str]:
        """Return the headers for ``NAME:PASSWORD``, or for a token that Request Tracker made."""
        if ":" in token:
            return {"authorization": f"Basic {base64.b64encode(token.encode()).decode()}"}
        return {"authorization": f"token {token}"}

    async def fetch(self, api: Api, ref: str) -> Sighting:
        seen = await self._present(api, ref)
        # Newest first: who changed it last, and at the end how it came.
        changes = await changes_of(api, [ref])
        created = next((as_text(each.get("id")) for each in changes if each.get("Type") == "Create"), None)
        return replace(
            seen,
            description=None if created is None else await text_of(api, created),
            actor=as_text(at_pointer(changes, "/0/Creator/id")),
        )

    async def _present(self, api: Api, ref: str) -> Sighting:
        """Return the ticket as it is now, without its text and who changed it."""
        answer = await api.get(_ticket(ref))
        ticket = json_object(answer.body)
        if as_text(ticket.get("id")) != ref or ticket.get("Status") == _DELETED:
            raise RefusedError(f"the ticket {ref} was deleted, or merged into another", _GONE)
        queue = path_part(required_text(at_pointer(ticket, "/Queue/id"), "the ticket's queue"))
        ticket[_QUEUE] = (await api.get(f"{REST}/queue/{queue}")).json()
        return replace(self._sighting(ticket), version=answer.headers.get("etag"))

    def _sighting(self, ticket: Mapping[str, Any]) -> Sighting:
        """Return what the API says of a ticket; who changed it last need not have changed its values."""
        custom = ticket.get("CustomFields")
        known: dict[str, object] = {
            f"{_CUSTOM}{at_pointer(row, '/name')}": at_pointer(row, "/values/0")
            for row in (custom if isinstance(custom, list) else [])
        }
        known |= {_PRIORITY: ticket.get(_PRIORITY), _QUEUE: at_pointer(ticket, "/Queue/Name")}
        return Sighting(
            ref=_ref(ticket.get("id")),
            title=as_text(ticket.get("Subject")) or "",
            values=self._values(known),
            created_ms=as_milliseconds(ticket.get("Created")),
            changed_ms=as_milliseconds(ticket.get("LastUpdated")),
            is_closed=self._is_closed(as_text(ticket.get("Status"))),
        )

    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        condition = json.dumps([{"field": "Content", "operator": "LIKE", "value": marker}])
        found = (await api.get(f"{_ticket(ref)}/attachments", {"query": condition, "per_page": 1})).json()
        return bool(at_pointer(found, "/items"))

    def changed_since(self, api: Api, since_ms: int) -> AsyncIterator[Sighting]:
        return by_time_of_change(partial(self._page, api), since_ms)

    async def _page(self, api: Api, since_ms: int, name: str | None) -> Page:
        """Return tickets that changed since then, without their text, which would be calls for each."""
        number = int(name or 1)
        # With this form of a time it is UTC; with any other, the time zone of the user.
        since = datetime.fromtimestamp(since_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query: dict[str, str | int] = {
            "query": f"LastUpdated >= '{since}'",
            "fields": "Subject,Status,Priority,Queue,CustomFields,Created,LastUpdated",
            "fields[Queue]": "Name",
            "orderby": "LastUpdated",
            "per_page": PAGE_SIZE,
            "page": number,
        }
        items = objects((await api.get(f"{REST}/tickets", query)).json())
        found = [replace(self._sighting(item), title=None) for item in items]
        changes = await changes_of(api, [sighting.ref for sighting in found], since=since) if found else []
        # Of each ticket the newest change stays, which is put there last.
        actors = {as_text(each.get("ObjectId")): as_text(at_pointer(each, "/Creator/id")) for each in changes[::-1]}
        following = str(number + 1) if len(found) == PAGE_SIZE else None
        return Page([replace(sighting, actor=actors.get(sighting.ref)) for sighting in found], following)

    # What is written

    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        changed_ms: int | None = None
        if change.values:
            await api.call("PUT", _ticket(ref), body=self._body(change.values), headers=_condition(change))
            changed_ms = self._checked(change, await self._present(api, ref))
        if change.note is not None:
            note = {"Subject": "Ticket classifier", "Content": change.note, "ContentType": "text/plain"}
            await api.call("POST", f"{_ticket(ref)}/comment", body=note)
        return changed_ms

    def _body(self, values: Mapping[str, str]) -> dict[str, object]:
        body: dict[str, object] = {}
        custom: dict[str, str] = {}
        for head, value in values.items():
            field = self.options.fields[head]
            if field.startswith(_CUSTOM):
                custom[field.removeprefix(_CUSTOM)] = value
            elif field == _PRIORITY and not (value.isascii() and value.isdecimal()):
                # It would take a word that it does not know for a zero.
                raise RefusedError(f'labels.{head} must be a number, and not "{value}"', 0)
            else:
                body[field] = value
        return {**body, "CustomFields": custom} if custom else body

    def _checked(self, change: Change, present: Sighting) -> int | None:
        """Return when the ticket changed by ``change``, or None if somebody has changed it again since.

        Raise ``RefusedError`` if a value is still what it was before.
        """
        for head, value in change.values.items():
            now = present.values.get(head)
            if now == change.over.values.get(head) and _folded({head: now}) != _folded({head: value}):
                field = self.options.fields[head]
                raise RefusedError(
                    f'{field} was not set to "{value}": is there such a one, and may the user ModifyTicket?', 0
                )
        expected = _folded({**change.over.values, **change.values})
        is_alone = _folded(present.values) == expected and present.is_closed == change.over.is_closed
        return present.changed_ms if is_alone else None

    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        """Return priorities from 0 to 100, of which a site may name any, and the queues that the user sees."""
        names: set[str] = set()
        for page in range(1, _MAX_PAGES + 1):
            query: dict[str, str | int] = {"fields": "Name", "per_page": PAGE_SIZE, "page": page}
            items = objects((await api.get(f"{REST}/queues/all", query)).json())
            names |= {name for item in items if (name := as_text(item.get("Name"))) is not None}
            if not items:
                break
        found = {_PRIORITY: frozenset(map(str, range(101))), _QUEUE: frozenset(names)}
        return {head: found[field] for head, field in self.options.fields.items() if field in found}


def _ticket(ref: str) -> str:
    return f"{REST}/ticket/{path_part(ref)}"


def _condition(change: Change) -> dict[str, str]:
    return {} if change.over.version is None else {"if-match": change.over.version}


def _ref(value: object) -> str:
    ref = required_text(value, "the ticket's id")
    if not (ref.isascii() and ref.isdecimal()):
        raise UnreadableError("the ticket's id is not a number")
    return ref


def _folded(values: Mapping[str, str | None]) -> dict[str, str]:
    return {head: (value or "").casefold() for head, value in values.items()}

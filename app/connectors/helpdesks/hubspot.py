"""HubSpot: tickets of its CRM. Its events say that something happened, never what a ticket says.

A delivery is a list of events of any tickets in any order, signed together with the address that it was sent to.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.api import path_part
from app.connectors.helpdesk import PRIORITY, Helpdesk, OptionError, Options
from app.connectors.helpdesks.paging import Page, by_time_of_change
from app.connectors.json_content import as_milliseconds, as_text, at_pointer, json_value, required_list, required_text
from app.connectors.notes import as_html
from app.connectors.sighting import Sighting, UnreadableError
from app.connectors.signatures import is_in_window, is_signed

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery
    from app.connectors.signatures import Secrets

_TICKETS: Final = "/crm/v3/objects/tickets"
_NOTES: Final = "/crm/v3/objects/notes"
_TICKET_TYPE: Final = "0-5"
_NOTE_TO_TICKET: Final = 228
# Set when a ticket comes to a stage that counts as closed, in whichever pipeline.
_CLOSED: Final = "closed_date"
_TEXTS: Final = ("subject", "content")
_TICKETS_A_PAGE: Final = 100
_NOTES_LOOKED_AT: Final = 100
# What stands encoded in the address is signed decoded, of these characters (and no others).
_SIGNED_DECODED: Final = re.compile("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
# A user is named by a number, everything else by how it came to change something.
_USER: Final = "userId:"
_PROGRAMS: Final = ("API", "AUTOMATION_PLATFORM", "BATCH_UPDATE", "CALCULATED", "IMPORT", "INTEGRATION", "WORKFLOWS")
# By which an event is known again; its id alone is not always another.
_EVENT_KEY: Final = ("eventId", "subscriptionId", "objectId", "occurredAt")


@dataclass(frozen=True, slots=True)
class _Event:
    """A new ticket, or a change of its property ``name``."""

    ref: str
    name: str | None
    value: str | None
    at_ms: int | None
    actor: str | None


class HubSpotHelpdesk(Helpdesk):
    """``fields`` are names of properties; ``public_url`` is needed, because it is signed."""

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        PRIORITY: {"Urgent": "URGENT", "High": "HIGH", "Medium": "MEDIUM", "Low": "LOW"}
    }
    fields: ClassVar[Mapping[str, str]] = {PRIORITY: "hs_ticket_priority"}
    not_people: ClassVar[frozenset[str]] = frozenset(_PROGRAMS)
    calls_per_minute: ClassVar[int] = 300

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        if options.public_url is None:
            raise OptionError(
                "public_url is missing: the address before /hooks that HubSpot calls, such as https://tickets.example.com"
            )
        self._public_url = options.public_url
        self._heads = {name: head for head, name in options.fields.items()}
        self._properties = ",".join([*_TEXTS, _CLOSED, *self._heads])

    def is_authentic(self, delivery: Delivery, secrets: Secrets) -> bool:
        sent = delivery.headers.get("x-hubspot-request-timestamp", "")
        target = _SIGNED_DECODED.sub(lambda found: chr(int(found[1], 16)), delivery.target)
        address = self._public_url.encode() + target.encode("latin-1")
        signed = delivery.method.encode() + address + delivery.body + sent.encode("latin-1")
        signature = delivery.headers.get("x-hubspot-signature-v3", "")
        is_authentic = is_signed(signed, signature, secrets, digest="sha256", encoding="base64")
        return is_authentic and is_in_window(_milliseconds(sent), delivery.received_ms)

    def delivery_id(self, delivery: Delivery) -> str | None:
        """Return what names its events: each attempt has another number in the body."""
        try:
            events = _events(delivery.body)
        except UnreadableError:
            return None
        names = [[as_text(event.get(name)) for name in _EVENT_KEY] for event in events]
        return json.dumps(names) if names and all(all(name) for name in names) else None

    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        by_ref: dict[str, list[_Event]] = {}
        for content in _events(delivery.body):
            event = _ticket_event(content)
            if event is not None and (event.name is None or event.name in {*self._heads, _CLOSED}):
                by_ref.setdefault(event.ref, []).append(event)
        return [self._told(sorted(events, key=lambda event: event.at_ms or 0)) for events in by_ref.values()]

    def _told(self, events: Sequence[_Event]) -> Sighting:
        """Return what events of one ticket, the latest last, say together."""
        values = {event.name: event.value for event in events if event.name is not None}
        actors = [event.actor for event in events if event.name is not None]
        created = [event.at_ms for event in events if event.name is None]
        return Sighting(
            ref=events[-1].ref,
            values={self._heads[name]: value for name, value in values.items() if name in self._heads},
            created_ms=created[0] if created else None,
            changed_ms=events[-1].at_ms,
            actor=actors[-1] if actors else None,
            is_closed=values[_CLOSED] is not None if _CLOSED in values else None,
        )

    def authorization(self, token: str) -> Mapping[str, str]:
        return {"authorization": f"Bearer {token}"}

    async def fetch(self, api: Api, ref: str) -> Sighting:
        answer = await api.get(f"{_TICKETS}/{path_part(ref)}", {"properties": self._properties})
        ticket = answer.json()
        title, description = (as_text(at_pointer(ticket, f"/properties/{name}")) or "" for name in _TEXTS)
        return self._sighting(ticket, title=title, description=description)

    def _sighting(self, ticket: Any, *, title: str | None = None, description: str | None = None) -> Sighting:  # noqa: ANN401 - whatever was answered
        properties = at_pointer(ticket, "/properties")
        named = properties if isinstance(properties, dict) else {}
        return Sighting(
            ref=required_text(at_pointer(ticket, "/id"), "the ticket's id"),
            title=title,
            description=description,
            # A property that does not exist there is left out.
            values={head: as_text(named[name]) for name, head in self._heads.items() if name in named},
            created_ms=as_milliseconds(at_pointer(ticket, "/createdAt")),
            changed_ms=as_milliseconds(at_pointer(ticket, "/updatedAt")),
            is_closed=as_text(named.get(_CLOSED)) is not None,
        )

    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        changed_ms = None
        # What is no JSON comes from something on the way, and nothing was written.
        if change.values:
            properties = {self.options.fields[head]: value for head, value in change.values.items()}
            body: dict[str, object] = {"properties": properties}
            ticket = (await api.call("PATCH", f"{_TICKETS}/{path_part(ref)}", body=body)).json()
            changed_ms = as_milliseconds(at_pointer(ticket, "/updatedAt"))
        if change.note is not None:
            properties = {"hs_timestamp": datetime.now(UTC).isoformat(), "hs_note_body": as_html(change.note)}
            kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": _NOTE_TO_TICKET}
            body = {"properties": properties, "associations": [{"to": {"id": ref}, "types": [kind]}]}
            (await api.call("POST", _NOTES, body=body)).json()
        return changed_ms

    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        # A search would know of a new note some moments too late.
        answer = await api.get(f"{_TICKETS}/{path_part(ref)}", {"associations": "notes"})
        ids = _note_ids(answer.json())[:_NOTES_LOOKED_AT]
        if not ids:
            return False
        wanted = {"properties": ["hs_note_body"], "inputs": [{"id": id_} for id_ in ids]}
        return marker.encode() in (await api.call("POST", f"{_NOTES}/batch/read", body=wanted)).body

    def changed_since(self, api: Api, since_ms: int) -> AsyncIterator[Sighting]:
        return by_time_of_change(partial(self._page, api), since_ms)

    async def _page(self, api: Api, since_ms: int, name: str | None) -> Page:
        """Return tickets that changed since then, without their text: a page of long ones would be too long."""
        condition = {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": str(since_ms)}
        body = {
            "filterGroups": [{"filters": [condition]}],
            "sorts": ["hs_lastmodifieddate"],
            "properties": [_CLOSED, *self._heads],
            "limit": _TICKETS_A_PAGE,
            "after": name or "0",
        }
        answer = (await api.call("POST", f"{_TICKETS}/search", body=body)).json()
        found = required_list(at_pointer(answer, "/results"), "what changed")
        sightings = [self._sighting(ticket) for ticket in found]
        return Page(sightings, as_text(at_pointer(answer, "/paging/next/after")))

    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for name, head in self._heads.items():
            described = (await api.get(f"/crm/v3/properties/tickets/{path_part(name)}")).json()
            options = at_pointer(described, "/options")
            if isinstance(options, list) and options:
                found[head] = frozenset(filter(None, (as_text(at_pointer(option, "/value")) for option in options)))
        return found


def _events(body: bytes) -> list[dict[str, Any]]:
    content = json_value(body)
    if not isinstance(content, list) or not all(isinstance(event, dict) for event in content):
        raise UnreadableError("the body is JSON, but not a list of events")
    return content


def _ticket_event(content: Mapping[str, Any]) -> _Event | None:
    """Return an event if it tells of a new ticket or a change of one; raise ``UnreadableError``."""
    kind, _, happening = (as_text(content.get("subscriptionType")) or "").partition(".")
    is_ticket = kind == "ticket" or (kind == "object" and content.get("objectTypeId") == _TICKET_TYPE)
    if not is_ticket or happening not in {"creation", "propertyChange"}:
        return None
    ref, source = required_text(content.get("objectId"), "objectId"), as_text(content.get("sourceId")) or ""
    is_change = happening == "propertyChange"
    return _Event(
        ref=ref,
        name=required_text(content.get("propertyName"), "propertyName") if is_change else None,
        value=as_text(content.get("propertyValue")),
        at_ms=as_milliseconds(content.get("occurredAt")),
        actor=source if source.startswith(_USER) else as_text(content.get("changeSource")),
    )


def _note_ids(ticket: Any) -> list[str]:  # noqa: ANN401 - whatever was answered
    """Return the ids of a ticket's notes, the latest first."""
    listed = at_pointer(ticket, "/associations/notes/results")
    ids = {as_text(at_pointer(note, "/id")) or "" for note in (listed if isinstance(listed, list) else [])}
    return sorted(ids, key=lambda id_: (len(id_), id_), reverse=True)


def _milliseconds(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 15 else None  # noqa: PLR2004

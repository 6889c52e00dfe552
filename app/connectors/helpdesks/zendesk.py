"""Zendesk: signed webhooks of its ticket events or of its triggers, and its ticketing API version 2.

https://developer.zendesk.com/documentation/webhooks/ and https://developer.zendesk.com/api-reference/ticketing/
describe both.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.api import RefusedError, path_part
from app.connectors.helpdesk import DEPARTMENT, PRIORITY, Helpdesk
from app.connectors.json_content import as_milliseconds, as_text, at_pointer, json_object, required_list, required_text
from app.connectors.sighting import Sighting
from app.connectors.signatures import is_in_window, is_signed

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery
    from app.connectors.signatures import Secrets

_SIGNATURE: Final = "x-zendesk-webhook-signature"
_TIMESTAMP: Final = "x-zendesk-webhook-signature-timestamp"
_INVOCATION: Final = "x-zendesk-webhook-invocation-id"
_EVENT: Final = "zen:event-type:"
_TICKET_EVENT: Final = "zen:event-type:ticket."
# A ticket that is no more; the last thing to do is to classify it.
_GONE: Final = frozenset({"marked_as_spam", "merged", "permanently_deleted", "soft_deleted"})
_CLOSED: Final = frozenset({"solved", "closed", "archived"})
_PRIORITIES: Final = frozenset({"urgent", "high", "normal", "low"})
# What the API has in lower case and events in upper case.
_ENUMERATIONS: Final = frozenset({"priority", "status", "type"})
_GROUP: Final = "group_id"
# The actor of what Zendesk's own rules do.
_SYSTEM: Final = "-1"
_TICKETS: Final = "/api/v2/tickets"
# A description or a comment has up to 64 kB, and an answer at most 1 MB is read; most tickets are far shorter.
_TICKETS_A_PAGE: Final = 50
_COMMENTS_A_PAGE: Final = 15
_MAX_COMMENT_PAGES: Final = 5
_GROUPS_A_PAGE: Final = 100
# Of more changes, after a long silence, these are the latest; the list is to be asked for 100 times a minute at most.
_MOST_CHANGES: Final = 4_000


class ZendeskHelpdesk(Helpdesk):
    """``fields`` may also name a custom field of tickets, by the digits of its id."""

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        PRIORITY: {"Urgent": "urgent", "High": "high", "Medium": "normal", "Low": "low"}
    }
    fields: ClassVar[Mapping[str, str]] = {PRIORITY: "priority", DEPARTMENT: _GROUP}
    not_people: ClassVar[frozenset[str]] = frozenset({_SYSTEM})
    # An account may update 100 tickets a minute, its people included.
    calls_per_minute: ClassVar[int] = 100

    # What arrives

    def is_authentic(self, delivery: Delivery, secrets: Secrets) -> bool:
        timestamp = delivery.headers.get(_TIMESTAMP, "")
        if not is_in_window(as_milliseconds(timestamp), delivery.received_ms):
            return False
        signature = delivery.headers.get(_SIGNATURE, "")
        return is_signed(self.signed_content(delivery), signature, secrets, digest="sha256", encoding="base64")

    def signed_content(self, delivery: Delivery) -> bytes:
        return delivery.headers.get(_TIMESTAMP, "").encode("utf-8", "surrogateescape") + delivery.body

    def delivery_id(self, delivery: Delivery) -> str | None:
        return delivery.headers.get(_INVOCATION)

    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        content = json_object(delivery.body)
        kind = as_text(content.get("type")) or ""
        if kind.startswith(_TICKET_EVENT):
            return [] if kind.removeprefix(_TICKET_EVENT) in _GONE else [self._sighting(content.get("detail"))]
        if kind.startswith(_EVENT):
            return []
        # A trigger's JSON is written by hand, and a quote in a placeholder would break it: it has the id alone.
        return [Sighting(ref=required_text(content.get("ticket_id"), "ticket_id"), is_hint=True)]

    def _sighting(self, ticket: object) -> Sighting:
        """Return what an event or the API says of a ticket."""
        said: Mapping[str, Any] = ticket if isinstance(ticket, dict) else {}
        status = _value("status", said.get("status"))
        return Sighting(
            ref=required_text(said.get("id"), "the ticket's id"),
            title=as_text(said.get("subject")),
            description=as_text(said.get("description")),
            values=self._values(said),
            created_ms=as_milliseconds(said.get("created_at")),
            changed_ms=as_milliseconds(said.get("updated_at")),
            actor=as_text(said.get("actor_id")),
            is_closed=None if status is None else status in _CLOSED,
            version=as_text(said.get("updated_at")),
        )

    def _values(self, said: Mapping[str, Any]) -> dict[str, str | None]:
        custom = said.get("custom_fields")
        rows = {as_text(at_pointer(row, "/id")): row for row in custom} if isinstance(custom, list) else {}
        found: dict[str, str | None] = {}
        for head, name in self.options.fields.items():
            if name in said:
                found[head] = _value(name, said[name])
            elif name in rows:
                found[head] = as_text(at_pointer(rows[name], "/value"))
        return found

    # What is asked and written

    def authorization(self, token: str) -> Mapping[str, str]:
        """Return the headers for an API token, written ``ADDRESS/token:TOKEN``, or for an OAuth token."""
        if "/token:" in token:
            return {"authorization": f"Basic {base64.b64encode(token.encode()).decode()}"}
        return {"authorization": f"Bearer {token}"}

    async def fetch(self, api: Api, ref: str) -> Sighting:
        content = (await api.get(f"{_TICKETS}/{path_part(ref)}.json")).json()
        return self._sighting(at_pointer(content, "/ticket"))

    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        ticket: dict[str, object] = {"safe_update": True, "updated_stamp": change.over.version}
        custom = []
        for head, value in change.values.items():
            name = self.options.fields[head]
            if name.isdecimal():
                custom.append({"id": int(name), "value": value})
            else:
                ticket[name] = _group_number(head, value) if name == _GROUP else value
        if custom:
            ticket["custom_fields"] = custom
        if change.note is not None:
            ticket["comment"] = {"body": change.note, "public": False}
        # What says 200 and is no JSON comes from something on the way, and nothing was written.
        content = (await api.call("PUT", f"{_TICKETS}/{path_part(ref)}.json", body={"ticket": ticket})).json()
        return as_milliseconds(at_pointer(content, "/ticket/updated_at"))

    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        path, n_pages = f"{_TICKETS}/{path_part(ref)}/comments.json", 0
        async for comments in _pages(api, path, "comments", {"sort": "-created_at", "page[size]": _COMMENTS_A_PAGE}):
            if any(marker in (as_text(at_pointer(comment, "/body")) or "") for comment in comments):
                return True
            n_pages += 1
            if n_pages == _MAX_COMMENT_PAGES:
                break
        return False

    async def changed_since(self, api: Api, since_ms: int) -> AsyncIterator[Sighting]:
        """Yield what changed, from a list that has the latest change first: the other way is for administrators only.

        A ticket that changes meanwhile moves to the front, which was read already; the next look has it.
        """
        found: list[Sighting] = []
        query: dict[str, str | int] = {"sort": "-updated_at", "page[size]": _TICKETS_A_PAGE}
        async for tickets in _pages(api, f"{_TICKETS}.json", "tickets", query):
            page = [self._sighting(ticket) for ticket in tickets]
            found += [sighting for sighting in page if (sighting.changed_ms or 0) >= since_ms]
            if (page and (page[-1].changed_ms or 0) < since_ms) or len(found) >= _MOST_CHANGES:
                break
        for sighting in reversed(found):
            yield sighting

    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        found: set[str | None] = set()
        async for groups in _pages(api, "/api/v2/groups.json", "groups", {"page[size]": _GROUPS_A_PAGE}):
            found |= {as_text(at_pointer(group, "/id")) for group in groups if not at_pointer(group, "/deleted")}
        known = {"priority": _PRIORITIES, _GROUP: frozenset(group for group in found if group is not None)}
        return {head: known[name] for head, name in self.options.fields.items() if name in known}


async def _pages(api: Api, path: str, name: str, query: Mapping[str, str | int]) -> AsyncIterator[list[Any]]:
    """Yield the list ``name`` of each page, by Zendesk's cursor."""
    after: str | None = None
    while True:
        content = (await api.get(path, query if after is None else {**query, "page[after]": after})).json()
        yield required_list(at_pointer(content, f"/{name}"), f"what {name} there are")
        after = as_text(at_pointer(content, "/meta/after_cursor"))
        if after is None or at_pointer(content, "/meta/has_more") is not True:
            return


def _value(name: str, value: object) -> str | None:
    """Return what a field says; an event may have "0" or nothing for a group where the API has null."""
    text = as_text(value)
    if text is None or (name == _GROUP and text == "0"):
        return None
    return text.lower() if name in _ENUMERATIONS else text


def _group_number(head: str, word: str) -> int:
    if not (word.isascii() and word.isdecimal()):
        raise RefusedError(f'labels.{head} must have the id of a group, in digits, and not "{word}"', 0)
    return int(word)

"""Freshdesk: unsigned webhooks of its automation rules, and its REST API version 2.

https://support.freshdesk.com/support/solutions/articles/132589 and https://developers.freshdesk.com/api/ describe both.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.api import RefusedError, path_part
from app.connectors.helpdesk import DEPARTMENT, PRIORITY, Helpdesk
from app.connectors.helpdesks.paging import Page, by_time_of_change
from app.connectors.json_content import as_milliseconds, as_text, at_pointer, json_object, required_list, required_text
from app.connectors.notes import as_html
from app.connectors.sighting import Sighting

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery

_TICKETS: Final = "/api/v2/tickets"
_GROUPS: Final = "/api/v2/groups"
# The body of a rule whose content is "Simple" is in it.
_SIMPLE: Final = "freshdesk_webhook"
_PRIORITIES: Final = frozenset({"1", "2", "3", "4"})
# Resolved and Closed; a site's own statuses have numbers from 6 on.
_CLOSED: Final = frozenset({"4", "5"})
_NUMBERS: Final = frozenset({"priority", "group_id"})
_CUSTOM: Final = "cf_"
_ROWS_A_PAGE: Final = 100
# Notes are HTML of any length, and an answer at most 1 MB is read.
_NOTES_A_PAGE: Final = 30
_MAX_NOTE_PAGES: Final = 10


class FreshdeskHelpdesk(Helpdesk):
    """``fields`` may also name a custom field of tickets, such as ``cf_department``."""

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        PRIORITY: {"Urgent": "4", "High": "3", "Medium": "2", "Low": "1"}
    }
    fields: ClassVar[Mapping[str, str]] = {PRIORITY: "priority", DEPARTMENT: "group_id"}
    # Every ticket has a priority: it is low until somebody chooses one.
    unset: ClassVar[Mapping[str, Sequence[str | None]]] = {PRIORITY: (None, "1"), DEPARTMENT: (None,)}
    # The smallest plan has 80 updates a minute, and 100 calls in all.
    calls_per_minute: ClassVar[int] = 60

    # What arrives

    def signed_content(self, delivery: Delivery) -> bytes:
        # The same words come with each change of a ticket, and neither id nor time with them. Since they are no more
        # than a reason to look, looking once too often does no harm, and not looking would.
        return delivery.body + str(delivery.received_ms).encode()

    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        """Return the ticket, with its text if that came along, but never with values.

        A delivery is tried again after up to an hour and a half, and its values would look like somebody's change.
        """
        content = json_object(delivery.body)
        said = content.get(_SIMPLE, content)
        return [
            Sighting(
                ref=required_text(at_pointer(said, "/ticket_id"), "ticket_id"),
                title=as_text(at_pointer(said, "/ticket_subject")),
                description=as_text(at_pointer(said, "/ticket_description")),
                is_hint=True,
            )
        ]

    # What is asked and written

    def authorization(self, token: str) -> Mapping[str, str]:
        # The key is the user's name, and any password will do.
        return {"authorization": f"Basic {base64.b64encode(f'{token}:X'.encode()).decode()}"}

    async def fetch(self, api: Api, ref: str) -> Sighting:
        return self._sighting((await api.get(f"{_TICKETS}/{path_part(ref)}")).json(), has_text=True)

    def _sighting(self, ticket: object, *, has_text: bool) -> Sighting:
        said: Mapping[str, Any] = ticket if isinstance(ticket, dict) else {}
        status = as_text(said.get("status"))
        return Sighting(
            ref=required_text(said.get("id"), "the ticket's id"),
            title=as_text(said.get("subject")) if has_text else None,
            description=as_text(said.get("description")) if has_text else None,
            values=self._values(said),
            created_ms=as_milliseconds(said.get("created_at")),
            changed_ms=as_milliseconds(said.get("updated_at")),
            is_closed=None if status is None else status in _CLOSED,
        )

    def _values(self, said: Mapping[str, Any]) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for head, name in self.options.fields.items():
            holder = said.get("custom_fields") if name.startswith(_CUSTOM) else said
            if isinstance(holder, dict) and name in holder:
                found[head] = as_text(holder[name])
        return found

    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        """Write values and then the note, with a call each; Freshdesk cannot write only over what was seen."""
        path = f"{_TICKETS}/{path_part(ref)}"
        changed_ms: int | None = None
        if change.values:
            # What says 200 and is no JSON comes from something on the way, and nothing was written.
            content = (await api.call("PUT", path, body=self._body(change.values))).json()
            changed_ms = as_milliseconds(at_pointer(content, "/updated_at"))
        if change.note is not None:
            body = {"body": as_html(change.note), "private": True}
            (await api.call("POST", f"{path}/notes", body=body)).json()
        return changed_ms

    def _body(self, values: Mapping[str, str]) -> dict[str, object]:
        body: dict[str, object] = {}
        custom: dict[str, str] = {}
        for head, word in values.items():
            name = self.options.fields[head]
            if name.startswith(_CUSTOM):
                custom[name] = word
            else:
                body[name] = _number(head, word) if name in _NUMBERS else word
        return {**body, "custom_fields": custom} if custom else body

    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        for number in range(1, _MAX_NOTE_PAGES + 1):
            query = {"per_page": _NOTES_A_PAGE, "page": number}
            answer = await api.get(f"{_TICKETS}/{path_part(ref)}/conversations", query)
            if marker.encode() in answer.body:
                return True
            if not _has_next(answer.headers):
                break
        return False

    def changed_since(self, api: Api, since_ms: int) -> AsyncIterator[Sighting]:
        return by_time_of_change(partial(self._page, api), since_ms)

    async def _page(self, api: Api, since_ms: int, name: str | None) -> Page:
        """Return tickets without their text: a page of HTML can be more than an answer may have."""
        number = int(name or 1)
        # A second earlier, since it is not documented whether what changed at that time is in the list.
        since = datetime.fromtimestamp(since_ms // 1000 - 1, UTC)
        query: dict[str, str | int] = {
            "updated_since": f"{since:%Y-%m-%dT%H:%M:%SZ}",
            "order_by": "updated_at",
            "order_type": "asc",
            "per_page": _ROWS_A_PAGE,
            "page": number,
        }
        answer = await api.get(_TICKETS, query)
        tickets = required_list(answer.json(), "what changed")
        following = str(number + 1) if _has_next(answer.headers) else None
        return Page([self._sighting(ticket, has_text=False) for ticket in tickets], following)

    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        found: set[str] = set()
        number, has_next = 0, True
        while has_next:
            number += 1
            answer = await api.get(_GROUPS, {"per_page": _ROWS_A_PAGE, "page": number})
            groups = required_list(answer.json(), "what groups there are")
            found |= {text for group in groups if (text := as_text(at_pointer(group, "/id"))) is not None}
            has_next = bool(groups) and _has_next(answer.headers)
        known = {"priority": _PRIORITIES, "group_id": frozenset(found)}
        return {head: known[name] for head, name in self.options.fields.items() if name in known}


def _has_next(headers: Mapping[str, str]) -> bool:
    return 'rel="next"' in headers.get("link", "")


def _number(head: str, word: str) -> int:
    if not (word.isascii() and word.isdecimal()):
        raise RefusedError(f'labels.{head} must have Freshdesk\'s number, in digits, and not "{word}"', 0)
    return int(word)

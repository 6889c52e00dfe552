"""Intercom: conversations that customers start, and tickets. Each notification has the whole of one of the two.

Both are written to alike, but for the names of things. The id of a conversation may be that of a ticket, too, so
``ref`` says which it is: ``conversation-123`` or ``ticket-123``.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.api import RefusedError, path_part
from app.connectors.helpdesk import DEPARTMENT, PRIORITY, Helpdesk, OptionError, Options
from app.connectors.json_content import as_milliseconds, as_text, at_pointer, json_object, required_list, required_text
from app.connectors.notes import as_html
from app.connectors.sighting import Sighting, UnreadableError
from app.connectors.signatures import is_signed

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery
    from app.connectors.signatures import Secrets

# The oldest version of the API in which tickets are assigned as they are now.
_VERSION: Final = "2.14"
_CONVERSATION: Final = "conversation"
_TICKET: Final = "ticket"
# By kind: where its attributes, its texts, and what happened to it are.
_ATTRIBUTES: Final = {_CONVERSATION: "custom_attributes", _TICKET: "ticket_attributes"}
_TEXTS: Final = {_CONVERSATION: ("subject", "body"), _TICKET: ("_default_title_", "_default_description_")}
_PARTS: Final = {_CONVERSATION: "/conversation_parts/conversation_parts", _TICKET: "/ticket_parts/ticket_parts"}
# The one field that is no attribute.
_TEAM: Final = "team_assignee_id"
_NO_TEAM: Final = "0"
_BY_CUSTOMER: Final = "customer_initiated"
_RESOLVED: Final = "resolved"
_BOT: Final = "bot"
# Parts of their names, of those parts that say that something changed.
_CHANGES: Final = ("assign", "attribute", "close", "state_updated")
# Each comes with its text, and a page of more could be too long.
_A_PAGE: Final = 20
_WINDOW_SECONDS: Final = 3_600


class IntercomHelpdesk(Helpdesk):
    """``fields`` are names of attributes, or ``team_assignee_id``; ``objects`` says which of the two are looked at."""

    option_names: ClassVar[frozenset[str]] = frozenset({"objects"})
    fields: ClassVar[Mapping[str, str]] = {PRIORITY: "Priority", DEPARTMENT: _TEAM}
    not_people: ClassVar[frozenset[str]] = frozenset({_BOT})
    calls_per_minute: ClassVar[int] = 600

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        objects = options.others.get("objects", [f"{kind}s" for kind in _ATTRIBUTES])
        self._kinds = [kind for kind in _ATTRIBUTES if isinstance(objects, list) and f"{kind}s" in objects]
        if not self._kinds or len(self._kinds) < len(objects):
            raise OptionError('objects must be a list of "conversations", "tickets" or both')

    def is_authentic(self, delivery: Delivery, secrets: Secrets) -> bool:
        method, _, digest = delivery.headers.get("x-hub-signature", "").partition("=")
        return method == "sha1" and is_signed(delivery.body, digest, secrets, digest="sha1")

    def delivery_id(self, delivery: Delivery) -> str | None:
        try:
            return as_text(json_object(delivery.body).get("id"))
        except UnreadableError:
            return None

    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        notification = json_object(delivery.body)
        topic, item = required_text(notification.get("topic"), "topic"), at_pointer(notification, "/data/item")
        kind = topic.partition(".")[0]
        if kind not in self._kinds or topic.endswith(".deleted"):
            return []
        wrapped = at_pointer(item, "/ticket")
        if kind == _TICKET and isinstance(wrapped, dict):
            # Of one topic, beside what happened to it.
            item = wrapped
        return [self._sighting(kind, item)] if _is_customers(kind, item) else []

    def _sighting(self, kind: str, item: Any) -> Sighting:  # noqa: ANN401 - whatever was said
        number = required_text(at_pointer(item, "/id"), f"the {kind}'s id")
        attributes, source = item.get(_ATTRIBUTES[kind]), item.get("source")
        texts = attributes if kind == _TICKET else source
        title, description = _TEXTS[kind]
        return Sighting(
            ref=f"{kind}-{number}",
            title=as_text(texts.get(title)) or as_text(item.get("title")) or "" if isinstance(texts, dict) else None,
            description=as_text(texts.get(description)) if isinstance(texts, dict) else None,
            values=self._values(item, attributes),
            created_ms=as_milliseconds(item.get("created_at")),
            changed_ms=as_milliseconds(item.get("updated_at")),
            actor=_actor(at_pointer(item, _PARTS[kind])),
            is_closed=_is_closed(kind, item),
        )

    def _values(self, item: Mapping[str, Any], attributes: object) -> dict[str, str | None]:
        values: dict[str, str | None] = {}
        for head, name in self.options.fields.items():
            if name == _TEAM:
                if _TEAM in item:
                    team = as_text(item[_TEAM])
                    values[head] = None if team == _NO_TEAM else team
            elif isinstance(attributes, dict):
                # One that nobody has set is not there.
                values[head] = as_text(attributes.get(name))
        return values

    def authorization(self, token: str) -> Mapping[str, str]:
        return {"authorization": f"Bearer {token}", "intercom-version": _VERSION}

    async def fetch(self, api: Api, ref: str) -> Sighting:
        kind = ref.partition("-")[0]
        sighting = self._sighting(kind, (await api.get(_path(ref), {"display_as": "plaintext"})).json())
        return sighting if sighting.has_text else replace(sighting, title="")

    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        kind, path = ref.partition("-")[0], _path(ref)
        named = {self.options.fields[head]: value for head, value in change.values.items()}
        team = named.pop(_TEAM, None)
        update: dict[str, object] = {_ATTRIBUTES[kind]: named} if named else {}
        admin = await _admin_id(api) if team is not None or change.note is not None else ""
        calls: list[tuple[str, str, object]] = []
        if team is not None and kind == _TICKET:
            update |= {"admin_id": admin, "assignee_id": team}
        if update:
            calls.append(("PUT", path, update))
        by_admin = {"type": "admin", "admin_id": admin}
        if team is not None and kind == _CONVERSATION:
            assignment = {**by_admin, "message_type": "assignment", "type": "team", "assignee_id": team}
            calls.append(("POST", f"{path}/parts", assignment))
        if change.note is not None:
            note = {**by_admin, "message_type": "note", "body": as_html(change.note)}
            calls.append(("POST", f"{path}/reply", note))
        # What is no JSON comes from something on the way, and nothing was written.
        answers = [(await api.call(method, at, body=body)).json() for method, at, body in calls]
        # Of the first: what people do between two calls is later than our write.
        return as_milliseconds(at_pointer(answers[0], "/updated_at")) if change.values else None

    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        return marker.encode() in (await api.get(_path(ref), {"display_as": "plaintext"})).body

    async def changed_since(self, api: Api, since_ms: int) -> AsyncIterator[Sighting]:
        # In which order a search answers is not said, so that it is asked for one hour after the other.
        now = int(time.time())
        begin: int | None = since_ms // 1000
        while begin is not None:
            end = begin + _WINDOW_SECONDS if begin + _WINDOW_SECONDS < now else None
            found = [
                self._sighting(kind, item)
                for kind in self._kinds
                for item in await _search(api, f"{kind}s", begin, end)
                if _is_customers(kind, item)
            ]
            for sighting in sorted(found, key=lambda sighting: sighting.changed_ms or 0):
                yield sighting
            begin = end

    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        await _admin_id(api)
        found: dict[str, frozenset[str]] = {}
        for head, name in self.options.fields.items():
            values = await (_team_ids(api) if name == _TEAM else _list_items(api, name))
            if values:
                found[head] = values
        return found


def _path(ref: str) -> str:
    kind, _, number = ref.partition("-")
    if kind not in _ATTRIBUTES or not number:
        raise RefusedError(f"{ref} is neither a conversation nor a ticket", 0)
    return f"/{kind}s/{path_part(number)}"


def _is_customers(kind: str, item: object) -> bool:
    """Return whether it is a ticket, or a conversation that a customer began and that has not become a ticket."""
    if kind == _TICKET or not isinstance(item, dict):
        return True
    is_begun = as_text(at_pointer(item, "/source/delivered_as")) in {None, _BY_CUSTOMER}
    return is_begun and not isinstance(item.get("ticket"), dict)


def _is_closed(kind: str, item: Mapping[str, Any]) -> bool:
    if kind == _CONVERSATION:
        return as_text(item.get("state")) == "closed"
    return as_text(at_pointer(item, "/ticket_state/category")) == _RESOLVED or item.get("open") is False


def _actor(parts: object) -> str | None:
    """Return who assigned it, changed an attribute of it, or closed it last."""
    for part in reversed(parts if isinstance(parts, list) else []):
        kind = as_text(at_pointer(part, "/part_type")) or ""
        author = as_text(at_pointer(part, "/author/type"))
        if author is not None and any(what in kind for what in _CHANGES):
            return _BOT if author == _BOT else f"{author} {as_text(at_pointer(part, '/author/id'))}"
    return None


async def _search(api: Api, kinds: str, begin: int, end: int | None) -> list[Any]:
    """Return what changed from ``begin`` to ``end``, in seconds since 1970, each of them with it."""
    # Despite their names, these operators find what is equal, too.
    conditions = [{"field": "updated_at", "operator": ">", "value": begin}]
    if end is not None:
        conditions.append({"field": "updated_at", "operator": "<", "value": end})
    query = {"operator": "AND", "value": conditions}
    found: list[Any] = []
    following: str | None = ""
    while following is not None:
        pagination = {"per_page": _A_PAGE} | ({"starting_after": following} if following else {})
        answer = (await api.call("POST", f"/{kinds}/search", body={"query": query, "pagination": pagination})).json()
        found += required_list(at_pointer(answer, f"/{kinds}"), "what changed")
        following = as_text(at_pointer(answer, "/pages/next/starting_after"))
    return found


async def _admin_id(api: Api) -> str:
    """Return who the token belongs to: notes and assignments are that teammate's."""
    return required_text(at_pointer((await api.get("/me")).json(), "/id"), "the id of /me")


async def _team_ids(api: Api) -> frozenset[str]:
    teams = required_list(at_pointer((await api.get("/teams")).json(), "/teams"), "what teams there are")
    ids = (as_text(at_pointer(team, "/id")) for team in teams)
    return frozenset(filter(None, ids))


async def _list_items(api: Api, name: str) -> frozenset[str]:
    """Return what can be chosen for an attribute in all types of tickets that have it as a list."""
    types = at_pointer((await api.get("/ticket_types")).json(), "/data")
    lists = [
        frozenset(filter(None, (as_text(at_pointer(option, "/label")) for option in options)))
        for type_ in (types if isinstance(types, list) else [])
        for attribute in at_pointer(type_, "/ticket_type_attributes/data") or []
        if at_pointer(attribute, "/name") == name
        and isinstance(options := at_pointer(attribute, "/input_options/list_options"), list)
    ]
    return frozenset.intersection(*lists) if lists else frozenset()

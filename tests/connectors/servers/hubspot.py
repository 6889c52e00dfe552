"""HubSpot's CRM as a test sees it: tickets, their notes, the search, and the signed events that it sends.

After its public API specification (CRM v3) and the page on validating requests; what is not needed here is left out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.connectors.servers.dialect import Dialect, Reply, Request, Route
from tests.connectors.servers.webhook import Webhook, iso_time

NOTE_TO_TICKET = 228
MAX_SEARCH_RESULTS = 200
MAX_BATCH = 100
OPTIONS = {
    "hs_ticket_priority": ("LOW", "MEDIUM", "HIGH", "URGENT"),
    "department": ("billing", "sales", "tech_support"),
}
EVENTS = itertools.count(100)
TEXTS = ("subject", "content", "hs_pipeline_stage", "closed_date")


@dataclass
class Ticket:
    properties: dict[str, str | None]
    created_ms: int
    modified_ms: int
    notes: list[str] = field(default_factory=list)  # their ids


class HubSpot(Dialect):
    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token
        self.tickets: dict[str, Ticket] = {}
        self.notes: dict[str, str] = {}
        self._ids = itertools.count(1_001)

    def routes(self) -> tuple[Route, ...]:
        ticket = r"/crm/v3/objects/tickets/(?P<ref>\d+)"
        return (
            Route("GET", ticket, self.show),
            Route("PATCH", ticket, self.change),
            Route("POST", "/crm/v3/objects/tickets/search", self.search),
            Route("POST", "/crm/v3/objects/notes", self.add_note),
            Route("POST", "/crm/v3/objects/notes/batch/read", self.read_notes),
            Route("GET", r"/crm/v3/properties/tickets/(?P<name>\w+)", self.describe),
        )

    def is_authenticated(self, request: Request) -> bool:
        return request.bearer() == self.token

    def unauthenticated(self) -> Reply:
        return error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")

    def no_requests_left(self) -> Reply:
        limited = {"policyName": "TEN_SECONDLY_ROLLING", "errorType": "RATE_LIMIT", "status": "error"}
        return Reply(429, limited | {"message": "You have reached your ten_secondly_rolling limit."})

    def not_found(self) -> Reply:
        return error(404, "OBJECT_NOT_FOUND", "resource not found")

    # What people do there.

    def create(self, subject: str, content: str, **properties: str | None) -> str:
        """Create a ticket as a customer's e-mail does; return its id."""
        ref = str(next(self._ids))
        given: dict[str, str | None] = {"subject": subject, "content": content, "hs_pipeline_stage": "1"}
        self.tickets[ref] = Ticket(given | properties, now_ms(), now_ms())
        return ref

    def set_by_person(self, ref: str, **properties: str | None) -> None:
        ticket = self.tickets[ref]
        ticket.properties |= properties
        ticket.modified_ms = max(now_ms(), ticket.modified_ms + 1)

    def notes_of(self, ref: str) -> list[str]:
        return [self.notes[note] for note in self.tickets[ref].notes]

    # The API.

    def show(self, request: Request, ref: str) -> Reply:
        ticket = self.tickets.get(ref)
        if ticket is None:
            return self.not_found()
        shown = shape(ref, ticket, request.query.get("properties", "subject").split(","))
        if "notes" in request.query.get("associations", "").split(",") and ticket.notes:
            notes = [{"id": note, "type": "ticket_to_note"} for note in ticket.notes]
            shown["associations"] = {"notes": {"results": notes}}
        return Reply(200, shown)

    def change(self, request: Request, ref: str) -> Reply:
        ticket = self.tickets.get(ref)
        if ticket is None:
            return self.not_found()
        changes: dict[str, str] = request.json()["properties"]
        for name, value in changes.items():
            if name not in (*OPTIONS, *TEXTS):
                return error(400, "VALIDATION_ERROR", f'Property "{name}" does not exist')
            if value and name in OPTIONS and value not in OPTIONS[name]:
                return error(400, "VALIDATION_ERROR", f"{value} was not one of the allowed options")
        self.set_by_person(ref, **{name: value or None for name, value in changes.items()})
        return Reply(200, shape(ref, ticket, list(changes)))

    def search(self, request: Request) -> Reply:
        asked = request.json()
        (condition,) = asked["filterGroups"][0]["filters"]
        if (condition["propertyName"], condition["operator"]) != ("hs_lastmodifieddate", "GTE"):
            return error(400, "VALIDATION_ERROR", "this search is not known here")
        if asked["limit"] > MAX_SEARCH_RESULTS:
            return error(400, "VALIDATION_ERROR", "limit is too large")
        found = sorted(
            (ref for ref, ticket in self.tickets.items() if ticket.modified_ms >= int(condition["value"])),
            key=lambda ref: (self.tickets[ref].modified_ms, int(ref)),
        )
        start = int(asked.get("after") or 0)
        page = found[start : start + asked["limit"]]
        results = [shape(ref, self.tickets[ref], asked["properties"]) for ref in page]
        answer: dict[str, object] = {"total": len(found), "results": results}
        if start + len(page) < len(found):
            answer["paging"] = {"next": {"after": str(start + len(page))}}
        return Reply(200, answer)

    def add_note(self, request: Request) -> Reply:
        asked = request.json()
        if "hs_timestamp" not in asked["properties"]:
            return error(400, "VALIDATION_ERROR", "hs_timestamp is required")
        note = str(next(self._ids))
        for association in asked["associations"]:
            if association["types"][0]["associationTypeId"] != NOTE_TO_TICKET:
                return error(400, "VALIDATION_ERROR", "not an association of notes with tickets")
            ticket = self.tickets.get(association["to"]["id"])
            if ticket is None:
                return error(400, "VALIDATION_ERROR", "cannot associate with a ticket that does not exist")
            ticket.notes.append(note)
        self.notes[note] = asked["properties"]["hs_note_body"]
        return Reply(201, {"id": note, "properties": asked["properties"], "archived": False})

    def read_notes(self, request: Request) -> Reply:
        ids = [given["id"] for given in request.json()["inputs"]]
        if len(ids) > MAX_BATCH:
            return error(400, "VALIDATION_ERROR", "too many inputs")
        notes = [{"id": note, "properties": {"hs_note_body": self.notes[note]}} for note in ids if note in self.notes]
        return Reply(200, {"status": "COMPLETE", "results": notes})

    def describe(self, _request: Request, name: str) -> Reply:
        if name not in OPTIONS and name not in TEXTS:
            return self.not_found()
        options = [{"value": value, "label": value.title(), "hidden": False} for value in OPTIONS.get(name, ())]
        return Reply(200, {"name": name, "type": "enumeration" if options else "string", "options": options})


def shape(ref: str, ticket: Ticket, names: Sequence[str]) -> dict[str, object]:
    """Return a ticket as the API shows it: what was asked for and exists; null where nothing is set."""
    properties = {name: ticket.properties.get(name) for name in names if name in (*OPTIONS, *TEXTS)}
    times = {"createdAt": iso_time(ticket.created_ms, "Z"), "updatedAt": iso_time(ticket.modified_ms, "Z")}
    return {"id": ref, "properties": properties, **times, "archived": False}


def error(status: int, category: str, message: str) -> Reply:
    return Reply(status, {"status": "error", "category": category, "message": message, "correlationId": "aeb5f871"})


def event(ref: str, subscription: str = "ticket.creation", **more: object) -> dict[str, object]:
    """Return one event of a delivery, as HubSpot words it."""
    about = {"objectId": int(ref), "eventId": next(EVENTS), "subscriptionId": 1234, "portalId": 62515, "appId": 54321}
    return (
        about
        | {
            "occurredAt": now_ms(),
            "subscriptionType": subscription,
            "attemptNumber": 0,
            "changeSource": "CRM_UI",
        }
        | more
    )


def changed(ref: str, name: str, value: str, **more: object) -> dict[str, object]:
    return event(
        ref, "ticket.propertyChange", **{"propertyName": name, "propertyValue": value, "sourceId": "userId:9"} | more
    )


def signed(url: str, secret: str, events: Sequence[Mapping[str, object]], *, sent_ms: int | None = None) -> Webhook:
    """Return a delivery of events to `url`, which has nothing in it that is decoded before it is signed."""
    return sign(url, secret, json.dumps(events, separators=(",", ":")).encode(), sent_ms=sent_ms)


def sign(url: str, secret: str, body: bytes, *, sent_ms: int | None = None) -> Webhook:
    timestamp = str(now_ms() if sent_ms is None else sent_ms)
    digest = hmac.digest(secret.encode(), b"POST" + url.encode() + body + timestamp.encode(), hashlib.sha256)
    headers = {
        "content-type": "application/json",
        "x-hubspot-signature-v3": base64.b64encode(digest).decode(),
        "x-hubspot-request-timestamp": timestamp,
        "x-hubspot-signature-version": "v1",
        "x-hubspot-signature": hashlib.sha256(secret.encode() + body).hexdigest(),
    }
    return Webhook(headers, body)


def now_ms() -> int:
    return time.time_ns() // 1_000_000

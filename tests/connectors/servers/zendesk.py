"""Zendesk as its public documentation describes it: tickets, comments, groups, safe updates, signed events.

Times are whole seconds, as there, and each change takes one, so that stamps differ; `same_second` keeps the clock.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.connectors.servers.dialect import Dialect, Reply, Request, Route

API_USER = 900
PRIORITIES = ("urgent", "high", "normal", "low")


@dataclass
class Ticket:
    id: int
    subject: str
    description: str
    requester_id: int
    created_at: datetime
    updated_at: datetime
    priority: str | None = None
    group_id: int | None = None
    status: str = "new"
    actor_id: int | None = None
    custom: dict[int, str | None] = field(default_factory=dict)
    comments: list[dict[str, Any]] = field(default_factory=list)


class Zendesk(Dialect):
    """`https://SUBDOMAIN.zendesk.com`; `token` is one of OAuth, or an API token as `ADDRESS/token:TOKEN`."""

    def __init__(self, *, token: str, secret: str) -> None:
        super().__init__()
        self.token = token
        self.secret = secret
        # A little ahead, so that no ticket is older than the service that hears of it.
        self.now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
        self.same_second = False
        self.page_size = 100
        self.tickets: dict[int, Ticket] = {}
        self.emails: dict[int, str] = {}
        self.groups: dict[int, str] = {11: "Billing", 12: "Technical Support"}

    # What people do.

    def created(self, subject: str, description: str, *, email: str = "ann@customer.example", **values: Any) -> Ticket:  # noqa: ANN401
        self._tick()
        requester_id = 5000 + len(self.emails)
        self.emails[requester_id] = email
        number = 101 + len(self.tickets)
        ticket = Ticket(number, subject, description, requester_id, self.now, self.now, actor_id=requester_id, **values)
        ticket.comments.append({"id": 1, "body": description, "public": True, "author_id": requester_id})
        self.tickets[number] = ticket
        return ticket

    def person_sets(self, ticket: Ticket, *, agent_id: int = 77, **values: str | int | None) -> None:
        self._tick()
        for name, value in values.items():
            setattr(ticket, name, value)
        ticket.actor_id, ticket.updated_at = agent_id, self.now

    # What it sends.

    def event(self, ticket: Ticket, kind: str = "created") -> bytes:
        """Return the body of an event: identifiers are text and words are upper case, unlike in the API."""
        detail: dict[str, Any] = {
            "id": str(ticket.id),
            "subject": ticket.subject,
            "description": ticket.description,
            "priority": ticket.priority and ticket.priority.upper(),
            "status": ticket.status.upper(),
            "group_id": None if ticket.group_id is None else str(ticket.group_id),
            "requester_id": str(ticket.requester_id),
            "actor_id": str(ticket.actor_id),
            "created_at": _text(ticket.created_at),
            "updated_at": _text(ticket.updated_at),
            "tags": [],
            "via": {"channel": "web_service"},
        }
        event = {
            "account_id": 22129848,
            "id": f"cbe4028c-7239-495d-b020-{len(self.requests):012d}",
            "type": f"zen:event-type:ticket.{kind}",
            "subject": f"zen:ticket:{ticket.id}",
            "time": f"{ticket.updated_at:%Y-%m-%dT%H:%M:%S}.672717030Z",
            "zendesk_event_version": "2022-11-06",
            "detail": detail,
            "event": {},
        }
        return json.dumps(event).encode()

    def signed(self, body: bytes, at: datetime, *, invocation: str = "8350205582") -> dict[str, str]:
        """Return the headers of a delivery."""
        timestamp = _text(at)
        digest = hmac.new(self.secret.encode(), timestamp.encode() + body, hashlib.sha256).digest()
        return {
            "content-type": "application/json; charset=utf-8",
            "x-zendesk-account-id": "22129848",
            "x-zendesk-webhook-id": "01F1KRFQ6BG29CNWFR60NK5FNY",
            "x-zendesk-webhook-invocation-id": invocation,
            "x-zendesk-webhook-signature": base64.b64encode(digest).decode(),
            "x-zendesk-webhook-signature-timestamp": timestamp,
        }

    # What it answers.

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", r"/api/v2/users/me(\.json)?", self._me),
            Route("GET", r"/api/v2/groups(\.json)?", self._groups),
            Route("GET", r"/api/v2/tickets(\.json)?", self._list),
            Route("GET", r"/api/v2/tickets/(?P<number>\d+)(\.json)?", self._show),
            Route("PUT", r"/api/v2/tickets/(?P<number>\d+)(\.json)?", self._update),
            Route("GET", r"/api/v2/tickets/(?P<number>\d+)/comments(\.json)?", self._comments),
        )

    def is_authenticated(self, request: Request) -> bool:
        name, _, password = self.token.rpartition(":")
        return request.basic() == (name, password) or request.bearer() == self.token

    def unauthenticated(self) -> Reply:
        return Reply(401, {"error": "Couldn't authenticate you"})

    def no_requests_left(self) -> Reply:
        headers = {"Retry-After": "37", "X-Rate-Limit": "400", "X-Rate-Limit-Remaining": "0"}
        return Reply(
            429, b"Number of allowed API requests per minute exceeded", headers | {"Content-Type": "text/plain"}
        )

    def not_found(self) -> Reply:
        return Reply(404, {"error": "RecordNotFound", "description": "Not found"})

    def _me(self, _request: Request) -> Reply:
        return Reply(content={"user": {"id": API_USER, "email": "agent@acme.example", "role": "agent"}})

    def _groups(self, request: Request) -> Reply:
        groups = [{"id": number, "name": name, "deleted": False} for number, name in self.groups.items()]
        return self._page(request, "groups", groups)

    def _list(self, request: Request) -> Reply:
        newest_first = sorted(self.tickets.values(), key=lambda ticket: ticket.updated_at, reverse=True)
        if request.query.get("sort") != "-updated_at":
            newest_first.sort(key=lambda ticket: ticket.id)
        shown = [_shown(ticket) for ticket in newest_first]
        return self._page(request, "tickets", shown, self._users(request, newest_first))

    def _show(self, request: Request, number: str) -> Reply:
        ticket = self.tickets.get(int(number))
        if ticket is None:
            return self.not_found()
        return Reply(content={"ticket": _shown(ticket), **self._users(request, [ticket])})

    def _comments(self, request: Request, number: str) -> Reply:
        ticket = self.tickets.get(int(number))
        if ticket is None:
            return self.not_found()
        newest_first = request.query.get("sort") == "-created_at"
        return self._page(request, "comments", ticket.comments[:: -1 if newest_first else 1])

    def _update(self, request: Request, number: str) -> Reply:
        ticket = self.tickets.get(int(number))
        if ticket is None:
            return self.not_found()
        wanted = request.json()["ticket"]
        if wanted.get("safe_update") and wanted.get("updated_stamp") != _text(ticket.updated_at):
            return Reply(409, {"error": "UpdateConflict", "description": "Safe Update prevented the update."})
        problem = self._problem(ticket, wanted)
        if problem:
            description = {"error": "RecordInvalid", "description": "Record validation errors"}
            return Reply(422, description | {"details": {"base": [{"description": problem}]}})
        self._tick()
        ticket.priority = wanted.get("priority", ticket.priority)
        ticket.group_id = wanted.get("group_id", ticket.group_id)
        ticket.custom |= {row["id"]: row["value"] for row in wanted.get("custom_fields", [])}
        if "comment" in wanted:
            comment = {"id": len(ticket.comments) + 1, "author_id": API_USER, **wanted["comment"]}
            ticket.comments.append({"plain_body": comment["body"], **comment})
        ticket.actor_id, ticket.updated_at = API_USER, self.now
        return Reply(content={"ticket": _shown(ticket), "audit": {"id": 1, "events": []}})

    def _problem(self, ticket: Ticket, wanted: Mapping[str, Any]) -> str | None:
        if ticket.status == "closed":
            return "Status: closed prevents ticket update"
        if wanted.get("priority", "low") not in PRIORITIES:
            return "Priority: is not included in the list"
        if wanted.get("group_id", 11) not in self.groups:
            return "Group: is invalid"
        return None

    def _page(self, request: Request, name: str, rows: list[Any], beside: Mapping[str, Any] | None = None) -> Reply:
        """Return one page by cursor; the cursor is the number of the first row of the page."""
        size = min(int(request.query.get("page[size]", "100")), self.page_size)
        start = int(request.query.get("page[after]", "0"))
        more = start + size < len(rows)
        meta = {"has_more": more, "after_cursor": str(start + size) if more else None}
        return Reply(content={name: rows[start : start + size], "meta": meta, **(beside or {})})

    def _users(self, request: Request, tickets: list[Ticket]) -> dict[str, Any]:
        if "users" not in request.query.get("include", ""):
            return {}
        numbers = {ticket.requester_id for ticket in tickets}
        return {"users": [{"id": number, "email": self.emails[number]} for number in sorted(numbers)]}

    def _tick(self) -> None:
        if not self.same_second:
            self.now += timedelta(seconds=1)


def _shown(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "description": ticket.description,
        "priority": ticket.priority,
        "status": ticket.status,
        "group_id": ticket.group_id,
        "requester_id": ticket.requester_id,
        "custom_fields": [{"id": number, "value": value} for number, value in ticket.custom.items()],
        "created_at": _text(ticket.created_at),
        "updated_at": _text(ticket.updated_at),
    }


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"

"""Freshdesk as its public documentation describes it: tickets with numbers for words, notes, unsigned webhooks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.connectors.servers.dialect import Dialect, Reply, Request, Route

PRIORITIES = {1: "Low", 2: "Medium", 3: "High", 4: "Urgent"}
STATUSES = {2: "Open", 3: "Pending", 4: "Resolved", 5: "Closed"}


@dataclass
class Ticket:
    id: int
    subject: str
    description: str  # HTML
    email: str
    created_at: datetime
    updated_at: datetime
    priority: int = 1  # Freshdesk has no ticket without a priority
    group_id: int | None = None
    status: int = 2
    notes: list[dict[str, Any]] = field(default_factory=list)


class Freshdesk(Dialect):
    """`https://DOMAIN.freshdesk.com` with the API key of one agent."""

    def __init__(self, *, key: str, secret: str) -> None:
        super().__init__()
        self.key = key
        self.secret = secret
        # A little ahead, so that no ticket is older than the service that hears of it.
        self.now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
        self.same_second = False
        self.page_size = 100
        self.tickets: dict[int, Ticket] = {}
        self.groups: dict[int, str] = {21: "Billing", 22: "Technical Support"}

    # What people do.

    def created(self, subject: str, description: str, *, email: str = "ann@customer.example", **values: Any) -> Ticket:  # noqa: ANN401
        self._tick()
        number = 301 + len(self.tickets)
        ticket = Ticket(number, subject, description, email, self.now, self.now, **values)
        self.tickets[number] = ticket
        return ticket

    def person_sets(self, ticket: Ticket, **values: int | None) -> None:
        self._tick()
        for name, value in values.items():
            setattr(ticket, name, value)
        ticket.updated_at = self.now

    # What it sends.

    def simple(self, ticket: Ticket) -> bytes:
        """Return the body of a rule with the content "Simple" and its boxes ticked: words, and HTML."""
        content = {
            "ticket_id": ticket.id,
            "ticket_subject": ticket.subject,
            "ticket_description": ticket.description,
            "ticket_priority": PRIORITIES[ticket.priority],
            "ticket_status": STATUSES[ticket.status],
            "ticket_group_name": self.groups.get(ticket.group_id or 0),
            "ticket_requester_email": ticket.email,
        }
        return json.dumps({"freshdesk_webhook": content}).encode()

    def filled(self, template: str, ticket: Ticket) -> bytes:
        """Return the body of a rule with the content "Advanced": the pasted text with its placeholders filled in."""
        values = {
            "ticket.id": str(ticket.id),
            "ticket.subject": ticket.subject,
            "ticket.description": ticket.description,
            "ticket.priority": PRIORITIES[ticket.priority],
            "ticket.status": STATUSES[ticket.status],
        }
        for name, value in values.items():
            template = template.replace("{{" + name + "}}", value)
        return template.encode()

    def headers(self) -> dict[str, str]:
        """Return the headers of a delivery: authenticated with user name and password, as the rule's form has it."""
        encoded = base64.b64encode(f"freshdesk:{self.secret}".encode()).decode()
        return {"content-type": "application/json", "authorization": f"Basic {encoded}"}

    # What it answers.

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", r"/api/v2/agents/me", self._me),
            Route("GET", r"/api/v2/groups", self._groups),
            Route("GET", r"/api/v2/tickets", self._list),
            Route("GET", r"/api/v2/tickets/(?P<number>\d+)", self._show),
            Route("PUT", r"/api/v2/tickets/(?P<number>\d+)", self._update),
            Route("POST", r"/api/v2/tickets/(?P<number>\d+)/notes", self._add_note),
            Route("GET", r"/api/v2/tickets/(?P<number>\d+)/conversations", self._conversations),
        )

    def is_authenticated(self, request: Request) -> bool:
        return request.basic() == (self.key, "X")

    def unauthenticated(self) -> Reply:
        content = {"code": "invalid_credentials", "message": "You have to be logged in to perform this action."}
        return Reply(401, content)

    def no_requests_left(self) -> Reply:
        headers = {"Retry-After": "42", "X-RateLimit-Total": "200", "X-RateLimit-Remaining": "0"}
        return Reply(429, {"message": "You have exceeded the limit of requests per minute"}, headers)

    def not_found(self) -> Reply:
        return Reply(404)

    def _me(self, _request: Request) -> Reply:
        return Reply(content={"id": 900, "contact": {"email": "agent@acme.example"}})

    def _groups(self, request: Request) -> Reply:
        return self._page(request, [{"id": number, "name": name} for number, name in self.groups.items()])

    def _list(self, request: Request) -> Reply:
        since = datetime.fromisoformat(request.query["updated_since"])
        # Not documented is whether the time itself counts, and this is the harder case.
        rows = [ticket for ticket in self.tickets.values() if ticket.updated_at > since]
        rows.sort(key=lambda ticket: ticket.updated_at, reverse=request.query.get("order_type", "desc") == "desc")
        included = request.query.get("include", "")
        return self._page(request, [_shown(ticket, included) for ticket in rows])

    def _show(self, request: Request, number: str) -> Reply:
        ticket = self.tickets.get(int(number))
        if ticket is None:
            return self.not_found()
        return Reply(content=_shown(ticket, request.query.get("include", "") + ",description"))

    def _conversations(self, request: Request, number: str) -> Reply:
        ticket = self.tickets.get(int(number))
        return self.not_found() if ticket is None else self._page(request, ticket.notes)

    def _update(self, request: Request, number: str) -> Reply:
        ticket = self.tickets.get(int(number))
        if ticket is None:
            return self.not_found()
        wanted = request.json()
        problem = self._problem(wanted)
        if problem:
            return Reply(400, {"description": "Validation failed", "errors": [problem]})
        self._tick()
        ticket.priority = wanted.get("priority", ticket.priority)
        ticket.group_id = wanted.get("group_id", ticket.group_id)
        ticket.updated_at = self.now
        return Reply(content=_shown(ticket, "description"))

    def _add_note(self, request: Request, number: str) -> Reply:
        ticket = self.tickets.get(int(number))
        if ticket is None:
            return self.not_found()
        self._tick()
        wanted = request.json()
        note = {"id": len(ticket.notes) + 1, "body": wanted["body"], "private": wanted["private"], "user_id": 900}
        ticket.notes.append(note)
        ticket.updated_at = self.now
        return Reply(201, note)

    def _problem(self, wanted: Mapping[str, Any]) -> dict[str, str] | None:
        if wanted.get("priority", 1) not in PRIORITIES:
            return {
                "field": "priority",
                "message": "It should be one of these values: '1,2,3,4'",
                "code": "invalid_value",
            }
        if wanted.get("group_id", 21) not in self.groups:
            return {"field": "group_id", "message": "There is no group matching the given id", "code": "invalid_value"}
        return None

    def _page(self, request: Request, rows: list[Any]) -> Reply:
        size = min(int(request.query.get("per_page", "30")), self.page_size)
        start = (int(request.query.get("page", "1")) - 1) * size
        is_last = start + size >= len(rows)
        headers = {} if is_last else {"link": f'<http://helpdesk.example{request.target}&page=next>; rel="next"'}
        return Reply(200, rows[start : start + size], headers)

    def _tick(self) -> None:
        if not self.same_second:
            self.now += timedelta(seconds=1)


def _shown(ticket: Ticket, included: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": ticket.id,
        "subject": ticket.subject,
        "priority": ticket.priority,
        "status": ticket.status,
        "group_id": ticket.group_id,
        "created_at": f"{ticket.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "updated_at": f"{ticket.updated_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    if "description" in included:
        shown["description"] = ticket.description
    if "requester" in included:
        shown["requester"] = {"id": 1, "email": ticket.email}
    return shown

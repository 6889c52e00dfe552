"""Request Tracker as its REST API 2.0 and the scrip speak, learned from the real one.

A change without a right, or to a queue that is not there, is answered like one that was made; a word that is no
priority becomes zero; the ETag is the number of the newest transaction.
"""

from __future__ import annotations

import base64
import hmac
import itertools
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.connectors.servers.dialect import Dialect, Reply, Request, Route
from tests.connectors.servers.webhook import Webhook

_REST = "/REST/2.0"
PROGRAM, AGENT, CUSTOMER = "classifier", "grace", "emil@example.com"


@dataclass
class Transaction:
    id: int
    kind: str
    creator: str
    seconds: int
    changed: str = ""
    # Type and text of each part.
    parts: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Ticket:
    id: int
    subject: str
    queue: str
    priority: str
    status: str = "new"
    custom: dict[str, str | None] = field(default_factory=dict)
    transactions: list[Transaction] = field(default_factory=list)
    merged_into: int | None = None

    @property
    def changed(self) -> int:
        return self.transactions[-1].seconds

    def etag(self) -> str:
        return f'"{self.transactions[-1].id}"'


class RequestTracker(Dialect):
    def __init__(
        self,
        token: str,
        *,
        queues: tuple[str, ...] = ("General", "Billing", "Tech Support", "Sales"),
        now: Callable[[], int] = lambda: int(time.time()),
    ) -> None:
        super().__init__()
        self.token = token
        self.queues = queues
        self.now = now
        self.may_modify = True
        self.tickets: dict[int, Ticket] = {}
        self._transaction_ids = itertools.count(51)

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", rf"{_REST}/ticket/(?P<ref>\d+)", self._show),
            Route("PUT", rf"{_REST}/ticket/(?P<ref>\d+)", self._update),
            Route("POST", rf"{_REST}/ticket/(?P<ref>\d+)/comment", self._comment),
            Route("GET", rf"{_REST}/ticket/(?P<ref>\d+)/attachments", self._find_attachments),
            Route("GET", rf"{_REST}/queue/(?P<ref>\d+)", self._show_queue),
            Route("GET", f"{_REST}/queues/all", self._show_queues),
            Route("GET", f"{_REST}/tickets", self._search),
            Route("GET", f"{_REST}/transactions", self._show_transactions),
            Route("GET", rf"{_REST}/transaction/(?P<ref>\d+)/attachments", self._show_attachments),
            Route("GET", rf"{_REST}/attachment/(?P<ref>\d+)", self._show_attachment),
        )

    def is_authenticated(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"token {self.token}"

    def unauthenticated(self) -> Reply:
        return Reply(401, {"message": "Unauthorized"})

    def not_found(self) -> Reply:
        return Reply(404, {"message": "Not Found"})

    # What people do there.

    def create(
        self, subject: str, *parts: tuple[str, str], queue: str = "General", priority: str = "0", **custom: str | None
    ) -> Ticket:
        ticket = Ticket(1 + len(self.tickets), subject, queue, priority, custom=custom)
        self.tickets[ticket.id] = ticket
        self._happened(ticket, "Create", CUSTOMER, parts=list(parts))
        return ticket

    def change(self, ticket: Ticket, *, by: str = AGENT, **values: str) -> None:
        for name, value in values.items():
            setattr(ticket, name, value)
            self._happened(ticket, "Status" if name == "status" else "Set", by, name.capitalize())

    def comment(self, ticket: Ticket, text: str, *, by: str = AGENT) -> None:
        self._happened(ticket, "Comment", by, parts=[("text/plain", text)])

    def notes(self, ticket: Ticket) -> list[str]:
        return [each.parts[0][1] for each in ticket.transactions if each.kind == "Comment"]

    def webhook(self, ticket: Ticket, secret: str, *, seconds: int | None = None) -> Webhook:
        """Return what the scrip sends of the newest transaction."""
        newest = ticket.transactions[-1]
        said: dict[str, object] = {
            "id": ticket.id,
            "queue": ticket.queue,
            "priority": ticket.priority,
            "status": ticket.status,
            "custom_fields": ticket.custom,
            "created": _iso(ticket.transactions[0].seconds),
            "changed": _iso(ticket.changed),
            "actor": newest.creator,
        }
        if newest.kind == "Create":
            said |= {"title": ticket.subject, "description": newest.parts[0][1] if newest.parts else ""}
        body = json.dumps(said).encode()
        identifier, timestamp = f"rt-{newest.id}-{ticket.id}", str(self.now() if seconds is None else seconds)
        digest = hmac.digest(secret.encode(), f"{identifier}.{timestamp}.".encode() + body, "sha256")
        headers = {
            "webhook-id": identifier,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
        return Webhook(headers, body)

    def _happened(self, ticket: Ticket, kind: str, by: str, name: str = "", **more: Any) -> None:  # noqa: ANN401
        number = next(self._transaction_ids)
        ticket.transactions.append(Transaction(number, kind, by, self.now(), name, **more))

    # The REST API.

    def _show(self, _: Request, ref: str) -> Reply:
        ticket = self.tickets.get(int(ref))
        if ticket is None:
            return self.not_found()
        ticket = self.tickets[ticket.merged_into or ticket.id]
        queue = {"id": str(1 + self.queues.index(ticket.queue)), "type": "queue"}
        custom = [{"name": name, "values": [value] if value else []} for name, value in ticket.custom.items()]
        return Reply(200, _shown(ticket) | {"Queue": queue, "CustomFields": custom}, {"ETag": ticket.etag()})

    def _update(self, request: Request, ref: str) -> Reply:
        ticket = self.tickets[int(ref)]
        if request.headers.get("if-match", ticket.etag()) != ticket.etag():
            return Reply(412, {"message": "Precondition Failed"})
        if not self.may_modify:
            return Reply(200, [f"Ticket {ref}: Zugriff verweigert"])
        content = request.json()
        if "Priority" in content:
            word = str(content["Priority"])
            self.change(ticket, by=PROGRAM, priority=word if word.isdecimal() else "0")
        if content.get("Queue") in self.queues:
            self.change(ticket, by=PROGRAM, queue=content["Queue"])
        for name, value in content.get("CustomFields", {}).items():
            ticket.custom[name] = value
            self._happened(ticket, "CustomField", PROGRAM)
        return Reply(200, ["whatever, in the user's language"])

    def _comment(self, request: Request, ref: str) -> Reply:
        content = request.json()
        if content.get("ContentType") != "text/plain":
            return Reply(400, {"message": "ContentType is a required field for application/json"})
        self.comment(self.tickets[int(ref)], content["Content"], by=PROGRAM)
        return Reply(201, ["Comments added"])

    def _find_attachments(self, request: Request, ref: str) -> Reply:
        ((condition),) = json.loads(request.query["query"])
        assert (condition["field"], condition["operator"]) == ("Content", "LIKE")
        parts = [part for each in self.tickets[int(ref)].transactions for part in each.parts]
        return Reply(200, {"items": [{"id": "1"} for _, text in parts if condition["value"] in text][:1]})

    def _show_queue(self, _: Request, ref: str) -> Reply:
        return Reply(200, {"id": int(ref), "Name": self.queues[int(ref) - 1]})

    def _show_queues(self, request: Request) -> Reply:
        names = [{"id": str(number), "Name": name} for number, name in enumerate(self.queues, start=1)]
        return Reply(200, {"items": _page(names, request)})

    def _search(self, request: Request) -> Reply:
        found = re.fullmatch(r"LastUpdated >= '(\S+Z)'", request.query["query"])
        assert found is not None, request.query
        assert request.query["orderby"] == "LastUpdated"
        tickets = [
            _shown(ticket) | {"Queue": {"Name": ticket.queue}, "CustomFields": "", "id": str(ticket.id)}
            for ticket in sorted(self.tickets.values(), key=lambda ticket: (ticket.changed, ticket.id))
            if _iso(ticket.changed) >= found[1] and ticket.merged_into is None and ticket.status != "deleted"
        ]
        return Reply(200, {"items": _page(tickets, request)})

    def _show_transactions(self, request: Request) -> Reply:
        condition = request.query["query"]
        wanted = {int(ref) for ref in re.findall(r"ObjectId = (\d+)", condition)}
        since = re.search(r"Created >= '(\S+)'", condition)
        items = [
            {"id": str(each.id), "Type": each.kind, "ObjectId": str(ticket.id), "Creator": {"id": each.creator}}
            for ticket in self.tickets.values()
            for each in ticket.transactions
            if ticket.id in wanted
            and (each.kind in {"Create", "Status", "CustomField"} or each.changed in {"Priority", "Queue"})
            and (since is None or _iso(each.seconds) >= since[1])
        ]
        assert request.query["order"] == "DESC"
        return Reply(200, {"items": _page(sorted(items, key=lambda item: -int(str(item["id"]))), request)})

    def _show_attachments(self, _: Request, ref: str) -> Reply:
        parts = self._transaction(int(ref)).parts
        return Reply(
            200,
            {
                "items": [
                    {
                        "id": str(100 * int(ref) + number),
                        "ContentType": kind,
                        "Filename": "",
                        "ContentLength": str(len(text)),
                    }
                    for number, (kind, text) in enumerate(parts)
                ]
            },
        )

    def _show_attachment(self, _: Request, ref: str) -> Reply:
        transaction, number = divmod(int(ref), 100)
        _, text = self._transaction(transaction).parts[number]
        return Reply(200, {"id": int(ref), "Content": base64.encodebytes(text.encode()).decode()})

    def _transaction(self, number: int) -> Transaction:
        every = (each for ticket in self.tickets.values() for each in ticket.transactions)
        return next(each for each in every if each.id == number)


def _shown(ticket: Ticket) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "Subject": ticket.subject,
        "Status": ticket.status,
        "Priority": ticket.priority,
        "Created": _iso(ticket.transactions[0].seconds),
        "LastUpdated": _iso(ticket.changed),
        "LastUpdatedBy": {"id": ticket.transactions[-1].creator},
    }


def _page(items: list[dict[str, Any]], request: Request) -> list[dict[str, Any]]:
    size = min(int(request.query.get("per_page", "20")), 100)
    start = (int(request.query.get("page", "1")) - 1) * size
    return items[start : start + size]


def _iso(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"

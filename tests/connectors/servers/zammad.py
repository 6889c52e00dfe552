"""Zammad as its REST API v1 and its webhooks speak.

Searching is by a condition, which Zammad answers from its database; the full-text search, which needs
Elasticsearch, is not there. Names of priorities and groups are looked up as there: 422 for one that is unknown.
"""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.connectors.servers.dialect import Dialect, Reply, Request, Route
from tests.connectors.servers.webhook import Webhook, hub_signature, iso_time

OWN_ID = 42
PRIORITIES = ("1 low", "2 normal", "3 high")
SYSTEM_ID, CUSTOMER_ID, AGENT_ID = 1, 8, 3


@dataclass
class Ticket:
    id: int
    attributes: dict[str, Any]
    articles: list[dict[str, Any]] = field(default_factory=list)


class Zammad(Dialect):
    def __init__(
        self,
        token: str,
        *,
        groups: tuple[str, ...] = ("Users", "Billing", "Tech Support"),
        roles: tuple[str, ...] = ("Agent",),
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        super().__init__()
        self.token = token
        self.groups = groups
        self.roles = roles
        self.now_ms = now_ms
        self.tickets: dict[int, Ticket] = {}
        self._ids = itertools.count(81)
        self._article_ids = itertools.count(104)

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", "/api/v1/users/me", self.show_myself),
            Route("GET", "/api/v1/tickets/search", self.search),
            Route("GET", r"/api/v1/tickets/(?P<ref>\d+)", self.show_ticket),
            Route("PUT", r"/api/v1/tickets/(?P<ref>\d+)", self.update_ticket),
            Route("GET", r"/api/v1/ticket_articles/(?P<ref>\d+)", self.show_article),
            Route("GET", r"/api/v1/ticket_articles/by_ticket/(?P<ref>\d+)", self.show_articles),
            Route("GET", "/api/v1/ticket_priorities", self.show_priorities),
        )

    def is_authenticated(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Token token={self.token}"

    def unauthenticated(self) -> Reply:
        return Reply(401, {"error": "Can't find User for Token", "error_human": "Can't find User for Token"})

    def not_found(self) -> Reply:
        return Reply(404, {"error": "No route matches"})

    # What people do there.

    def create(self, title: str, body: str, *, content_type: str = "text/plain", **attributes: object) -> Ticket:
        number = next(self._ids)
        ticket = Ticket(
            number,
            {
                "title": title,
                "number": str(10000 + number),
                "priority": "2 normal",
                "group": "Users",
                "state": "new",
                "customer": "emily@example.com",
                "customer_id": CUSTOMER_ID,
                "updated_by_id": CUSTOMER_ID,
                "created_at": iso_time(self.now_ms(), "Z"),
                "updated_at": iso_time(self.now_ms(), "Z"),
                **attributes,
            },
        )
        self.tickets[number] = ticket
        self.add_article(ticket, body, content_type=content_type)
        return ticket

    def change(self, ticket: Ticket, *, by: int = AGENT_ID, **attributes: object) -> None:
        ticket.attributes |= {**attributes, "updated_by_id": by, "updated_at": iso_time(self.now_ms(), "Z")}

    def add_article(
        self, ticket: Ticket, body: str, *, content_type: str = "text/plain", sender: str = "Customer", **more: object
    ) -> dict[str, Any]:
        article = {
            "id": next(self._article_ids),
            "ticket_id": ticket.id,
            "body": body,
            "content_type": content_type,
            "sender": sender,
            "internal": False,
            **more,
        }
        ticket.articles.append(article)
        return article

    def webhook(self, ticket: Ticket, *, secret: str | None, article: dict[str, Any] | None = None) -> Webhook:
        """Return what a trigger's webhook sends, with the newest article unless another is given."""
        actor = ticket.attributes["updated_by_id"]
        named = {name: {"id": 1, "name": ticket.attributes[name]} for name in ("priority", "group")}
        people = {
            "customer": {"id": CUSTOMER_ID, "email": "emily@example.com", "login": "emily@example.com"},
            "updated_by": {"id": actor, "login": f"user-{actor}"},
        }
        content = {
            "ticket": shown(ticket) | named | people,
            "article": (ticket.articles[-1] if article is None else article),
        }
        body = json.dumps(content).encode()
        headers = {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Zammad User Agent",
            "x-zammad-trigger": "classify",
            "x-zammad-delivery": str(uuid.uuid4()),
        }
        return Webhook(headers | hub_signature(body, secret, "sha1"), body)

    # The REST API.

    def show_myself(self, _request: Request) -> Reply:
        groups = {name: ["full"] for name in self.groups}
        return Reply(content={"id": OWN_ID, "login": "classifier", "roles": list(self.roles), "groups": groups})

    def show_ticket(self, request: Request, ref: str) -> Reply:
        ticket = self.tickets.get(int(ref))
        if ticket is None:
            return Reply(404, {"error": f"Couldn't find Ticket with 'id'={ref}"})
        return Reply(content=shown(ticket, with_names=request.query.get("expand") == "true"))

    def update_ticket(self, request: Request, ref: str) -> Reply:
        ticket, changes = self.tickets.get(int(ref)), request.json()
        if ticket is None:
            return Reply(404, {"error": f"Couldn't find Ticket with 'id'={ref}"})
        article = changes.pop("article", None)
        for name, known in (("priority", PRIORITIES), ("group", self.groups)):
            if name in changes and changes[name] not in known:
                error = f"No lookup value found for '{name}': \"{changes[name]}\""
                return Reply(422, {"error": error, "error_human": error})
        self.change(ticket, by=OWN_ID, **changes)
        if article is not None:
            is_agent = "Agent" in self.roles
            article |= {"internal": article["internal"] and is_agent, "sender": "Agent" if is_agent else "Customer"}
            self.add_article(ticket, **article)
        return Reply(content=shown(ticket))

    def show_article(self, _request: Request, ref: str) -> Reply:
        articles = (article for ticket in self.tickets.values() for article in ticket.articles)
        article = next((article for article in articles if article["id"] == int(ref)), None)
        return Reply(404, {"error": "Couldn't find Ticket::Article"}) if article is None else Reply(content=article)

    def show_articles(self, _request: Request, ref: str) -> Reply:
        ticket = self.tickets.get(int(ref))
        return self.not_found() if ticket is None else Reply(content=ticket.articles)

    def search(self, request: Request) -> Reply:
        condition = "condition[ticket.updated_at]"
        query = request.query
        wanted = (query.get(f"{condition}[operator]"), query.get("sort_by"), query.get("order_by"))
        if wanted != ("after (absolute)", "updated_at", "asc") or query.get("expand") != "true" or "query" in query:
            return Reply(422, {"error": f"this search is not understood: {query}"})
        since, size = datetime.fromisoformat(query[f"{condition}[value]"]), min(int(query.get("per_page", "50")), 200)
        met = [
            shown(ticket)
            for ticket in sorted(self.tickets.values(), key=lambda ticket: str(ticket.attributes["updated_at"]))
            if datetime.fromisoformat(ticket.attributes["updated_at"]) >= since
        ]
        start = (int(query.get("page", "1")) - 1) * size
        return Reply(content=met[start : start + size])

    def show_priorities(self, _request: Request) -> Reply:
        return Reply(
            content=[
                {"id": number, "name": name, "active": True, "default_create": name == "2 normal"}
                for number, name in enumerate(PRIORITIES, start=1)
            ]
        )


def shown(ticket: Ticket, *, with_names: bool = True) -> dict[str, Any]:
    articles = [article["id"] for article in ticket.articles]
    content = {"id": ticket.id, **ticket.attributes, "article_ids": articles, "article_count": len(articles)}
    return content if with_names else {name: value for name, value in content.items() if name not in _NAMES}


_NAMES = frozenset({"priority", "group", "state", "customer"})

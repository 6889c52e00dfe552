"""Intercom as a test sees it: conversations, tickets, notes, teams, the searches, and the signed notifications.

After its public API specification (version 2.14) and the page on its webhooks; what is not needed here is left out.
"""

from __future__ import annotations

import itertools
import json
import math
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.connectors.servers.dialect import Dialect, Reply, Request, Route
from tests.connectors.servers.webhook import Webhook, hub_signature

ADMIN = "394051"
OWN = {"type": "admin", "id": ADMIN}
MIA = {"type": "admin", "id": "7"}
WORKFLOW = {"type": "bot", "id": "278"}
TEAMS = {"814865": "Billing", "814866": "Sales", "814867": "Tech Support"}
PRIORITIES = ("Low", "Medium", "High", "Urgent")
WINDOW_SECONDS = 10
MAX_PAGE = 150


@dataclass
class Thing:
    """A conversation or a ticket."""

    kind: str
    title: str
    text: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    team: int | None = None
    state: str = "open"  # of a ticket: the category of its state
    created_s: int = 0
    updated_s: int = 0
    delivered_as: str = "customer_initiated"
    parts: list[dict[str, object]] = field(default_factory=list)


class Intercom(Dialect):
    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token
        self.things: dict[str, Thing] = {}  # "conversations/1001": ...
        self._ids = itertools.count(1_001)

    def routes(self) -> tuple[Route, ...]:
        thing = r"/(?P<ref>(conversations|tickets)/\d+)"
        return (
            Route("GET", thing, self.show),
            Route("PUT", thing, self.change),
            Route("POST", rf"{thing}/reply", self.reply),
            Route("POST", rf"{thing}/parts", self.assign),
            Route("POST", "/(?P<kind>conversations|tickets)/search", self.search),
            Route("GET", "/teams", self.list_teams),
            Route("GET", "/ticket_types", self.list_ticket_types),
            Route("GET", "/me", self.me),
        )

    def is_authenticated(self, request: Request) -> bool:
        return request.bearer() == self.token

    def unauthenticated(self) -> Reply:
        return error(401, "unauthorized", "Access Token Invalid")

    def no_requests_left(self) -> Reply:
        reset = (int(time.time()) // WINDOW_SECONDS + 1) * WINDOW_SECONDS
        headers = {"X-RateLimit-Limit": "1667", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)}
        reply = error(429, "rate_limit_exceeded", "Exceeded rate limit of 1667 in 10_seconds")
        return Reply(reply.status, reply.content, headers)

    def not_found(self) -> Reply:
        return error(404, "not_found", "Resource Not Found")

    # What people do there.

    def converse(self, text: str, *, title: str = "", delivered_as: str = "customer_initiated") -> str:
        """Start a conversation; return its ref."""
        return self._add(Thing("conversation", title, f"<p>{text}</p>", delivered_as=delivered_as))

    def create(self, title: str, text: str) -> str:
        """Create a ticket; return its ref."""
        return self._add(Thing("ticket", title, text, team=0, state="submitted"))

    def change_by(
        self, author: dict[str, str], ref: str, *, team: str = "", state: str = "", **attributes: str
    ) -> None:
        """Change a conversation or a ticket as a person or a bot does."""
        thing = self.things[ref]
        thing.attributes |= attributes
        done = ["attribute_updated_by_admin"] if attributes else []
        if team:
            thing.team = int(team)
            done.append("assignment")
        if state:
            thing.state = state
            done.append("close")
        thing.parts += [{"type": f"{thing.kind}_part", "part_type": what, "author": author} for what in done]
        # Whatever happens within a second bears the same time; here nothing does, so that tests need not wait.
        thing.updated_s = max(int(time.time()), thing.updated_s + 1)

    def notes_of(self, ref: str) -> list[object]:
        return [part["body"] for part in self.things[ref].parts if part["part_type"] == "note"]

    # The API.

    def show(self, _request: Request, ref: str) -> Reply:
        return Reply(200, self.shape(ref)) if ref in self.things else self.not_found()

    def change(self, request: Request, ref: str) -> Reply:
        thing = self.things.get(ref)
        if thing is None:
            return self.not_found()
        asked = request.json()
        attributes = asked.get("ticket_attributes" if thing.kind == "ticket" else "custom_attributes", {})
        if set(attributes) - {"Priority"} or attributes.get("Priority", "Low") not in PRIORITIES:
            return error(400, "parameter_invalid", "Custom attribute is not known, or not its value")
        team = asked.get("assignee_id") if thing.kind == "ticket" else None
        if team is not None and (team not in TEAMS or str(asked.get("admin_id")) != ADMIN):
            return error(404, "assignee_not_found", "Assignee not found")
        self.change_by(OWN, ref, team=team or "", **attributes)
        return Reply(200, self.shape(ref))

    def reply(self, request: Request, ref: str) -> Reply:
        asked = request.json()
        if ref not in self.things:
            return self.not_found()
        if (asked["message_type"], asked["type"], str(asked["admin_id"])) != ("note", "admin", ADMIN):
            return error(422, "data_invalid", "only notes of an admin are known here")
        thing = self.things[ref]
        thing.parts.append({"type": "part", "part_type": "note", "body": asked["body"], "author": OWN})
        self.change_by(OWN, ref)
        return Reply(200, self.shape(ref))

    def assign(self, request: Request, ref: str) -> Reply:
        asked = request.json()
        if ref not in self.things:
            return self.not_found()
        if (asked["message_type"], asked["type"], str(asked["admin_id"])) != ("assignment", "team", ADMIN):
            return error(422, "data_invalid", "only assignments to a team are known here")
        if asked["assignee_id"] not in TEAMS:
            return error(404, "assignee_not_found", "Assignee not found")
        self.change_by(OWN, ref, team=asked["assignee_id"])
        return Reply(200, self.shape(ref))

    def search(self, request: Request, kind: str) -> Reply:
        asked = request.json()
        pagination = asked["pagination"]
        begin, *ends = asked["query"]["value"]
        if (begin["field"], begin["operator"]) != ("updated_at", ">") or pagination["per_page"] > MAX_PAGE:
            return error(400, "parameter_invalid", "this search is not known here")
        end = ends[0]["value"] if ends else math.inf
        found = [
            ref
            for ref, thing in self.things.items()
            if ref.startswith(f"{kind}/") and begin["value"] <= thing.updated_s <= end
        ]
        start = int(pagination.get("starting_after") or 0)
        stop = start + pagination["per_page"]
        pages = {"type": "pages", "next": {"starting_after": str(stop)} if stop < len(found) else None}
        without = {"conversation_parts", "ticket_parts"}
        page = [
            {key: value for key, value in self.shape(ref).items() if key not in without} for ref in found[start:stop]
        ]
        return Reply(200, {kind: page, "pages": pages})

    def list_teams(self, _request: Request) -> Reply:
        return Reply(200, {"type": "team.list", "teams": [{"id": id_, "name": name} for id_, name in TEAMS.items()]})

    def list_ticket_types(self, _request: Request) -> Reply:
        options = {"list_options": [{"label": label, "archived": False} for label in PRIORITIES]}
        attribute = {"name": "Priority", "data_type": "list", "input_options": options}
        return Reply(200, {"type": "list", "data": [{"ticket_type_attributes": {"type": "list", "data": [attribute]}}]})

    def me(self, _request: Request) -> Reply:
        return Reply(200, {"type": "admin", "id": ADMIN, "name": "Classifier", "app": {"id_code": "a86dr8yl"}})

    def shape(self, ref: str) -> dict[str, object]:
        """Return a conversation or a ticket as the API and the notifications show it."""
        thing, number = self.things[ref], ref.split("/")[1]
        times = {"created_at": thing.created_s, "updated_at": thing.updated_s}
        common = {"type": thing.kind, "id": number, "team_assignee_id": thing.team} | times
        if thing.kind == "ticket":
            texts = {"_default_title_": thing.title, "_default_description_": thing.text}
            return common | {
                "ticket_id": "34",
                "ticket_attributes": texts | thing.attributes,
                "ticket_state": {"type": "ticket_state", "category": thing.state},
                "open": thing.state != "resolved",
                "ticket_parts": {"type": "ticket_part.list", "ticket_parts": thing.parts},
            }
        author = {"type": "user", "id": "6762f1571bb69f9f2193bbbb", "email": "dana@customer.example"}
        return common | {
            "title": None,
            "source": {
                "type": "conversation",
                "subject": thing.title,
                "body": thing.text,
                "author": author,
                "delivered_as": thing.delivered_as,
            },
            "state": thing.state,
            "priority": "not_priority",
            "custom_attributes": dict(thing.attributes),
            "conversation_parts": {"type": "conversation_part.list", "conversation_parts": thing.parts},
        }

    def _add(self, thing: Thing) -> str:
        ref = f"{thing.kind}s/{next(self._ids)}"
        thing.created_s = thing.updated_s = int(time.time())
        self.things[ref] = thing
        return ref


def error(status: int, code: str, message: str) -> Reply:
    return Reply(
        status, {"type": "error.list", "request_id": "b68959ea", "errors": [{"code": code, "message": message}]}
    )


def signed(secret: str, topic: str, item: Mapping[str, object] | None, **more: object) -> Webhook:
    """Return a notification."""
    notification = {"type": "notification_event", "app_id": "a86dr8yl", "id": f"notif_{uuid.uuid4()}", "topic": topic}
    notification |= {"created_at": int(time.time()), "delivery_attempts": 1} | more
    return sign(secret, json.dumps(notification | {"data": {"type": "notification_event_data", "item": item}}).encode())


def sign(secret: str, body: bytes) -> Webhook:
    return Webhook({"content-type": "application/json", **hub_signature(body, secret, "sha1")}, body)

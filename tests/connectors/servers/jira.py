"""Jira Service Management as its REST API 2 and its webhooks speak, of Cloud and of Data Center.

Cloud searches at `/search/jql` by tokens of pages, Data Center at `/search` by offsets; each takes its own
credentials. A JQL that this server does not understand is refused, so that a test sees it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.connectors.servers.dialect import Dialect, Reply, Request, Route
from tests.connectors.servers.webhook import Webhook, hub_signature, iso_time

EMAIL = "classifier@example.com"
OWN_ACCOUNT = "557058:classifier"
PRIORITIES = ("Highest", "High", "Medium", "Low", "Lowest")
STATUSES = {"Waiting for support": "indeterminate", "Open": "new", "Resolved": "done"}
SELECT_FIELD = "customfield_10050"
NOT_SEEN = {"errorMessages": ["Issue does not exist or you do not have permission to see it."], "errors": {}}


@dataclass
class Issue:
    id: str
    key: str
    fields: dict[str, Any]
    is_request: bool = True  # False: made by an agent, so that the service desk's own API does not know it
    comments: list[dict[str, Any]] = field(default_factory=list)


class Jira(Dialect):
    def __init__(
        self,
        token: str,
        *,
        is_cloud: bool = True,
        components: tuple[str, ...] = ("Billing", "Tech Support"),
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        super().__init__()
        self.token = token
        self.is_cloud = is_cloud
        self.components = components
        self.now_ms = now_ms
        self.options = {str(number): name for number, name in enumerate(components, start=10100)}
        self.issues: dict[str, Issue] = {}
        self._ids = itertools.count(10001)

    def routes(self) -> tuple[Route, ...]:
        issue = r"/rest/api/2/issue/(?P<ref>[^/]+)"
        search = "/rest/api/2/search/jql" if self.is_cloud else "/rest/api/2/search"
        return (
            Route("GET", "/rest/api/2/myself", self.show_myself),
            Route("GET", issue, self.show_issue),
            Route("PUT", issue, self.edit_issue),
            Route("GET", f"{issue}/editmeta", self.show_fields),
            Route("GET", f"{issue}/comment", self.show_comments),
            Route("POST", f"{issue}/comment", self.add_comment),
            Route("POST", r"/rest/servicedeskapi/request/(?P<ref>[^/]+)/comment", self.add_request_comment),
            Route("GET", search, self.search),
        )

    def is_authenticated(self, request: Request) -> bool:
        return request.basic() == (EMAIL, self.token) if self.is_cloud else request.bearer() == self.token

    def not_found(self) -> Reply:
        return Reply(404, {"errorMessages": ["Not found"], "errors": {}})

    # What people do there.

    def create(self, summary: str, description: object, *, is_request: bool = True, **fields: object) -> Issue:
        number = str(next(self._ids))
        now = iso_time(self.now_ms(), "+0000")
        reporter = {"accountId": "qm:customer", "emailAddress": "ann@example.net", "accountType": "customer"}
        issue = Issue(
            number,
            f"SUP-{int(number) - 10000}",
            {
                "summary": summary,
                "description": description,
                "priority": {"id": "3", "name": "Medium"},
                "components": [],
                SELECT_FIELD: None,
                "status": status_called("Open"),
                "reporter": reporter,
                "created": now,
                "updated": now,
                **fields,
            },
            is_request=is_request,
        )
        self.issues[number] = issue
        return issue

    def change(self, issue: Issue, **fields: object) -> None:
        issue.fields |= {**fields, "updated": iso_time(self.now_ms(), "+0000")}

    def resolve(self, issue: Issue) -> None:
        self.change(issue, status=status_called("Resolved"))

    def webhook(
        self, issue: Issue, event: str = "jira:issue_updated", *, secret: str | None, actor: str = "qm:agent"
    ) -> Webhook:
        """Return what an admin webhook sends; without a secret it is not signed."""
        content = {
            "timestamp": self.now_ms(),
            "webhookEvent": event,
            "issue_event_type_name": "issue_generic",
            "user": {"accountId": actor, "accountType": "atlassian", "displayName": "Agent Smith"},
            "issue": shown(issue),
        }
        body = json.dumps(content).encode()
        headers = {
            "content-type": "application/json; charset=UTF-8",
            "x-atlassian-webhook-identifier": hashlib.sha256(body).hexdigest()[:32],
            "x-atlassian-webhook-flow": "Primary",
        }
        return Webhook(headers | hub_signature(body, secret, "sha256"), body)

    # The REST API.

    def found(self, ref: str) -> Issue | None:
        return self.issues.get(ref) or next((issue for issue in self.issues.values() if issue.key == ref), None)

    def show_myself(self, _request: Request) -> Reply:
        own = {"accountId": OWN_ACCOUNT} if self.is_cloud else {"key": OWN_ACCOUNT, "name": "classifier"}
        return Reply(content=own | {"emailAddress": EMAIL, "timeZone": "Asia/Tokyo"})

    def show_issue(self, request: Request, ref: str) -> Reply:
        issue = self.found(ref)
        return Reply(404, NOT_SEEN) if issue is None else Reply(content=shown(issue, request.query.get("fields")))

    def edit_issue(self, request: Request, ref: str) -> Reply:
        issue = self.found(ref)
        if issue is None:
            return Reply(404, NOT_SEEN)
        changes = request.json()["fields"]
        errors = {name: error for name, value in changes.items() if (error := self.error_of(name, value))}
        if errors:
            return Reply(400, {"errorMessages": [], "errors": errors})
        if SELECT_FIELD in changes:
            changes[SELECT_FIELD] |= {"value": self.options[changes[SELECT_FIELD]["id"]]}
        self.change(issue, **changes)
        return Reply(204)

    def error_of(self, name: str, value: Any) -> str | None:  # noqa: ANN401  # whatever the client sent
        match name, value:
            case "priority", {"name": str(called)} if called in PRIORITIES:
                return None
            case "components", [{"name": str(called)}] if called in self.components:
                return None
            case str(called), {"id": str(option)} if called == SELECT_FIELD and option in self.options:
                return None
            case "priority" | "components", _:
                return f"The {name} selected is invalid."
        return f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."

    def show_fields(self, _request: Request, ref: str) -> Reply:
        if self.found(ref) is None:
            return Reply(404, NOT_SEEN)
        options = [{"id": number, "value": called} for number, called in self.options.items()]
        named = [{"id": number, "name": called} for number, called in self.options.items()]
        priorities = [{"id": str(number), "name": called} for number, called in enumerate(PRIORITIES, start=1)]
        return Reply(
            content={
                "fields": {
                    "priority": {"schema": {"type": "priority"}, "allowedValues": priorities},
                    "components": {"schema": {"type": "array", "items": "component"}, "allowedValues": named},
                    SELECT_FIELD: {"schema": {"type": "option"}, "allowedValues": options},
                }
            }
        )

    def show_comments(self, request: Request, ref: str) -> Reply:
        issue = self.found(ref)
        if issue is None:
            return Reply(404, NOT_SEEN)
        comments = issue.comments[::-1] if request.query.get("orderBy") == "-created" else issue.comments
        start, most = int(request.query.get("startAt", "0")), int(request.query.get("maxResults", "5000"))
        return Reply(content={"comments": comments[start : start + most], "total": len(comments), "startAt": start})

    def add_comment(self, request: Request, ref: str) -> Reply:
        content = request.json()
        internal = {"key": "sd.public.comment", "value": {"internal": True}} in content.get("properties", [])
        return self.commented(ref, content["body"], is_public=not internal)

    def add_request_comment(self, request: Request, ref: str) -> Reply:
        issue, content = self.found(ref), request.json()
        if issue is None or not issue.is_request:
            return Reply(404, {"errorMessage": "The customer request could not be found."})
        return self.commented(ref, content["body"], is_public=content["public"])

    def commented(self, ref: str, body: str, *, is_public: bool) -> Reply:
        issue = self.found(ref)
        if issue is None:
            return Reply(404, NOT_SEEN)
        number = str(len(issue.comments) + 1)
        issue.comments.append({"id": number, "body": body, "jsdPublic": is_public})
        self.change(issue)
        return Reply(201, {"id": number, "body": body, "public": is_public})

    def search(self, request: Request) -> Reply:
        jql = re.fullmatch(
            r'(?:project = "(?P<project>\w+)" AND )?updated >= (?P<since>\d+) ORDER BY updated (?P<order>ASC|DESC)',
            request.query.get("jql", ""),
        )
        if jql is None:
            return Reply(400, {"errorMessages": ["Error in the JQL Query"], "errors": {}})
        # Its index knows no milliseconds.
        since = iso_time(int(jql["since"]) // 1000 * 1000, "+0000")
        met = sorted(
            (
                issue
                for issue in self.issues.values()
                if issue.fields["updated"] >= since and issue.key.startswith(jql["project"] or "")
            ),
            key=lambda issue: str(issue.fields["updated"]),
            reverse=jql["order"] == "DESC",
        )
        start = int(request.query.get("nextPageToken" if self.is_cloud else "startAt", "0"))
        end = start + int(request.query.get("maxResults", "50"))
        page = {"issues": [shown(issue, request.query.get("fields")) for issue in met[start:end]]}
        if not self.is_cloud:
            return Reply(content=page | {"startAt": start, "total": len(met)})
        return Reply(content=page | ({"nextPageToken": str(end)} if end < len(met) else {"isLast": True}))


def status_called(name: str) -> dict[str, Any]:
    return {"name": name, "statusCategory": {"key": STATUSES[name]}}


def shown(issue: Issue, names: str | None = None) -> dict[str, Any]:
    fields = issue.fields if names is None else {name: issue.fields.get(name) for name in names.split(",")}
    return {"id": issue.id, "key": issue.key, "self": f"/rest/api/2/issue/{issue.id}", "fields": dict(fields)}

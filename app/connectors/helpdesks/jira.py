"""Jira Service Management: Cloud and Data Center, which both speak REST API 2, where rich text is plain.

https://developer.atlassian.com/cloud/jira/platform/webhooks/ and .../rest/v2/ describe what is said and asked here,
https://developer.atlassian.com/cloud/jira/service-desk/rest/ the internal comments.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.api import RefusedError, path_part
from app.connectors.helpdesk import DEPARTMENT, PRIORITY, Helpdesk, OptionError, Options
from app.connectors.helpdesks.jira_fields import KNOWN, field_value, text_of, word_of, words_of
from app.connectors.helpdesks.paging import Page, by_time_of_change
from app.connectors.json_content import as_milliseconds, as_text, at_pointer, json_object, required_list, required_text
from app.connectors.sighting import Sighting, UnreadableError
from app.connectors.signatures import has_secret, is_signed

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery
    from app.connectors.signatures import Secrets

_ISSUE: Final = "/rest/api/2/issue"
_EVENTS: Final = ("jira:issue_created", "jira:issue_updated")
_TEXT: Final = ("summary", "description")
_STATE: Final = ("status", "created", "updated")
_PROJECT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
# Automation rules and other apps are users of their own, of this type.
_APP: Final = "app"
_NOT_FOUND: Final = 404
_ISSUES_A_PAGE: Final = 100
# Ours is among the newest, and twenty of 32,767 characters are less than an answer may have.
_COMMENTS_LOOKED_AT: Final = 20
# What begins a link or a macro in Jira's markup.
_ESCAPED: Final = str.maketrans({"[": "\\[", "{": "\\{"})
_INTERNAL: Final = ({"key": "sd.public.comment", "value": {"internal": True}},)


class JiraHelpdesk(Helpdesk):
    """Webhooks of an administrator are signed; automation rules send the secret in a header of their own."""

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        PRIORITY: {"Urgent": "Highest", "High": "High", "Medium": "Medium", "Low": "Low"}
    }
    fields: ClassVar[Mapping[str, str]] = {PRIORITY: "priority", DEPARTMENT: "components"}
    # A request has the default of its project's priorities, which is Medium where nobody changed that.
    unset: ClassVar[Mapping[str, Sequence[str | None]]] = {PRIORITY: (None, "Medium"), DEPARTMENT: (None,)}
    not_people: ClassVar[frozenset[str]] = frozenset({_APP})
    calls_per_minute: ClassVar[int] = 300
    option_names: ClassVar[frozenset[str]] = frozenset({"project"})

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        project = options.others.get("project")
        if project is not None and not (isinstance(project, str) and _PROJECT.fullmatch(project)):
            raise OptionError(f"project must be the key of a project, such as SUP, not {project!r}")
        self._project = None if project is None else project.upper()
        self._state_fields = ",".join((*_STATE, *options.fields.values()))

    def is_authentic(self, delivery: Delivery, secrets: Secrets) -> bool:
        signature = delivery.headers.get("x-hub-signature")
        if signature is None:
            return has_secret(delivery, secrets)
        method, _, digest = signature.partition("=")
        return method == "sha256" and is_signed(delivery.body, digest, secrets, digest="sha256")

    def delivery_id(self, delivery: Delivery) -> str | None:
        return delivery.headers.get("x-atlassian-webhook-identifier")

    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        content = json_object(delivery.body)
        if content.get("webhookEvent", _EVENTS[0]) not in _EVENTS:
            return []
        # A rule may send the issue alone.
        issue = content.get("issue", content)
        key = as_text(at_pointer(issue, "/key"))
        if key is not None and self._project not in {None, key.rpartition("-")[0].upper()}:
            return []
        user = content.get("user")
        is_app = at_pointer(user, "/accountType") == _APP
        people = (as_text(at_pointer(user, pointer)) for pointer in ("/accountId", "/key", "/name"))
        return [self._sighting(issue, actor=_APP if is_app else next((name for name in people if name), None))]

    def _sighting(self, issue: Any, *, actor: str | None = None) -> Sighting:  # noqa: ANN401 - whatever was said
        fields = at_pointer(issue, "/fields")
        if not isinstance(fields, dict):
            raise UnreadableError("issue.fields is missing")
        is_told = all(name in fields for name in _TEXT)
        category = as_text(at_pointer(fields, "/status/statusCategory/key"))
        return Sighting(
            ref=required_text(at_pointer(issue, "/id"), "issue.id"),
            title=as_text(fields["summary"]) if is_told else None,
            description=text_of(fields["description"]) if is_told else None,
            values={head: word_of(fields[name]) for head, name in self.options.fields.items() if name in fields},
            created_ms=as_milliseconds(fields.get("created")),
            # The time of the webhook is later than that of the change, and so would hide the changes between the two.
            changed_ms=as_milliseconds(fields.get("updated")),
            actor=actor,
            is_closed=None if category is None else category == "done",
        )

    def authorization(self, token: str) -> Mapping[str, str]:
        # An API token of Cloud goes with the e-mail address of its user, a personal access token of Data Center alone.
        if ":" in token:
            return {"authorization": f"Basic {base64.b64encode(token.encode()).decode()}"}
        return {"authorization": f"Bearer {token}"}

    async def fetch(self, api: Api, ref: str) -> Sighting:
        query = {"fields": f"{','.join(_TEXT)},{self._state_fields}"}
        try:
            return self._sighting((await api.get(f"{_ISSUE}/{path_part(ref)}", query)).json())
        except RefusedError as error:
            if error.status == _NOT_FOUND:
                await _check_token(api)
            raise

    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        path = f"{_ISSUE}/{path_part(ref)}"
        changed_ms: int | None = None
        if change.values:
            names = {self.options.fields[head]: value for head, value in change.values.items()}
            kinds = {} if names.keys() <= KNOWN else await _fields_of(api, ref)
            fields = {name: field_value(name, value, kinds) for name, value in names.items()}
            answer = await api.call("PUT", path, body={"fields": fields})
            if answer.body:
                # A page to log in, perhaps; Jira itself answers without a body, so that it has to be asked what is now.
                answer.json()
            content = (await api.get(path, {"fields": "updated"})).json()
            changed_ms = as_milliseconds(at_pointer(content, "/fields/updated"))
        if change.note is not None:
            await _add_note(api, path_part(ref), change.note.translate(_ESCAPED))
        return changed_ms

    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        query: dict[str, str | int] = {"orderBy": "-created", "maxResults": _COMMENTS_LOOKED_AT}
        content = (await api.get(f"{_ISSUE}/{path_part(ref)}/comment", query)).json()
        comments = required_list(at_pointer(content, "/comments"), "what comments there are")
        # How Jira writes the brackets of the mark when it is asked, is for its markup to say.
        bare = marker.strip("[]")
        return any(bare in (text_of(at_pointer(comment, "/body")) or "") for comment in comments)

    async def changed_since(self, api: Api, since_ms: int) -> AsyncIterator[Sighting]:
        await _check_token(api)
        async for sighting in by_time_of_change(partial(self._page, api), since_ms):
            yield sighting

    async def _page(self, api: Api, since_ms: int, name: str | None) -> Page:
        """Return issues that changed since then, without their text: a page of descriptions may be too large."""
        content = await self._found(api, f"updated >= {since_ms} ORDER BY updated ASC", _ISSUES_A_PAGE, name)
        issues = required_list(at_pointer(content, "/issues"), "what changed")
        following = as_text(at_pointer(content, "/nextPageToken"))
        total, start = at_pointer(content, "/total"), at_pointer(content, "/startAt")
        if isinstance(total, int) and isinstance(start, int) and start + len(issues) < total:
            following = str(start + len(issues))
        return Page([self._sighting(issue) for issue in issues], following)

    async def _found(self, api: Api, condition: str, most: int, name: str | None = None) -> Any:  # noqa: ANN401 - JSON
        # Times in milliseconds are the same everywhere; others are of the time zone of the token's user.
        jql = condition if self._project is None else f'project = "{self._project}" AND {condition}'
        query: dict[str, str | int] = {"jql": jql, "fields": self._state_fields, "maxResults": most}
        try:
            tokens = {} if name is None else {"nextPageToken": name}
            return (await api.get("/rest/api/2/search/jql", query | tokens)).json()
        except RefusedError as error:
            if error.status != _NOT_FOUND:
                raise
        # Data Center searches elsewhere.
        return (await api.get("/rest/api/2/search", query | {"startAt": name or 0})).json()

    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        """Return what the newest issue may be changed to: which values there are, depends on its project and type."""
        await _check_token(api)
        found = await self._found(api, "updated >= 0 ORDER BY updated DESC", 1)
        ref = as_text(at_pointer(required_list(at_pointer(found, "/issues"), "the newest issue"), "/0/id"))
        if ref is None:
            return {}
        kinds = await _fields_of(api, ref)
        words = {head: words_of(kinds.get(name)) for head, name in self.options.fields.items()}
        return {head: values for head, values in words.items() if values is not None}


async def _check_token(api: Api) -> None:
    """Raise ``UnavailableError`` where the token is not taken.

    Elsewhere Jira may take a wrong one for nobody's: whom it shows no issue, or an empty list of them.
    """
    await api.get("/rest/api/2/myself")


async def _fields_of(api: Api, ref: str) -> Mapping[str, Any]:
    """Return what each field of an issue may be changed to, by its name."""
    fields = at_pointer((await api.get(f"{_ISSUE}/{path_part(ref)}/editmeta")).json(), "/fields")
    return {name: kind for name, kind in fields.items() if isinstance(kind, dict)} if isinstance(fields, dict) else {}


async def _add_note(api: Api, ref: str, text: str) -> None:
    try:
        answer = await api.call(
            "POST", f"/rest/servicedeskapi/request/{ref}/comment", body={"body": text, "public": False}
        )
    except RefusedError as error:
        if error.status != _NOT_FOUND:
            raise
        # An issue that an agent made is no customer's request; what keeps its comments internal is a property.
        answer = await api.call("POST", f"{_ISSUE}/{ref}/comment", body={"body": text, "properties": _INTERNAL})
    answer.json()

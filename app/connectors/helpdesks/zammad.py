"""Zammad: signed webhooks of its triggers, and its REST API version 1.

https://admin-docs.zammad.org/en/latest/manage/webhook.html and https://docs.zammad.org/en/latest/api/intro.html
describe both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from app.connectors.api import RefusedError, path_part
from app.connectors.helpdesk import DEPARTMENT, PRIORITY, Helpdesk
from app.connectors.helpdesks.paging import Page, by_time_of_change
from app.connectors.json_content import as_milliseconds, as_text, at_pointer, json_object, required_list, required_text
from app.connectors.sighting import Sighting
from app.connectors.signatures import is_signed

if TYPE_CHECKING:
    from app.connectors.api import Api
    from app.connectors.sighting import Change, Delivery
    from app.connectors.signatures import Secrets

_TICKETS: Final = "/api/v1/tickets"
_ARTICLES: Final = "/api/v1/ticket_articles"
# Names instead of numbers.
_EXPAND: Final = {"expand": "true"}
# The user who is nobody: its rules, and what comes by mail.
_SYSTEM: Final = "1"
# A state of a site's own may be called "closed successful".
_CLOSED: Final = "closed"
_TICKETS_A_PAGE: Final = 100
_ARTICLES_LOOKED_AT: Final = 20


class ZammadHelpdesk(Helpdesk):
    """``fields`` may name attributes of a site's own beside ``priority`` and ``group``."""

    words: ClassVar[Mapping[str, Mapping[str, str]]] = {
        PRIORITY: {"Urgent": "3 high", "High": "3 high", "Medium": "2 normal", "Low": "1 low"}
    }
    fields: ClassVar[Mapping[str, str]] = {PRIORITY: "priority", DEPARTMENT: "group"}
    unset: ClassVar[Mapping[str, Sequence[str | None]]] = {PRIORITY: (None, "2 normal"), DEPARTMENT: (None, "Users")}
    not_people: ClassVar[frozenset[str]] = frozenset({_SYSTEM})
    calls_per_minute: ClassVar[int] = 300

    def is_authentic(self, delivery: Delivery, secrets: Secrets) -> bool:
        method, _, digest = delivery.headers.get("x-hub-signature", "").partition("=")
        return method == "sha1" and is_signed(delivery.body, digest, secrets, digest="sha1")

    def delivery_id(self, delivery: Delivery) -> str | None:
        return delivery.headers.get("x-zammad-delivery")

    def read(self, delivery: Delivery) -> Sequence[Sighting]:
        content = json_object(delivery.body)
        ticket, article = content.get("ticket"), content.get("article")
        is_first = as_text(at_pointer(article, "/id")) == _first_article(ticket) is not None
        return [self._sighting(ticket, article if is_first else None)]

    def _sighting(self, ticket: Any, article: Any = None) -> Sighting:  # noqa: ANN401 - whatever was said
        """Return what is said of a ticket; ``article`` is its first one, without which its text is not known."""
        named = ticket if isinstance(ticket, dict) else {}
        state = _word(named.get("state"))
        return Sighting(
            ref=required_text(named.get("id"), "ticket.id"),
            title=None if article is None else as_text(named.get("title")),
            description=None if article is None else as_text(at_pointer(article, "/body")),
            values={head: _word(named[name]) for head, name in self.options.fields.items() if name in named},
            created_ms=as_milliseconds(named.get("created_at")),
            changed_ms=as_milliseconds(named.get("updated_at")),
            actor=as_text(named.get("updated_by_id")),
            is_closed=None if state is None else state.casefold().startswith(_CLOSED),
        )

    def authorization(self, token: str) -> Mapping[str, str]:
        return {"authorization": f"Token token={token}"}

    async def fetch(self, api: Api, ref: str) -> Sighting:
        ticket = await self._ticket(api, ref)
        first = _first_article(ticket)
        article = {} if first is None else (await api.get(f"{_ARTICLES}/{path_part(first)}")).json()
        return self._sighting(ticket, article)

    async def _ticket(self, api: Api, ref: str) -> Any:  # noqa: ANN401 - JSON
        return (await api.get(f"{_TICKETS}/{path_part(ref)}", _EXPAND)).json()

    async def write(self, api: Api, ref: str, change: Change) -> int | None:
        body: dict[str, object] = {self.options.fields[head]: value for head, value in change.values.items()}
        if change.note is not None:
            await _check_agent(api)
            body["article"] = {
                "subject": "Ticket classifier",
                "body": change.note,
                "content_type": "text/plain",
                "type": "note",
                "internal": True,
            }
        content = (await api.call("PUT", f"{_TICKETS}/{path_part(ref)}", body=body)).json()
        return as_milliseconds(at_pointer(content, "/updated_at"))

    async def has_note(self, api: Api, ref: str, marker: str) -> bool:
        # All articles of a ticket at once may be more than an answer may have.
        for article in _article_ids(await self._ticket(api, ref))[: -_ARTICLES_LOOKED_AT - 1 : -1]:
            content = (await api.get(f"{_ARTICLES}/{article}")).json()
            if marker in (as_text(at_pointer(content, "/body")) or ""):
                return True
        return False

    def changed_since(self, api: Api, since_ms: int) -> AsyncIterator[Sighting]:
        return by_time_of_change(partial(self._page, api), since_ms)

    async def _page(self, api: Api, since_ms: int, name: str | None) -> Page:
        """Return tickets that changed since then, without their text, which would be a call for each."""
        number = int(name or 1)
        # A condition is looked up in the database; a query would need Elasticsearch, and be behind.
        query: dict[str, str | int] = {
            "condition[ticket.updated_at][operator]": "after (absolute)",
            "condition[ticket.updated_at][value]": datetime.fromtimestamp(since_ms / 1000, UTC).isoformat(),
            "sort_by": "updated_at",
            "order_by": "asc",
            "per_page": _TICKETS_A_PAGE,
            "page": number,
        }
        tickets = required_list((await api.get(f"{_TICKETS}/search", _EXPAND | query)).json(), "what changed")
        following = str(number + 1) if len(tickets) == _TICKETS_A_PAGE else None
        return Page([self._sighting(ticket) for ticket in tickets], following)

    async def choices(self, api: Api) -> Mapping[str, frozenset[str]]:
        """Return priorities, and the groups that the token's user works in: others it could not write to again."""
        answer = await api.get("/api/v1/ticket_priorities")
        priorities = required_list(answer.json(), "what priorities there are")
        names = (_word(item) for item in priorities if at_pointer(item, "/active") is not False)
        found = {"priority": frozenset(name for name in names if name), "group": frozenset(await _groups(api))}
        return {head: found[name] for head, name in self.options.fields.items() if name in found}


async def _groups(api: Api) -> Mapping[str, Any]:
    groups = at_pointer((await api.get("/api/v1/users/me", _EXPAND)).json(), "/groups")
    return groups if isinstance(groups, dict) else {}


async def _check_agent(api: Api) -> None:
    """Raise ``RefusedError`` unless the token's user is an agent: what others write, the customer reads."""
    if not await _groups(api):
        raise RefusedError("the token's user works in no group, and only agents' notes are internal", 0)


def _article_ids(ticket: object) -> list[int]:
    """Return the ids of a ticket's articles, in the order in which they came."""
    ids = at_pointer(ticket, "/article_ids")
    return sorted(number for number in ids if isinstance(number, int)) if isinstance(ids, list) else []


def _first_article(ticket: object) -> str | None:
    return as_text(next(iter(_article_ids(ticket)), None))


def _word(value: object) -> str | None:
    """Return a value as text: a webhook describes priority and group, the API names them."""
    return as_text(value.get("name") if isinstance(value, dict) else value)

"""What happened to tickets of Request Tracker: who changed them, and the text that they came with."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from app.connectors.api import path_part
from app.connectors.json_content import as_text, at_pointer, required_list, required_text
from app.connectors.sighting import UnreadableError

if TYPE_CHECKING:
    from app.connectors.api import Api

REST: Final = "/REST/2.0"
# The API has no larger pages.
PAGE_SIZE: Final = 100
_MAX_PAGES: Final = 20
_MAX_TEXT_BYTES: Final = 500_000
_MAX_DIGITS: Final = 12
# Not what people write to each other; in TransactionSQL.
_CHANGES: Final = (
    "(Type = 'Create' OR Type = 'Status' OR Type = 'CustomField'"
    " OR (Type = 'Set' AND (Field = 'Priority' OR Field = 'Queue')))"
)


def objects(content: object) -> list[dict[str, Any]]:
    """Return what a page of the API lists."""
    items = required_list(at_pointer(content, "/items"), "what there is")
    return [item for item in items if isinstance(item, dict)]


async def changes_of(api: Api, refs: Sequence[str], *, since: str | None = None) -> list[dict[str, Any]]:
    """Return what changed the values or the status of tickets, newest first; ``refs`` are numbers.

    Each has ``Type``, ``ObjectId``, which is the ticket's number, and ``Creator``.
    """
    tickets = " OR ".join(f"ObjectId = {ref}" for ref in refs)
    condition = f"ObjectType = 'RT::Ticket' AND ({tickets}) AND {_CHANGES}"
    query: dict[str, str | int] = {
        "query": condition if since is None else f"{condition} AND Created >= '{since}'",
        "fields": "Type,Creator,ObjectId",
        "orderby": "id",
        "order": "DESC",
        "per_page": PAGE_SIZE,
    }
    found: list[dict[str, Any]] = []
    for page in range(1, _MAX_PAGES + 1):
        items = objects((await api.get(f"{REST}/transactions", {**query, "page": page})).json())
        found += items
        if len(items) < PAGE_SIZE:
            break
    return found


async def text_of(api: Api, transaction: str) -> str | None:
    """Return the text that came with a transaction: plain, if there is one, else HTML; files are none."""
    query: dict[str, str | int] = {"fields": "ContentType,Filename,ContentLength", "orderby": "id"}
    parts = objects((await api.get(f"{REST}/transaction/{path_part(transaction)}/attachments", query)).json())
    texts = [part for part in parts if not part.get("Filename") and 0 < _length(part) <= _MAX_TEXT_BYTES]
    for kind in ("text/plain", "text/html"):
        part = next((part for part in texts if part.get("ContentType") == kind), None)
        if part is not None:
            return await _content(api, required_text(part.get("id"), "the attachment's id"))
    return None


def _length(part: dict[str, Any]) -> int:
    text = as_text(part.get("ContentLength")) or ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else 0


async def _content(api: Api, attachment: str) -> str:
    content = (await api.get(f"{REST}/attachment/{path_part(attachment)}")).json()
    try:
        return base64.b64decode(as_text(at_pointer(content, "/Content")) or "").decode("utf-8", "replace")
    except binascii.Error:
        raise UnreadableError("the text of a ticket is not base64") from None

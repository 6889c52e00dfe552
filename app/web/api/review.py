"""Everything under ``/review``: the queue of tickets that people are asked about, page by page or a few to work on."""

from __future__ import annotations

import re
import struct
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from fastapi import APIRouter

from app.errors import (
    INVALID_API_KEY,
    REVIEWER_KEY_REQUIRED,
    REVIEWERS_DISABLED,
    STORE_OFF,
    STORE_UNAVAILABLE,
    UNKNOWN_PREDICTION,
    VALIDATION_FAILED,
    ServiceError,
)
from app.limits.clients import Role
from app.web.api.direct_route import DirectRoute, send_json
from app.web.api.documentation import LIMITED_ERRORS
from app.web.api.json_body import JSON_BODY_ERRORS, read_json_body
from app.web.api.query import read_query
from app.web.api.review_bodies import ClaimedItems, ReviewClaim, ReviewItemBody, ReviewPage, ReviewQuery, SkippedItem
from app.web.api.store_access import store_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from app.limits.clients import Client
    from app.store.review_queue import Position, ReviewItem

_ERRORS: Final = (
    *LIMITED_ERRORS, INVALID_API_KEY, REVIEWER_KEY_REQUIRED, REVIEWERS_DISABLED, STORE_UNAVAILABLE, STORE_OFF,
)  # fmt: skip
_NOT_QUEUED: Final = "No prediction with this id has ever been in the review queue."

_IS_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_RANK: Final = struct.Struct(">d")
# A filter that fits few items looks at many, and must not make the store look as if it did not answer.
_LIST_SECONDS: Final = 20.0


async def _list(scope: Scope, _: Receive, send: Send) -> None:
    query = read_query(scope, ReviewQuery)
    store = store_of(scope["state"])
    from app.store.review_queue import Filters, review_page  # noqa: PLC0415 - not where there is no store

    ask = partial(
        review_page,
        filters=Filters(head=query.head, label=query.label, decision=query.decision),
        state=query.state,
        order=query.order,
        limit=query.limit,
        after=None if query.cursor is None else _position(query.cursor),
    )
    page = await store.run(ask, seconds=_LIST_SECONDS)
    next_cursor = None if page.end is None else _cursor(page.end)
    answer = ReviewPage(items=[_body(item) for item in page.items], next_cursor=next_cursor)
    await send_json(send, answer.model_dump_json().encode())


async def _claim(scope: Scope, receive: Receive, send: Send) -> None:
    claim = await read_json_body(scope, receive, ReviewClaim)
    store = store_of(scope["state"])
    from app.store.review_queue import LEASE_MS, claim_items  # noqa: PLC0415 - not where there is no store

    now_ms = time.time_ns() // 1_000_000
    reviewer = _reviewer(scope["state"]["client"])
    items = await store.run(partial(claim_items, reviewer=reviewer, count=claim.count, now_ms=now_ms))
    answer = ClaimedItems(items=[_body(item) for item in items], leased_until=_time(now_ms + LEASE_MS))
    await send_json(send, answer.model_dump_json().encode())


async def _skip(scope: Scope, _: Receive, send: Send) -> None:
    prediction_id = scope["path_params"]["prediction_id"].lower()
    store = store_of(scope["state"])
    from app.store.review_queue import skip_item  # noqa: PLC0415 - not where there is no store

    reviewer = _reviewer(scope["state"]["client"])
    if not _IS_ID(prediction_id) or not await store.run(
        partial(skip_item, prediction_id=prediction_id, reviewer=reviewer)
    ):
        raise ServiceError(UNKNOWN_PREDICTION, _NOT_QUEUED)
    await send_json(send, SkippedItem(prediction_id=prediction_id).model_dump_json().encode())


def _reviewer(client: Client) -> str:
    """Return whose items are leased: the name of the key, or one for all admins, or for all on this machine."""
    return client.name or ("admin" if client.role is Role.ADMIN else "local")


def _body(item: ReviewItem) -> ReviewItemBody:
    return ReviewItemBody.model_validate(
        {
            "prediction_id": item.prediction_id,
            "ticket_id": item.ticket_id,
            "title": item.title,
            "description": item.description,
            "received_at": _time(item.received_ms),
            "is_audit": item.is_audit,
            "predictions": item.predictions,
        }
    )


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _cursor(position: Position) -> str:
    return f"{_RANK.pack(position.rank).hex()}{UUID(position.prediction_id).hex}"


def _position(cursor: str) -> Position:
    from app.store.review_queue import Position  # noqa: PLC0415 - not where there is no store

    (rank,) = _RANK.unpack(bytes.fromhex(cursor[:16]))
    return Position(rank, str(UUID(hex=cursor[16:])))


router = APIRouter(
    tags=["review"],
    routes=[
        DirectRoute(
            "/review",
            _list,
            method="GET",
            name="review",
            summary="List what waits to be judged, or was judged",
            query_model=ReviewQuery,
            response_model=ReviewPage,
            errors=(*_ERRORS, VALIDATION_FAILED),
        ),
        DirectRoute(
            "/review/claim",
            _claim,
            name="review_claim",
            summary="Take the next items, for ten minutes",
            request_model=ReviewClaim,
            response_model=ClaimedItems,
            errors=(*_ERRORS, *JSON_BODY_ERRORS),
        ),
        DirectRoute(
            "/review/{prediction_id}/skip",
            _skip,
            name="review_skip",
            summary="Put an item at the end of the queue",
            response_model=SkippedItem,
            errors=(*_ERRORS, UNKNOWN_PREDICTION),
        ),
    ],
)

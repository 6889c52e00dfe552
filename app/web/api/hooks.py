"""``POST /hooks/{name}``: deliveries of helpdesks, opened by their signatures and by no key."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from app.connectors.sighting import Delivery
from app.errors import (
    INVALID_SIGNATURE,
    MODEL_NOT_LOADED,
    RATE_LIMITED,
    STORE_UNAVAILABLE,
    UNKNOWN_CONNECTOR,
    ServiceError,
)
from app.web.api.direct_route import DirectRoute, send_json
from app.web.api.documentation import LIMITED_ERRORS
from app.web.api.json_body import read_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Receive, Scope, Send

    from app.connectors.hub import ConnectorHub
    from app.limits.clients import ClientIdentifier
    from app.limits.local import RateLimiter

HOOKS_PATH: Final = "/hooks/{name}"
HOOK_MAX_BODY_BYTES: Final = 1 << 20

_ERRORS: Final = (*LIMITED_ERRORS, INVALID_SIGNATURE, UNKNOWN_CONNECTOR, STORE_UNAVAILABLE, MODEL_NOT_LOADED)


class HookReceipt(BaseModel):
    """What became of a delivery."""

    model_config = ConfigDict(frozen=True)

    outcome: str = Field(
        description="classified, queued (to be fetched), recorded (as judgements), known, ignored, duplicate or review:"
        " a person should look"
    )
    predictions: dict[str, str] = Field(description="the prediction_id of each ticket that was classified")


def hook_route(*, clients: ClientIdentifier, limiter: RateLimiter) -> DirectRoute:
    """Return the route; of its requests, ``limiter`` counts only those that nobody signed who may."""
    return DirectRoute(
        HOOKS_PATH,
        partial(_take, clients=clients, limiter=limiter),
        name="take_delivery",
        summary="Take a delivery of a helpdesk's webhook",
        response_model=HookReceipt,
        errors=_ERRORS,
    )


async def _take(scope: Scope, receive: Receive, send: Send, *, clients: ClientIdentifier, limiter: RateLimiter) -> None:
    hub: ConnectorHub | None = scope["state"]["connectors"]
    if hub is None:
        raise ServiceError(UNKNOWN_CONNECTOR)
    connector = hub.receiver.connector(scope["path_params"]["name"])
    if scope["method"] == "HEAD":
        # Some helpdesks look whether anybody is there before they take the address, and sign nothing then.
        await send_json(send, b"")
        return
    headers, peer = scope["headers"], scope.get("client")
    delivery = Delivery(
        body=await read_body(receive),
        headers=_joined(headers),
        method=scope["method"],
        target=_target(scope),
        address=clients.address_of(headers, peer),
        received_ms=time.time_ns() // 1_000_000,
    )
    try:
        receipt = await hub.receiver.receive(connector, delivery)
    except ServiceError as error:
        if error.kind is INVALID_SIGNATURE:
            quota = await limiter.hit(clients.identify(headers, peer).identity)
            if not quota.allowed:
                raise ServiceError(RATE_LIMITED, headers={"Retry-After": str(quota.reset_seconds)}) from None
        raise
    answer = HookReceipt(outcome=receipt.outcome, predictions=dict(receipt.predictions))
    await send_json(send, answer.model_dump_json().encode())


def _joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by name; one that comes twice has both values (RFC 9110, section 5.3), which no signature is."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined


def _target(scope: Scope) -> str:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")

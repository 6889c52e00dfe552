"""What a helpdesk posts, and the forms in which several of them sign it and write the time."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True)
class Webhook:
    """A delivery; names of headers in lower case."""

    headers: dict[str, str]
    body: bytes


def hub_signature(body: bytes, secret: str | None, digest: str) -> dict[str, str]:
    """Return the header `X-Hub-Signature` of WebSub, or none where there is no secret."""
    if secret is None:
        return {}
    return {"x-hub-signature": f"{digest}={hmac.new(secret.encode(), body, digest).hexdigest()}"}


def iso_time(milliseconds: int, zone: str) -> str:
    """Return such as 2026-11-29T09:12:34.567Z; `zone` is how the helpdesk writes UTC."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}{zone}"

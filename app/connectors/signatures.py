"""Whether a delivery is from whom it says: over the raw bytes, in constant time, with any of several secrets; pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from app.config import IPNetwork
    from app.connectors.sighting import Delivery

Secrets = Sequence[bytes]
Encoding = Literal["hex", "base64"]

# Clocks differ, and deliveries take their time; older ones are replays.
WINDOW_MS: Final = 300_000
_STANDARD_PREFIX: Final = b"whsec_"


def is_signed(
    signed: bytes, signature: str, secrets: Secrets, *, digest: Literal["sha1", "sha256"], encoding: Encoding = "hex"
) -> bool:
    """Return whether ``signature`` is the HMAC of ``signed`` under one of ``secrets`` (RFC 2104)."""
    sent = signature.encode("utf-8", "surrogateescape")
    # All are tried, so that the time does not say which one it was.
    matches = [hmac.compare_digest(_encoded(hmac.digest(key, signed, digest), encoding), sent) for key in secrets]
    return any(matches)


def is_in_window(sent_ms: int | None, received_ms: int) -> bool:
    """Return whether a signed time is at most five minutes from the time of arrival, either way."""
    return sent_ms is not None and abs(received_ms - sent_ms) <= WINDOW_MS


def is_standard_webhook(delivery: Delivery, secrets: Secrets) -> bool:
    """Return whether a delivery is signed as the Standard Webhooks specification (1.0.0) says.

    ``webhook-signature`` is a list of ``v1,BASE64`` with the HMAC-SHA256 of ``ID.TIMESTAMP.BODY``; a secret that begins
    with ``whsec_`` is base64.
    """
    headers = delivery.headers
    identifier, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp", "")
    if not identifier or not is_in_window(seconds_to_ms(timestamp), delivery.received_ms):
        return False
    signed = standard_content(delivery)
    keys = [_standard_key(secret) for secret in secrets]
    versions = [part.partition(",") for part in headers.get("webhook-signature", "").split(" ")[:8]]
    matches = [
        is_signed(signed, signature, keys, digest="sha256", encoding="base64")
        for version, _, signature in versions
        if version == "v1"
    ]
    return any(matches)


def standard_content(delivery: Delivery) -> bytes:
    """Return what the Standard Webhooks specification has signed: ``ID.TIMESTAMP.BODY``."""
    headers = delivery.headers
    before = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}."
    return before.encode("utf-8", "surrogateescape") + delivery.body


def has_secret(delivery: Delivery, secrets: Secrets) -> bool:
    """Return whether a delivery that nobody signed carries one of ``secrets``, in any of the headers that take it."""
    sent = [value.encode("utf-8", "surrogateescape") for value in _sent_secrets(delivery)]
    matches = [hmac.compare_digest(_digest(secret), _digest(value)) for secret in secrets for value in sent]
    return any(matches)


def is_from(address: str, networks: Iterable[IPNetwork]) -> bool:
    """Return whether ``address`` is in one of ``networks``."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return any((mapped or parsed) in network for network in networks)


def seconds_to_ms(text: str) -> int | None:
    """Return a time in seconds since 1970, written in digits, in milliseconds; None if it is nothing of the kind."""
    return int(text) * 1000 if text.isascii() and text.isdecimal() and len(text) <= 12 else None  # noqa: PLR2004


def _encoded(digest: bytes, encoding: Encoding) -> bytes:
    return digest.hex().encode() if encoding == "hex" else base64.b64encode(digest)


def _standard_key(secret: bytes) -> bytes:
    if not secret.startswith(_STANDARD_PREFIX):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(_STANDARD_PREFIX), validate=True)
    except binascii.Error:
        return secret


def _digest(value: bytes) -> bytes:
    # Of one length, so that the comparison does not tell that of the secret.
    return hashlib.sha256(value).digest()


def _sent_secrets(delivery: Delivery) -> list[str]:
    found = []
    if "x-webhook-secret" in delivery.headers:
        found.append(delivery.headers["x-webhook-secret"])
    scheme, _, credentials = delivery.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        found.append(credentials.strip())
    elif scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(credentials.strip(), validate=True).decode()
        except ValueError:
            return found
        # Whatever the user's name is: some helpdesks want one.
        found.append(decoded.partition(":")[2])
    return found

"""What comes of a delivery in the hands of somebody who saw it on its way, and does not have the secret."""

from __future__ import annotations

import gzip
import random
import string
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.connectors.servers.webhook import Webhook

Headers = list[tuple[bytes, bytes]]
MAX_BODY_BYTES = 1 << 20
_PRINTABLE = string.ascii_letters + string.digits + "+/=,. -_"


@dataclass(frozen=True)
class Sent:
    """What arrives in its place; with ``is_same`` all that was signed is as it was."""

    name: str
    headers: Headers
    body: bytes
    is_same: bool = False


@dataclass(frozen=True)
class Genuine:
    """A delivery, the headers that say who sent it, and the one with its time."""

    webhook: Webhook
    signed_by: tuple[str, ...]
    timed_by: str | None
    signs_body: bool

    def headers(self) -> Headers:
        return [(name.encode(), value.encode("latin-1")) for name, value in self.webhook.headers.items()]


Change = Callable[[Genuine, random.Random], Sent | None]


def of_body(genuine: Genuine, rng: random.Random) -> Sent | None:
    """Change what is said."""
    if not genuine.signs_body:
        return None
    body, headers = genuine.webhook.body, genuine.headers()
    at = rng.randrange(len(body))
    changes: dict[str, Callable[[], bytes]] = {
        "flipped": lambda: body[:at] + bytes([body[at] ^ (1 << rng.randrange(8))]) + body[at + 1 :],
        "truncated": lambda: body[:at],
        "without its beginning": lambda: body[at + 1 :],
        "longer": lambda: body[:at] + rng.randbytes(rng.randint(1, 9)) + body[at:],
        "with blanks": lambda: body + b" " * rng.randint(1, 9),
        "with a line": lambda: body + rng.choice([b"\n", b"\r\n", b"\0"]),
        "twice": lambda: body + body,
        "swapped": lambda: body[at:] + body[:at],
        "in capitals": body.upper,
        "in small letters": body.swapcase,
        "in UTF-16": lambda: body.decode().encode("utf-16"),
        "in UTF-32": lambda: body.decode().encode("utf-32-le"),
        "with a mark": lambda: b"\xef\xbb\xbf" + body,
        "large": lambda: body + b" " * rng.choice([10_000, 500_000]),
        "too large": lambda: body + b" " * MAX_BODY_BYTES,
    }
    name = rng.choice(list(changes))
    changed = changes[name]()
    return None if changed == body else Sent(name, headers, changed)


def of_encoding(genuine: Genuine, rng: random.Random) -> Sent | None:
    """Compress the body and say so."""
    if not genuine.signs_body:
        return None
    body = genuine.webhook.body
    encoding, encoded = rng.choice(
        [("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("x-gzip", gzip.compress(body, 1))]
    )
    return Sent(encoding, [*genuine.headers(), (b"content-encoding", encoding.encode())], encoded)


def of_signature(genuine: Genuine, rng: random.Random) -> Sent | None:
    """Change what says who sent it."""
    name = rng.choice(genuine.signed_by)
    value = genuine.webhook.headers[name].encode("latin-1")
    at = rng.randrange(len(value))
    other = rng.choice(_PRINTABLE).encode()
    changes: dict[str, bytes | None] = {
        "missing": None,
        "empty": b"",
        "changed": value[:at] + other + value[at + 1 :],
        "truncated": value[:at],
        "longer": value + other.strip(),
        "without its beginning": value[at + 1 :],
        "turned round": value[::-1],
        "random": "".join(rng.choices(_PRINTABLE, k=rng.randint(1, 200))).encode(),
        "bytes": rng.randbytes(rng.randint(1, 100)),
        "not ASCII": value + "ä€".encode(),
        "full-width digits": value + "\uff11".encode(),
        "huge": value * 50,
        "twice in one": value + b", " + value,
    }
    change = rng.choice(list(changes))
    changed = changes[change]
    if changed is not None and changed.strip() == value.strip():
        return None
    kept = [pair for pair in genuine.headers() if pair[0].decode() != name]
    headers = kept if changed is None else [*kept, (name.encode(), changed)]
    # A list of signatures is one with the right one in it.
    return Sent(f"{name} {change}", headers, genuine.webhook.body, is_same=change == "twice in one")


def of_doubled(genuine: Genuine, rng: random.Random) -> Sent | None:
    """Send a header twice, once as it was; only in a list of signatures the right one may stand."""
    name = rng.choice(genuine.signed_by).encode()
    value = dict(genuine.headers())[name]
    others = [pair for pair in genuine.headers() if pair[0] != name]
    pair, forged = (name, value), (name, rng.choice([value[::-1], b"", b"guess", value[:-1]]))
    both = [pair, forged] if rng.random() < 0.5 else [forged, pair]
    return Sent("doubled", [*others, *both], genuine.webhook.body, is_same=True)


def of_time(genuine: Genuine, rng: random.Random) -> Sent | None:
    """Say another time than was signed."""
    if genuine.timed_by is None:
        return None
    value = genuine.webhook.headers[genuine.timed_by]
    if value.isdecimal():
        changed = rng.choice([str(int(value) + rng.choice([-1, 1]) * rng.randint(1, 10**7)), value + "0", f"-{value}"])
        changed = rng.choice([changed, f"{value}.0", f"0x{int(value):x}", f"+{value}", "1e10", "\u0661"])
    else:
        changed = rng.choice([value.replace("20", "19"), value + "+01:00", "now", "", value[:10], value.lower() + "x"])
    headers = [
        (name, changed.encode() if name.decode() == genuine.timed_by else value) for name, value in genuine.headers()
    ]
    return Sent("another time", headers, genuine.webhook.body)


def of_what_is_not_signed(genuine: Genuine, rng: random.Random) -> Sent | None:
    """Send the same again with whatever nobody signs changed."""
    kept = [pair for pair in genuine.headers() if pair[0].decode() in {*genuine.signed_by, genuine.timed_by}]
    others = [
        (b"content-type", rng.choice([b"text/plain", b"application/x-www-form-urlencoded", b"\xff", b""])),
        (b"content-encoding", rng.choice([b"gzip", b"br", b"identity"])),
        (b"user-agent", rng.randbytes(20)),
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-request-id", rng.randbytes(8).hex().encode()),
        (b"x-zammad-delivery", rng.randbytes(8).hex().encode()),
        (b"x-atlassian-webhook-identifier", rng.randbytes(8).hex().encode()),
        (b"x-zendesk-webhook-invocation-id", str(rng.randrange(10**10)).encode()),
        (b"x-http-method-override", b"DELETE"),
        (b"cookie", "".join(rng.choices(_PRINTABLE, k=50)).encode()),
    ]
    added = [pair for pair in rng.sample(others, rng.randint(1, 5)) if pair[0].decode() not in genuine.signed_by]
    return Sent("the same again", [*kept, *added], genuine.webhook.body, is_same=True)


CHANGES: Sequence[Change] = (
    of_body,
    of_body,
    of_body,
    of_encoding,
    of_signature,
    of_signature,
    of_signature,
    of_doubled,
    of_time,
    of_what_is_not_signed,
)


def forged(genuine: Genuine, rng: random.Random, count: int) -> list[Sent]:
    """Return so many."""
    found: list[Sent] = []
    while len(found) < count:
        sent = rng.choice(CHANGES)(genuine, rng)
        if sent is not None:
            found.append(sent)
    return found

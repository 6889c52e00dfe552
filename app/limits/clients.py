"""Who sent a request: its API key, else its address, seen through the proxies that are trusted."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Headers = Iterable[tuple[bytes, bytes]]

_IPV6_SITE_PREFIX: Final = 64
_MAX_FORWARDED_HOPS: Final = 32
_BEARER: Final = b"bearer "
_FORWARDED: Final = frozenset({b"forwarded", b"x-forwarded-for"})
# Some proxies (Azure Application Gateway, IIS) write the client's port too; only brackets tell it from an IPv6 group.
_WITH_PORT: Final = re.compile(r"\[(?P<ipv6>[^\]]+)\](?::\d{1,5})?|(?P<ipv4>[\d.]+):\d{1,5}", re.ASCII)

_HOST_PORT: Final = re.compile(r":\d*$", re.ASCII)


class Role(IntEnum):
    """What the key of a request opens: each role what those before it open, too."""

    ANYONE = 0
    CALLER = 1
    REVIEWER = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Client:
    """The identity that limits count by, the role that the request's key gives, and the name of a reviewer's."""

    identity: str
    role: Role = Role.ANYONE
    name: str | None = None


class ClientIdentifier:
    """Finds the client of a request; hashes are SHA-256 in hexadecimal digits, as in the settings."""

    def __init__(
        self,
        *,
        key_hashes: Sequence[str] = (),
        reviewers: Mapping[str, str] = MappingProxyType({}),
        admin_key_hashes: Sequence[str] = (),
        trusted_proxies: Sequence[IPNetwork] = (),
    ) -> None:
        """Take the names of ``reviewers`` by the hashes of their keys; a key with several roles has the highest."""
        roles = (
            dict.fromkeys(key_hashes, Role.CALLER)
            | dict.fromkeys(reviewers, Role.REVIEWER)
            | dict.fromkeys(admin_key_hashes, Role.ADMIN)
        )
        self._by_digest = {
            bytes.fromhex(key_hash): Client(f"key:{key_hash}", role, reviewers.get(key_hash))
            for key_hash, role in roles.items()
        }
        self._trusted_proxies = tuple(trusted_proxies)
        self._strangers: OrderedDict[str, Client] = OrderedDict()

    def identify(self, headers: Headers, peer: tuple[str, int] | None) -> Client:
        """Return the client; a key that is not accepted counts towards the address, so that guessing is limited too."""
        key = _api_key(headers) if self._by_digest else None
        client = None if key is None else self.by_key(key)
        return client or self._stranger(self.address_of(headers, peer))

    def with_role(self, least: Role) -> list[Client]:
        """Return those whose keys give at least this role."""
        return [client for client in self._by_digest.values() if client.role >= least]

    def by_key(self, key: bytes) -> Client | None:
        """Return whose key it is; None for one that is not accepted."""
        digest = hashlib.sha256(key).digest()
        # Every one is compared, so that the time tells nothing about which of them is close.
        clients = [client for known, client in self._by_digest.items() if hmac.compare_digest(digest, known)]
        return clients[0] if clients else None

    def address_of(self, headers: Headers, peer: tuple[str, int] | None) -> str:
        """Return the address that a request comes from, as far as the proxies on the way are trusted."""
        host = "" if peer is None else peer[0]
        if peer is not None and peer[1] == 0:
            # Only uvicorn's own proxy handling leaves port 0: it has put a forwarded address, which anybody can write,
            # in the place of a peer that it trusts, and by default it trusts only this machine.
            host = "127.0.0.1"
        if not self._trusted_proxies:
            return host
        address = _parse_address(host)
        for hop in _forwarded_hops(headers):
            if address is None or not self._is_trusted(address):
                break
            hop_address = _parse_hop(hop)
            if hop_address is None:
                break
            address = hop_address
        return host if address is None else str(address)

    def _is_trusted(self, address: IPAddress) -> bool:
        return any(address in network for network in self._trusted_proxies)

    def _stranger(self, host: str) -> Client:
        stranger = self._strangers.get(host)
        if stranger is None:
            stranger = self._strangers[host] = Client(f"address:{_site(host)}")
            if len(self._strangers) > 1024:  # noqa: PLR2004 - enough to spare busy clients the parsing
                self._strangers.popitem(last=False)
        return stranger


def is_from_this_machine(headers: Headers, peer: tuple[str, int] | None) -> bool:
    """Return whether a program on this machine sent the request for itself: no proxy, no web page of another site.

    The peer is the one of the connection; port 0 stands for one that uvicorn has replaced by a forwarded address.
    """
    address = None if peer is None or peer[1] == 0 else _parse_address(peer[0])
    if address is None or not address.is_loopback:
        return False
    origin = host = b""
    for name, value in headers:
        if name in _FORWARDED:
            return False
        if name == b"origin":
            origin = value
        elif name == b"host":
            host = value
    # A browser on this machine sends also what a page from elsewhere makes it send. To that page's own site, as which
    # its owner may have this machine looked up, there is no origin: then the host is not a name of this machine.
    return _is_this_machine(host) and (not origin or origin.partition(b"://")[2] == host)


def _is_this_machine(host: bytes) -> bool:
    name = _HOST_PORT.sub("", host.decode("latin-1").lower())
    address = _parse_address(name.removeprefix("[").removesuffix("]"))
    return address.is_loopback if address is not None else name in {"", "localhost"} or name.endswith(".localhost")


def _api_key(headers: Headers) -> bytes | None:
    bearer = None
    for name, value in headers:
        if name == b"x-api-key":
            return value
        if name == b"authorization" and value[:7].lower() == _BEARER:
            bearer = value[7:].strip()
    return bearer


def _forwarded_hops(headers: Headers) -> list[str]:
    values = [value for name, value in headers if name == b"x-forwarded-for"]
    hops = b",".join(values).decode("latin-1").rsplit(",", _MAX_FORWARDED_HOPS)
    return [hop.strip() for hop in reversed(hops[-_MAX_FORWARDED_HOPS:])] if values else []


def _parse_hop(hop: str) -> IPAddress | None:
    match = _WITH_PORT.fullmatch(hop)
    return _parse_address(hop if match is None else match["ipv6"] or match["ipv4"])


def _parse_address(text: str) -> IPAddress | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _site(host: str) -> str:
    """Return the network that one client can choose addresses in: itself, for IPv6 its /64."""
    address = _parse_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address.packed, _IPV6_SITE_PREFIX), strict=False).network_address)
    return host if address is None else str(address)

"""Who sent a request: its API key, else its address, seen through the proxies that are trusted."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Headers = Iterable[tuple[bytes, bytes]]

_IPV6_SITE_PREFIX: Final = 64
_MAX_FORWARDED_HOPS: Final = 32
_BEARER: Final = b"bearer "
# Some proxies (Azure Application Gateway, IIS) write the client's port too; only brackets tell it from an IPv6 group.
_WITH_PORT: Final = re.compile(r"\[(?P<ipv6>[^\]]+)\](?::\d{1,5})?|(?P<ipv4>[\d.]+):\d{1,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Client:
    """The identity that limits count by, and what the API key of the request opens; an admin key opens all."""

    identity: str
    has_valid_key: bool
    is_admin: bool = False


class ClientIdentifier:
    """Finds the client of a request; hashes are SHA-256 in hexadecimal digits, as in the settings."""

    def __init__(
        self,
        *,
        key_hashes: Sequence[str] = (),
        admin_key_hashes: Sequence[str] = (),
        trusted_proxies: Sequence[IPNetwork] = (),
    ) -> None:
        self._admin_key_digests = tuple(bytes.fromhex(key_hash) for key_hash in admin_key_hashes)
        self._key_digests = (*self._admin_key_digests, *(bytes.fromhex(key_hash) for key_hash in key_hashes))
        self._trusted_proxies = tuple(trusted_proxies)
        self._strangers: OrderedDict[str, Client] = OrderedDict()

    def identify(self, headers: Headers, peer: tuple[str, int] | None) -> Client:
        """Return the client; a key that is not accepted counts towards the address, so that guessing is limited too."""
        if self._key_digests:
            key = _api_key(headers)
            digest = b"" if key is None else hashlib.sha256(key).digest()
            if _is_among(self._key_digests, digest):
                is_admin = _is_among(self._admin_key_digests, digest)
                return Client(f"key:{digest.hex()}", has_valid_key=True, is_admin=is_admin)
        return self._by_address(headers, peer)

    def _by_address(self, headers: Headers, peer: tuple[str, int] | None) -> Client:
        host = "" if peer is None else peer[0]
        if peer is not None and peer[1] == 0:
            # Only uvicorn's own proxy handling leaves port 0: it has put a forwarded address, which anybody can write,
            # in the place of a peer that it trusts, and by default it trusts only this machine.
            host = "127.0.0.1"
        if not self._trusted_proxies:
            return self._stranger(host)
        address = _parse_address(host)
        for hop in _forwarded_hops(headers):
            if address is None or not self._is_trusted(address):
                break
            hop_address = _parse_hop(hop)
            if hop_address is None:
                break
            address = hop_address
        return self._stranger(host if address is None else str(address))

    def _is_trusted(self, address: IPAddress) -> bool:
        return any(address in network for network in self._trusted_proxies)

    def _stranger(self, host: str) -> Client:
        stranger = self._strangers.get(host)
        if stranger is None:
            stranger = self._strangers[host] = Client(f"address:{_site(host)}", has_valid_key=False)
            if len(self._strangers) > 1024:  # noqa: PLR2004 - enough to spare busy clients the parsing
                self._strangers.popitem(last=False)
        return stranger


def _is_among(accepted: Sequence[bytes], digest: bytes) -> bool:
    # Every one is compared, so that the time tells nothing about which of them is close.
    return sum([hmac.compare_digest(digest, one) for one in accepted]) > 0


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

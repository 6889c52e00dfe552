from __future__ import annotations

import hashlib
import ipaddress

import pytest

from app.limits.clients import Client, ClientIdentifier


@pytest.mark.parametrize(
    "forwarded",
    [b"", b",", b",,,", b"\xff\xfe", b"a" * 10_000, b"1.2.3.4," * 5_000, b"::1%eth0", b"[::1]:80", b"1.2.3.4:80"],
)
def test_any_forwarded_header_is_survived(forwarded: bytes) -> None:
    clients = ClientIdentifier(trusted_proxies=[ipaddress.ip_network("10.0.0.0/8")])

    identity = clients.identify([(b"x-forwarded-for", forwarded)], ("10.0.0.1", 1234)).identity

    assert len(identity) < 60


@pytest.mark.parametrize(
    ("forwarded", "identity"),
    [
        (b"203.0.113.7", "address:203.0.113.7"),
        (b"203.0.113.7:49152", "address:203.0.113.7"),
        (b"203.0.113.7:49152, 10.0.0.2:443", "address:203.0.113.7"),
        (b"2001:db8:1:2::7", "address:2001:db8:1:2::"),
        (b"[2001:db8:1:2::7]", "address:2001:db8:1:2::"),
        (b"[2001:db8:1:2::7]:49152", "address:2001:db8:1:2::"),
        (b"[::ffff:203.0.113.7]:49152", "address:203.0.113.7"),
    ],
)
def test_the_port_that_some_proxies_write_behind_an_address_is_no_part_of_it(forwarded: bytes, identity: str) -> None:
    clients = ClientIdentifier(trusted_proxies=[ipaddress.ip_network("10.0.0.0/8")])

    assert clients.identify([(b"x-forwarded-for", forwarded)], ("10.0.0.1", 1234)).identity == identity


@pytest.mark.parametrize(
    "forwarded", [b"203.0.113.7:", b"203.0.113.7:x", b"203.0.113.7:123456", b"[2001:db8::7", b"[]:80", b"unknown"]
)
def test_what_is_no_address_counts_towards_the_proxy_that_sent_it(forwarded: bytes) -> None:
    clients = ClientIdentifier(trusted_proxies=[ipaddress.ip_network("10.0.0.0/8")])

    assert clients.identify([(b"x-forwarded-for", forwarded)], ("10.0.0.1", 1234)).identity == "address:10.0.0.1"


def test_a_connection_without_an_address_is_a_client_too() -> None:
    assert ClientIdentifier().identify([], None).identity == ClientIdentifier().identify([], None).identity


KEYS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("caller", "next caller", "admin", "both")}


@pytest.mark.parametrize(
    ("key", "has_valid_key", "is_admin"),
    [
        ("caller", True, False),
        ("next caller", True, False),
        ("admin", True, True),
        ("both", True, True),
        ("nobody", False, False),
    ],
)
def test_an_admin_key_is_a_callers_key_too_and_not_the_other_way_round(
    key: str, *, has_valid_key: bool, is_admin: bool
) -> None:
    clients = ClientIdentifier(
        key_hashes=[KEYS["caller"], KEYS["next caller"], KEYS["both"]], admin_key_hashes=[KEYS["admin"], KEYS["both"]]
    )

    client = clients.identify([(b"x-api-key", key.encode())], ("192.0.2.1", 1234))

    assert client == Client(client.identity, has_valid_key=has_valid_key, is_admin=is_admin)
    assert client.identity == (f"key:{KEYS[key]}" if has_valid_key else "address:192.0.2.1")


def test_an_admin_key_is_known_where_callers_need_none() -> None:
    clients = ClientIdentifier(admin_key_hashes=[KEYS["admin"]])

    assert clients.identify([(b"authorization", b"Bearer admin")], None).is_admin
    assert not clients.identify([(b"authorization", b"Bearer caller")], None).has_valid_key

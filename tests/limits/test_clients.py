from __future__ import annotations

import hashlib
import ipaddress

import pytest

from app.limits.clients import Client, ClientIdentifier, Role, is_from_this_machine


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


KEYS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("caller", "mia", "leo", "admin", "all")}


@pytest.mark.parametrize(
    ("key", "role", "name"),
    [
        ("caller", Role.CALLER, None),
        ("mia", Role.REVIEWER, "mia"),
        ("leo", Role.REVIEWER, "leo"),
        ("admin", Role.ADMIN, None),
        ("all", Role.ADMIN, "chief"),
        ("nobody", Role.ANYONE, None),
        ("", Role.ANYONE, None),
    ],
)
def test_a_key_gives_the_highest_of_its_roles_and_a_reviewers_key_a_name(
    key: str, role: Role, name: str | None
) -> None:
    clients = ClientIdentifier(
        key_hashes=[KEYS["caller"], KEYS["all"]],
        reviewers={KEYS["mia"]: "mia", KEYS["leo"]: "leo", KEYS["all"]: "chief"},
        admin_key_hashes=[KEYS["admin"], KEYS["all"]],
    )

    client = clients.identify([(b"x-api-key", key.encode())], ("192.0.2.1", 1234))

    assert client == Client(client.identity, role, name)
    assert client.identity == (f"key:{KEYS[key]}" if role else "address:192.0.2.1")


def test_an_admin_key_is_known_where_callers_need_none() -> None:
    clients = ClientIdentifier(admin_key_hashes=[KEYS["admin"]])

    assert clients.identify([(b"authorization", b"Bearer admin")], None).role is Role.ADMIN
    assert clients.identify([(b"authorization", b"Bearer caller")], None).role is Role.ANYONE


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_a_program_on_this_machine_is_known_by_its_connection(host: str) -> None:
    assert is_from_this_machine([(b"host", b"localhost:8000")], (host, 5000))
    assert is_from_this_machine([(b"host", b"localhost:8000"), (b"origin", b"http://localhost:8000")], (host, 5000))


@pytest.mark.parametrize(
    "header",
    [
        (b"x-forwarded-for", b"127.0.0.1"),
        (b"x-forwarded-for", b""),
        (b"forwarded", b"for=127.0.0.1"),
        (b"origin", b"https://elsewhere.example"),
        (b"origin", b"http://localhost:3000"),
        (b"origin", b"null"),
    ],
)
def test_what_a_proxy_or_a_page_of_another_site_sends_is_not_from_this_machine(header: tuple[bytes, bytes]) -> None:
    assert not is_from_this_machine([(b"host", b"localhost:8000"), header], ("127.0.0.1", 5000))


@pytest.mark.parametrize("host", [b"localhost", b"desk.localhost:80", b"127.0.0.1:8000", b"[::1]:8000", b"[::1]", b""])
def test_this_machine_is_asked_for_by_a_name_of_its_own(host: bytes) -> None:
    assert is_from_this_machine([(b"host", host)], ("127.0.0.1", 5000))


@pytest.mark.parametrize(
    "host", [b"evil.example:8000", b"evil.example", b"0.0.0.0:8000", b"localhost.evil.example", b"[::2]"]
)
def test_a_page_that_has_its_own_name_looked_up_as_this_machine_is_not_from_it(host: bytes) -> None:
    assert not is_from_this_machine([(b"host", host)], ("127.0.0.1", 5000))


@pytest.mark.parametrize(
    "peer", [None, ("192.0.2.1", 5000), ("10.0.0.1", 5000), ("::ffff:10.0.0.1", 5000), ("localhost", 5000), ("", 5000)]
)
def test_another_address_is_not_this_machine(peer: tuple[str, int] | None) -> None:
    assert not is_from_this_machine([], peer)


def test_an_address_that_a_server_took_from_a_header_is_not_this_machine() -> None:
    assert not is_from_this_machine([], ("127.0.0.1", 0))

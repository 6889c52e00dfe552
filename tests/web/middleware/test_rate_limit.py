from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import StartService

ERROR_KEYS = {"detail", "code", "error", "request_id"}


def test_the_limit_is_admitted_and_no_more(start_service: StartService) -> None:
    service = start_service(rate_limit_requests=3, rate_limit_window_sec=3600)

    answers = [service.classify() for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"default";q=3;w=3600'}
    assert [answer.headers["ratelimit"].split(";")[:2] for answer in answers] == [
        ['"default"', f"r={left}"] for left in (2, 1, 0, 0, 0)
    ]
    assert answers[-1].json()["error"] == "rate_limited"
    assert set(answers[-1].json()) == ERROR_KEYS
    assert 3590 <= int(answers[-1].headers["retry-after"]) <= 3600
    assert answers[-1].headers["ratelimit"] == f'"default";r=0;t={answers[-1].headers["retry-after"]}'


def test_errors_and_unknown_paths_count_too(start_service: StartService) -> None:
    service = start_service(rate_limit_requests=2)

    assert [service.classify({}).status_code, service.get("/nope").status_code] == [422, 404]
    assert service.classify().status_code == 429


def test_clients_are_counted_by_address(start_service: StartService) -> None:
    service = start_service(rate_limit_requests=1)

    peers = ("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1")
    assert [service.classify(peer=(peer, 1)).status_code for peer in peers] == [200] * 4
    again = ("192.0.2.1", "::ffff:192.0.2.2", "2001:db8::ffff:1")
    assert [service.classify(peer=(peer, 2)).status_code for peer in again] == [429] * 3


def test_a_forwarded_address_is_not_believed_from_just_anybody(start_service: StartService) -> None:
    service = start_service(rate_limit_requests=1)

    assert service.classify(headers={"X-Forwarded-For": "198.51.100.1"}).status_code == 200
    assert service.classify(headers={"X-Forwarded-For": "198.51.100.2"}).status_code == 429


def test_an_address_that_the_server_took_from_a_header_is_not_believed_either(start_service: StartService) -> None:
    service = start_service(rate_limit_requests=1)

    assert service.classify(peer=("198.51.100.1", 0)).status_code == 200
    assert service.classify(peer=("198.51.100.2", 0)).status_code == 429


def test_behind_a_trusted_proxy_the_rightmost_untrusted_hop_is_the_client(start_service: StartService) -> None:
    service = start_service(
        rate_limit_requests=1, trusted_proxies=tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "192.0.2.1/32")))
    )

    def status(forwarded: str, peer: str = "10.1.1.1") -> int:
        headers = {"X-Forwarded-For": forwarded}
        return int(service.classify(headers=headers, peer=(peer, 9)).status_code)

    assert status("198.51.100.1") == 200
    assert status("203.0.113.7, 198.51.100.1") == 429
    assert status("198.51.100.1, 10.2.2.2", peer="192.0.2.1") == 429
    assert status("198.51.100.2, 10.2.2.2") == 200
    assert status("198.51.100.3", peer="203.0.113.9") == 200
    assert status("198.51.100.4", peer="203.0.113.9") == 429
    assert status("not an address, 10.2.2.2") == 200
    assert status("another, 10.2.2.2") == 429

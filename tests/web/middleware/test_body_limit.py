from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Service, StartService

ERROR_KEYS = {"detail", "code", "error", "request_id"}


def test_a_body_at_the_limit_is_read_and_one_beyond_is_not(start_service: StartService) -> None:
    service = start_service(max_body_bytes=1000)
    body = json.dumps({"title": "server", "description": ""})

    fitting = service.classify_bytes(body.ljust(1000).encode())
    beyond = service.classify_bytes(body.ljust(1001).encode())

    assert fitting.status_code == 200
    assert (beyond.status_code, beyond.json()["error"]) == (413, "body_too_large")
    assert set(beyond.json()) == ERROR_KEYS
    assert beyond.headers["connection"] == "close"


def test_a_declared_body_beyond_the_limit_is_not_read(service: Service) -> None:
    async def never() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    headers = {"Content-Type": "application/json", "Content-Length": "9" * 30}
    response = service.request("POST", "/classify", content=never(), headers=headers)

    assert response.status_code == 413


def test_a_chunked_body_is_refused_at_the_limit(start_service: StartService) -> None:
    service = start_service(max_body_bytes=1000)
    n_sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal n_sent
        for _ in range(1000):
            n_sent += 1
            yield b" " * 100

    headers = {"Content-Type": "application/json"}
    response = service.request("POST", "/classify", content=endless(), headers=headers)

    assert (response.status_code, response.json()["error"]) == (413, "body_too_large")
    assert set(response.json()) == ERROR_KEYS
    assert n_sent == 11


def test_a_batch_has_its_own_limit_behind_a_servers_root_path_too(start_service: StartService) -> None:
    service = start_service(max_body_bytes=1000)
    batch = {"tickets": [{"title": "server down", "description": "main server offline " * 100}]}

    assert service.request("POST", "/api/classify/batch", json=batch, root_path="/api").status_code == 200
    assert service.request("POST", "/api/classify", json=batch["tickets"][0], root_path="/api").status_code == 413
    assert 'http_requests_total{method="POST",route="/classify/batch",status="200"} 1.0' in service.get("/metrics").text


def test_a_chunked_body_within_the_limit_is_classified(service: Service) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for chunk in (b'{"title": "server",', b'"description": ', b'"down"}'):
            yield chunk

    headers = {"Content-Type": "application/json"}

    assert service.request("POST", "/classify", content=chunks(), headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "2"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "2"), ("Content-Length", "2")],
        [("Content-Length", "-2")],
        [("Content-Length", "two")],
    ],
)
def test_an_ambiguous_length_is_refused(service: Service, headers: list[tuple[str, str]]) -> None:
    response = service.request("POST", "/classify", headers=headers)

    assert (response.status_code, response.json()["error"]) == (400, "bad_request")
    assert response.headers["connection"] == "close"

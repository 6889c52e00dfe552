from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from app.errors import OVERLOADED, ServiceError
from app.web.middleware.body_limit import BodyLimitMiddleware

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

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
    assert "1000 bytes" in response.json()["detail"]
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


async def _answer_nothing(_: Message) -> None:
    raise AssertionError("nothing is answered here")


async def _read_all(_: Scope, receive: Receive, __: Send) -> None:
    more_body = True
    while more_body:
        more_body = (await receive())["more_body"]
        await asyncio.sleep(0)


class Bodies:
    """Bodies in two chunks of 4 bytes, for a limit of 10 bytes in all."""

    def __init__(self) -> None:
        self._middleware = BodyLimitMiddleware(_read_all, max_bytes=100, max_bytes_by_path={}, max_buffered_bytes=10)

    async def arrive(self, *, n_chunks: int = 2) -> None:
        remaining = [b"1234"] * n_chunks

        async def receive() -> Message:
            return {"type": "http.request", "body": remaining.pop(), "more_body": bool(remaining)}

        scope = {"type": "http", "headers": [], "state": {"route": "/classify"}}
        await self._middleware(scope, receive, _answer_nothing)


def test_bodies_that_do_not_fit_together_are_refused() -> None:
    async def arrive_together() -> list[BaseException | None]:
        bodies = Bodies()
        return await asyncio.gather(bodies.arrive(), bodies.arrive(), return_exceptions=True)

    first, second = asyncio.run(arrive_together())

    assert (first is None) != (second is None)
    refusal = first or second
    assert isinstance(refusal, ServiceError)
    assert refusal.kind is OVERLOADED
    assert refusal.headers == {"Connection": "close"}


def test_an_answered_request_gives_its_memory_back() -> None:
    async def arrive_one_after_the_other() -> None:
        bodies = Bodies()
        for _ in range(5):
            await bodies.arrive()
            with pytest.raises(ServiceError):
                await bodies.arrive(n_chunks=3)

    asyncio.run(arrive_one_after_the_other())

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.errors import OVERLOADED, ServiceError
from app.web.middleware.body_memory import BodyMemoryMiddleware

SCOPE = {"type": "http", "path": "/batch"}


async def send(_: Message) -> None:
    raise AssertionError("nothing is answered here")


def body_of(*chunks: bytes) -> Receive:
    remaining = list(chunks)

    async def receive() -> Message:
        return {"type": "http.request", "body": remaining.pop(0), "more_body": bool(remaining)}

    return receive


async def read_all(_: Scope, receive: Receive, __: Send) -> None:
    more_body = True
    while more_body:
        more_body = (await receive())["more_body"]
        await asyncio.sleep(0)


def test_bodies_that_do_not_fit_together_are_refused() -> None:
    middleware = BodyMemoryMiddleware(read_all, paths={"/batch"}, max_bytes=10)

    async def send_two() -> list[BaseException | None]:
        requests = [middleware(SCOPE, body_of(b"1234", b"1234"), send) for _ in range(2)]
        return await asyncio.gather(*requests, return_exceptions=True)

    first, second = asyncio.run(send_two())

    assert (first is None) != (second is None)
    refusal = first or second
    assert isinstance(refusal, ServiceError)
    assert refusal.kind is OVERLOADED
    assert refusal.headers == {"Connection": "close"}


def test_an_answered_request_gives_its_memory_back() -> None:
    middleware = BodyMemoryMiddleware(read_all, paths={"/batch"}, max_bytes=10)

    async def send_one_after_the_other() -> None:
        for _ in range(5):
            await middleware(SCOPE, body_of(b"1234", b"1234"), send)
            with pytest.raises(ServiceError):
                await middleware(SCOPE, body_of(b"x" * 11), send)

    asyncio.run(send_one_after_the_other())


def test_other_paths_are_not_counted() -> None:
    middleware = BodyMemoryMiddleware(read_all, paths={"/batch"}, max_bytes=10)

    asyncio.run(middleware({"type": "http", "path": "/x"}, body_of(b"x" * 1000), send))

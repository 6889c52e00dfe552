"""Thousands of mutated bodies and requests over real connections: never a 5xx, never a hang, never an echo."""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.in_process import TICKET
from tests.server.conftest import BODY, exchange, get, port_of, post

if TYPE_CHECKING:
    from tests.processes import ServiceProcess

N_BODIES = int(os.environ.get("N_FUZZ_BODIES", "20000"))
N_REQUESTS = int(os.environ.get("N_FUZZ_REQUESTS", "4000"))
N_CONNECTIONS = 8
SEED = 20_260_101
CANARY = "qzcanaryzq"
TICKETS = [
    dict(TICKET),
    {"title": CANARY, "description": f"{CANARY} invoice", "customer_email": f"{CANARY}@example.com"},
    {"title": "Zürich 東京 🙂", "description": "x" * 500, "customer_email": None},
]
SEEDS = [
    *[("/classify", json.dumps(ticket).encode()) for ticket in TICKETS],
    *[("/classify", json.dumps(ticket, ensure_ascii=False).encode()) for ticket in TICKETS],
    ("/classify/batch", json.dumps({"tickets": TICKETS}).encode()),
]
SPLICES = [
    b"\0", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\ud800", b"\\u0000", b"NaN", b"-Infinity",
    b"[" * 2000, b'{"a":' * 1000, b"9" * 5000, b'"', b"\\", b"}", b"{", b",", b":", b"null", b"true", b"/*", b"'",
    CANARY.encode(), b'"title": 1,', b'"title": "x", "title": "y",', b"\xe2\x80\xae", b"a" * 400, b"1e999",
]  # fmt: skip


def mutate(body: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(body))
        match rng.randrange(7):
            case 0:
                body = body[:at] + bytes([rng.randrange(256)]) + body[at + 1 :]
            case 1:
                body = body[:at] + body[at + rng.randint(1, 8) :]
            case 2:
                body = body[:at] + rng.choice(SPLICES) + body[at:]
            case 3:
                body = body[:at]
            case 4:
                end = rng.randint(at, len(body))
                body = body[:end] + body[at:end] + body[end:]
            case 5:
                body = body[:at] + rng.randbytes(rng.randint(1, 30)) + body[at:]
            case _:
                body = bytes([body[at - 1] ^ (1 << rng.randrange(8))]).join([body[: at - 1], body[at:]]) if at else body
    return body[:60_000]


@dataclass
class Answers:
    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def check(self, head: bytes, content: bytes) -> None:
        status = int(head[9:12])
        self.statuses[status] += 1
        if status >= 500:
            self.faults.append(f"{status}: {content!r}")
        if status >= 400:
            answer = json.loads(content)
            if set(answer) != {"detail", "code", "error", "request_id"} | ({"errors"} if status == 422 else set()):
                self.faults.append(f"shape: {content!r}")
            if f"x-request-id: {answer['request_id']}\r\n".encode() not in head:
                self.faults.append(f"no id: {head!r}")
            if CANARY.encode() in content:
                self.faults.append(f"echo: {content!r}")


async def send_all(process: ServiceProcess, requests: Iterator[bytes], answers: Answers) -> None:
    """Keep a few requests in flight on one connection until there are no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(process), limit=1 << 20)
    while batch := [request for _, request in zip(range(8), requests, strict=False)]:
        writer.write(b"".join(batch))
        for _ in batch:
            async with asyncio.timeout(20):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                answers.check(head, await reader.readexactly(length))
    writer.close()


@pytest.mark.slow
def test_mutated_bodies_are_answered_in_the_one_shape_and_never_repeated(server: ServiceProcess) -> None:
    rng = random.Random(SEED)

    def bodies() -> Iterator[bytes]:
        for _ in range(N_BODIES):
            path, body = rng.choice(SEEDS)
            yield post(mutate(body, rng), path=path)

    answers = Answers()

    async def send() -> None:
        requests = bodies()
        await asyncio.gather(*[send_all(server, requests, answers) for _ in range(N_CONNECTIONS)])

    asyncio.run(send())

    assert answers.faults == []
    assert set(answers.statuses) <= {200, 413, 422}
    assert sum(answers.statuses.values()) == N_BODIES
    assert min(answers.statuses[200], answers.statuses[422]) > N_BODIES // 50
    log = server.log()
    assert CANARY not in log
    assert '"level": "ERROR"' not in log


@pytest.mark.slow
def test_mutated_requests_are_answered_or_their_connection_closed(server: ServiceProcess) -> None:
    rng = random.Random(SEED + 1)
    answers = Answers()

    async def send(request: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port_of(server))
        writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(20):
            received = await reader.read(-1)
        writer.close()
        if received and not received.startswith(b"HTTP/1.1 100"):
            head, _, rest = received.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            answers.check(head, rest[:length] if b"HEAD" not in request[:8] else b"{}")

    async def send_some() -> None:
        for _ in range(N_REQUESTS // 20):
            await asyncio.gather(*[send(mutate(rng.choice(REQUESTS), rng)) for _ in range(20)])

    asyncio.run(send_some())

    assert answers.faults == []
    assert answers.statuses[400] > N_REQUESTS // 20
    assert sum(answers.statuses.values()) > N_REQUESTS // 2
    assert exchange(server, post()).statuses == [200]
    assert '"level": "ERROR"' not in server.log()


REQUESTS = [
    post(),
    post(headers=b"X-Request-ID: abc\r\nX-API-Key: k\r\nAuthorization: Bearer k\r\nOrigin: https://desk.example\r\n"),
    post(b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY), headers=b"Transfer-Encoding: chunked\r\n", declare=False),
    post(json.dumps({"tickets": [dict(TICKET)] * 3}).encode(), path="/classify/batch"),
    *[get(path, headers=b"Accept: */*\r\n") for path in ("/", "/version", "/metrics?x=%20", "/model/status")],
]

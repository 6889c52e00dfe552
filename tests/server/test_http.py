"""What arrives on a connection, well-formed or not, is answered like everything else."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.in_process import TICKET
from tests.server.conftest import BODY, connect, exchange, get, post

if TYPE_CHECKING:
    from tests.conftest import StartProcess
    from tests.processes import ServiceProcess

CHUNKED = b"Transfer-Encoding: chunked\r\n"
A_CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
WEBSOCKET = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)


def chunked(body: bytes, headers: bytes = CHUNKED) -> bytes:
    return post(body, headers=headers, declare=False)


def of_headers(*lines: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


MALFORMED = {
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
    "words": b"hello there\r\n\r\n",
    "a lower-case method": get("/", method="get"),
    "an unknown method": get("/", method="BREW"),
    "no version": b"GET /\r\n\r\n",
    "HTTP/2.0": get("/", version="2.0"),
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": get("service:443", method="CONNECT"),
    "bytes beyond ASCII in the target": "GET /é HTTP/1.1\r\n\r\n".encode(),
    "a length beside an encoding": post(headers=CHUNKED),
    "two lengths": post(headers=b"Content-Length: 3\r\n"),
    "the same length twice": post(headers=b"Content-Length: %d\r\n" % len(BODY)),
    "a list of lengths": chunked(BODY, b"Content-Length: 5, 5\r\n"),
    "a signed length": chunked(BODY, b"Content-Length: +5\r\n"),
    "a negative length": chunked(BODY, b"Content-Length: -5\r\n"),
    "a length of 30 digits": chunked(BODY, b"Content-Length: " + b"9" * 30 + b"\r\n"),
    "an encoding without chunks": chunked(BODY, b"Transfer-Encoding: gzip\r\n"),
    "an encoding before chunks": chunked(A_CHUNK + b"0\r\n\r\n", b"Transfer-Encoding: gzip, chunked\r\n"),
    "two encodings": chunked(A_CHUNK + b"0\r\n\r\n", CHUNKED + CHUNKED),
    "an encoding that looks like chunked": chunked(A_CHUNK, b"Transfer-Encoding: xchunked\r\n"),
    "a chunk size that is no number": chunked(b"zz\r\nabc\r\n0\r\n\r\n"),
    "a chunk size of 18 digits": chunked(b"f" * 18 + b"\r\nabc\r\n0\r\n\r\n"),
    "a negative chunk size": chunked(b"-1\r\nabc\r\n0\r\n\r\n"),
    "a chunk size with 0x": chunked(b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a chunk that is longer than its size": chunked(b"3\r\nabcde\r\n0\r\n\r\n"),
    "a chunk extension without end": chunked(b"3;" + b"x" * 100_000),
    "a trailer without end": chunked(b"0\r\nX: " + b"x" * 100_000),
    "trailers without end": chunked(b"0\r\n" + b"X: x\r\n" * 20_000),
    "a folded header": of_headers(b"X-A: b", b"  c"),
    "NUL in a header": of_headers(b"X-A: b\0c"),
    "a control character in a header": of_headers(b"X-A: b\x01c"),
    "a lone CR in a header": of_headers(b"X-A: b\rc"),
    "a lone LF after a header": b"GET / HTTP/1.1\r\nX-A: b\nHost: x\r\n\r\n",
    "a space before the colon": of_headers(b"X-A : b"),
    "no colon": of_headers(b"XA"),
    "no name": of_headers(b": b"),
}
TOO_LARGE = {
    "101 headers": of_headers(*[b"X: 1"] * 101),
    "a header of 17 KB": of_headers(b"X: " + b"x" * 17_000),
    "20 headers of 1 KB": of_headers(*[b"X: " + b"x" * 1000] * 20),
    "a target of 20 KB": get("/" + "x" * 20_000),
    "a header that does not end": b"GET / HTTP/1.1\r\nX: " + b"x" * 1_000_000,
    "headers that do not end": b"GET / HTTP/1.1\r\n" + b"X: x\r\n" * 100_000,
}
ANSWERED = {
    "HTTP/1.0": (get("/", version="1.0"), 200),
    "HTTP/1.0 with a body": (post(version="1.0"), 200),
    "blank lines before": (b"\r\n\r\n" + post(), 200),
    "chunks": (chunked(A_CHUNK + b"0\r\n\r\n"), 200),
    "chunk extensions": (chunked(b'%x;a=b;c="d"\r\n%b\r\n0\r\n\r\n' % (len(BODY), BODY)), 200),
    "trailers": (chunked(A_CHUNK + b"0\r\nX-Request-ID: trailer\r\n\r\n"), 200),
    "100 headers": (of_headers(*[b"X: 1"] * 100), 200),
    "a header of 15 KB": (of_headers(b"X: " + b"x" * 15_000), 200),
    "a target of 10 KB": (get("/" + "x" * 10_000), 404),
    "Latin-1 in a header": (of_headers(b"X: \xe9"), 200),
    "spaces around a value": (post(headers=b"Accept:  */*  \r\n"), 200),
    "a target in absolute form": (get("http://service/health?x=1"), 200),
    "a target without a path": (get("http://service"), 200),
    "a target of two slashes": (get("//service/health"), 404),
    "any bytes, encoded": (get("/%ff%00%0a"), 404),
    "the asterisk": (get("*", method="OPTIONS"), 404),
    "TRACE": (get("/", method="TRACE"), 405),
    "a body where none is read": (get("/health", headers=b"Content-Length: 3\r\n") + b"abc", 200),
    "a websocket": (get("/classify", headers=WEBSOCKET), 405),
    "an upgrade": (get("/health", headers=UPGRADE), 200),
    "an upgrade with a body": (post(headers=UPGRADE), 200),
    "an upgrade with chunks": (chunked(A_CHUNK + b"0\r\n\r\n", CHUNKED + UPGRADE), 200),
    "a compressed body": (post(headers=b"Content-Encoding: gzip\r\n"), 415),
    "a compressed batch": (post(path="/classify/batch", headers=b"Content-Encoding: gzip\r\n"), 415),
}


def assert_is_error(answer: bytes, status: int) -> str:
    """Check the one error shape, and return the request's id."""
    head, _, body = answer.partition(b"\r\n\r\n")
    content = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert set(content) == {"detail", "code", "error", "request_id"} | ({"errors"} if status == 422 else set())
    assert content["code"] == f"HTTP_{status}"
    assert f"x-request-id: {content['request_id']}" in head.decode().lower()
    return str(content["request_id"])


def lines_of(server: ServiceProcess, request_id: str) -> list[dict[str, object]]:
    return [r for r in server.log_records() if r["message"] == "request completed" and r["request_id"] == request_id]


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_http_is_refused_and_the_connection_closed(server: ServiceProcess, name: str) -> None:
    answer = exchange(server, MALFORMED[name])

    request_id = assert_is_error(answer.received, 400)
    assert answer.statuses == [400]
    assert answer.closed
    assert "connection: close" in answer.head
    assert [line["status_code"] for line in lines_of(server, request_id)] == [400]


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_head_beyond_the_bounds_is_refused_and_the_connection_closed(server: ServiceProcess, name: str) -> None:
    answer = exchange(server, TOO_LARGE[name])

    request_id = assert_is_error(answer.received, 431)
    assert answer.statuses == [431]
    assert answer.closed
    assert [line["error"] for line in lines_of(server, request_id)] == ["head_too_large"]


@pytest.mark.parametrize("name", ANSWERED)
def test_what_is_unusual_but_http_is_answered(server: ServiceProcess, name: str) -> None:
    request, status = ANSWERED[name]

    answer = exchange(server, request)

    assert answer.statuses == [status]
    assert answer.closed is ("HTTP/1.0" in name)
    if status >= 400:
        assert_is_error(answer.received, status)
    else:
        json.loads(answer.body)


def test_any_server_bounds_heads_and_refuses_two_lengths(start_process: StartProcess) -> None:
    process = start_process(command=("-m", "uvicorn", "app.main:app"))

    for request in (of_headers(*[b"X: 1"] * 101), of_headers(b"X: " + b"x" * 17_000)):
        assert_is_error(exchange(process, request).received, 431)
    for request in (post(headers=CHUNKED), post(headers=b"Content-Length: 3\r\n")):
        assert exchange(process, request).statuses == [400]


@pytest.mark.parametrize("path", ["/health", "/nothing-here", "/metrics", "/version"])
def test_head_has_the_headers_of_get_and_no_body(server: ServiceProcess, path: str) -> None:
    of_head = exchange(server, get(path, method="HEAD"))
    of_get = exchange(server, get(path))

    assert of_head.body == b""
    assert of_head.statuses == of_get.statuses
    names = [{line.partition(":")[0] for line in answer.head.splitlines()[1:]} for answer in (of_head, of_get)]
    assert names[0] == names[1]


def test_pipelined_requests_are_answered_in_order(server: ServiceProcess) -> None:
    requests = [get("/livez", headers=b"X-Request-ID: n%d\r\n" % number) for number in range(500)]
    requests[100] = post(headers=b"X-Request-ID: n100\r\n")
    requests[200] = post(b"{}", headers=b"X-Request-ID: n200\r\n")

    answer = exchange(server, b"".join(requests), n_answers=500)

    heads = answer.received.decode().split("HTTP/1.1 ")[1:]
    assert [head.split("x-request-id: ")[1].split("\r\n")[0] for head in heads] == [f"n{i}" for i in range(500)]
    assert answer.statuses == [422 if number == 200 else 200 for number in range(500)]


def test_what_follows_the_last_request_is_not_answered(server: ServiceProcess) -> None:
    answer = exchange(server, post(headers=b"Connection: close\r\n") + post())

    assert answer.statuses == [200]
    assert answer.closed


@pytest.mark.parametrize("second", [post(), b"garbage\r\n\r\n"])
def test_what_follows_a_request_of_http_1_0_does_not_cost_its_answer(server: ServiceProcess, second: bytes) -> None:
    answer = exchange(server, post(headers=b"Connection: keep-alive\r\n", version="1.0") + second)

    assert answer.statuses == [200]
    assert answer.closed


def test_garbage_behind_a_request_does_not_cost_its_answer(server: ServiceProcess) -> None:
    answer = exchange(server, post() + b"garbage\r\n\r\n", n_answers=2)

    assert answer.statuses == [200, 400]
    assert answer.closed


def test_a_client_that_closes_its_half_gets_its_answer(server: ServiceProcess) -> None:
    batch = json.dumps({"tickets": [dict(TICKET)] * 100}).encode()

    assert exchange(server, post(), half_close=True).statuses == [200]
    assert exchange(server, post(batch, path="/classify/batch"), half_close=True).statuses == [200]
    assert exchange(server, post()[:-1], half_close=True).statuses == []


def test_only_a_body_that_will_be_read_is_asked_for(server: ServiceProcess) -> None:
    expect = b"Expect: 100-continue\r\n"
    with connect(server) as connection:
        connection.sendall(post(headers=expect)[: -len(BODY)])
        asked = connection.recv(1000)
        connection.sendall(BODY)
        answer = connection.recv(10_000)
    too_large = exchange(server, post(b"", headers=expect + b"Content-Length: 99999\r\n", declare=False))
    not_json = exchange(
        server, post(b"", headers=expect + b"Content-Length: 9\r\nContent-Encoding: br\r\n", declare=False)
    )
    old = exchange(server, post(version="1.0", headers=expect))

    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert too_large.statuses == [413]
    assert too_large.closed
    assert not_json.statuses == [415]
    assert not_json.closed
    assert old.statuses == [200]


TEN_MEGABYTES = b"x" * 10_000_000


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(TEN_MEGABYTES),
        post(TEN_MEGABYTES, path="/classify/batch"),
        post(TEN_MEGABYTES, path="/nothing-here"),
        chunked(b"989680\r\n" + TEN_MEGABYTES + b"\r\n0\r\n\r\n"),
    ],
    ids=["declared", "batch", "unknown path", "chunked"],
)
def test_a_client_that_sends_10_mb_before_it_reads_gets_its_413(server: ServiceProcess, request_bytes: bytes) -> None:
    answer = exchange(server, request_bytes)

    assert_is_error(answer.received, 413)
    assert answer.statuses == [413]
    assert answer.closed


def send_without_end(connection: socket.socket, piece: bytes) -> int:
    """Return how many bytes went before the server stopped taking them."""
    for n_sent in range(1 << 14):
        try:
            connection.sendall(piece)
        except OSError:
            return n_sent * len(piece)
    pytest.fail("the server took everything")


def test_a_body_without_end_is_not_read_without_end(server: ServiceProcess) -> None:
    with connect(server) as connection:
        connection.sendall(chunked(b""))
        answers: list[bytes] = []
        reading = threading.Thread(target=lambda: answers.append(connection.recv(10_000)))
        reading.start()
        n_bytes = send_without_end(connection, b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        reading.join()

    assert_is_error(answers[0], 413)
    assert n_bytes < 64 << 20


def test_the_rest_of_a_short_body_that_is_not_wanted_is_skipped(server: ServiceProcess) -> None:
    with connect(server) as connection:
        connection.sendall(post(path="/nothing-here")[:-5])
        first = connection.recv(10_000)
        connection.sendall(BODY[-5:] + get("/livez"))
        second = connection.recv(10_000)

    assert_is_error(first, 404)
    assert second.startswith(b"HTTP/1.1 200 ")


def test_requests_are_not_kept_waiting_by_each_other(server: ServiceProcess) -> None:
    with connect(server) as slow, httpx.Client(base_url=server.base_url) as client:
        slow.sendall(post()[:-5])
        assert client.post("/classify", json=dict(TICKET)).status_code == 200
        slow.sendall(BODY[-5:])
        assert slow.recv(10_000).startswith(b"HTTP/1.1 200 ")

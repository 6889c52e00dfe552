"""Calls to a helpdesk's API: nowhere else, not for long, of bounded size, and nothing of them in what is said."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from app.connectors.api import (
    CALL_SECONDS,
    MAX_ANSWER_BYTES,
    MAX_RETRY_AFTER_SECONDS,
    Answer,
    Api,
    ApiError,
    ConflictError,
    RefusedError,
    UnavailableError,
    _tls,
    retry_after_seconds,
)
from tests.connectors.servers.raw import OK, answer, make_certificate, raw_server

CANARY = "canary-7b3e"
AUTHORIZATION = {"authorization": f"Bearer {CANARY}"}
HTML = f"<html>{CANARY}</html>".encode()


def call(
    url: str, path: str = "/tickets/7", *, authorization: Mapping[str, str] = AUTHORIZATION, n_calls: int = 1
) -> Answer:
    async def calls() -> Answer:
        api = Api(url, authorization=authorization)
        try:
            for _ in range(n_calls - 1):
                await api.get(path)
            return await api.get(path)
        finally:
            await api.close()

    return asyncio.run(calls())


def failure(url: str, path: str = "/tickets/7", **options: object) -> ApiError:
    with pytest.raises(ApiError) as caught:
        call(url, path, **options)  # type: ignore[arg-type]
    assert CANARY not in str(caught.value)
    return caught.value


@pytest.fixture
def authorities() -> Iterator[None]:
    """Let the authorities be read anew, as by a process that begins, now and after the test."""
    _tls.cache_clear()
    yield
    _tls.cache_clear()


@pytest.mark.parametrize(
    "path",
    [
        "//{evil}/x",
        "/@{evil}/x",
        "@{evil}/x",
        ".{evil}/x",
        ":80@{evil}/x",
        "http://{evil}/x",
        "/http://{evil}/x",
        "\\\\{evil}\\x",
        "/\\{evil}/x",
        "/../x",
        "/a/../../x",
        "/..",
        "/a/%2e%2e/%2E./x",
        "/a/..%2fx",
        "/a\\..\\..\\x",
        "/.;/../x",
        "x",
        "",
        "?x",
        "/\r\nHost: {evil}",
        "/x y",
        "/\u2100{evil}",
    ],
)
def test_no_path_leads_away_from_the_api(path: str) -> None:
    with raw_server() as evil, raw_server() as server:
        try:
            call(f"http://{server.address}/base", path.format(evil=evil.address))
        except (RefusedError, UnavailableError):
            assert server.requests == []
        assert evil.requests == []
        assert all(target.startswith("/base/") for target in server.targets())
        assert not any(".." in target.replace("%2e", ".").replace("%2E", ".") for target in server.targets())


def test_what_is_asked_goes_to_the_api_with_its_authorization() -> None:
    with raw_server() as server:
        assert call(f"http://{server.address}/base/").json() == {}

    (request,) = server.requests
    assert request.startswith(b"GET /base/tickets/7 HTTP/1.1\r\n")
    assert f"authorization: Bearer {CANARY}\r\n".encode() in request.lower().replace(b"bearer", b"Bearer")


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_no_redirect_is_followed(status: str) -> None:
    with raw_server() as elsewhere:
        moved = answer(b"", status, location=f"http://{elsewhere.address}/{CANARY}")
        with raw_server(moved) as server:
            error = failure(f"http://{server.address}")

    assert isinstance(error, UnavailableError)
    assert "redirects are not followed" in str(error)
    assert elsewhere.requests == []


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    _, tls = make_certificate(tmp_path)
    with raw_server(tls=tls) as server:
        error = failure(f"https://{server.address}")

    assert isinstance(error, UnavailableError)
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)
    assert server.requests == []


@pytest.mark.usefixtures("authorities")
def test_an_authority_of_ones_own_is_named_in_ssl_cert_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, tls = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with raw_server(tls=tls) as server:
        assert call(f"https://{server.address}").status == 200


@pytest.mark.usefixtures("authorities")
def test_a_certificate_for_another_host_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, tls = make_certificate(tmp_path, host="192.0.2.7")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with raw_server(tls=tls) as server:
        assert isinstance(failure(f"https://{server.address}"), UnavailableError)


@pytest.mark.slow
def test_the_whole_call_takes_ten_seconds_at_most() -> None:
    drops = [bytes([byte]) for byte in answer(b"x" * 100)]
    with raw_server(*drops, pause_seconds=0.5) as server:
        began = time.monotonic()
        error = failure(f"http://{server.address}")

    assert isinstance(error, UnavailableError)
    assert f"no answer within {CALL_SECONDS:g} s" in str(error)
    assert CALL_SECONDS <= time.monotonic() - began < CALL_SECONDS + 5


def test_an_answer_has_a_megabyte_at_most() -> None:
    with raw_server(answer(b" " * (MAX_ANSWER_BYTES - 2) + b"{}")) as server:
        assert call(f"http://{server.address}").json() == {}
    with raw_server(answer(b" " * (MAX_ANSWER_BYTES - 1) + b"{}")) as server:
        assert isinstance(failure(f"http://{server.address}"), UnavailableError)
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with raw_server(endless, *[b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 40) as server:
        assert isinstance(failure(f"http://{server.address}"), UnavailableError)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
def test_a_compressed_answer_is_refused_and_none_is_asked_for(encoding: str) -> None:
    with raw_server(answer(gzip.compress(b"{}"), Content_Encoding=encoding)) as server:
        assert isinstance(failure(f"http://{server.address}"), UnavailableError)

    assert b"accept-encoding: identity\r\n" in server.requests[0].lower()


def test_the_environment_changes_neither_where_calls_go_nor_who_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login mia password of-mia\n", encoding="utf-8")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    with raw_server() as proxy, raw_server() as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{proxy.address}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        call(f"http://{server.address}")

    assert proxy.requests == []
    assert server.requests[0].lower().count(b"authorization:") == 1
    assert CANARY.encode() in server.requests[0]


def test_a_session_of_the_helpdesk_is_not_taken_up() -> None:
    with raw_server(answer(Set_Cookie="session=1; Path=/")) as server:
        call(f"http://{server.address}", n_calls=2)

    assert len(server.requests) == 2
    assert not any(b"cookie" in request.lower() for request in server.requests)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("400 Bad Request", RefusedError),
        ("401 Unauthorized", UnavailableError),
        ("403 Forbidden", UnavailableError),
        ("404 Not Found", RefusedError),
        ("408 Request Timeout", UnavailableError),
        ("409 Conflict", ConflictError),
        ("412 Precondition Failed", ConflictError),
        ("422 Unprocessable", RefusedError),
        ("429 Too Many Requests", UnavailableError),
        ("500 Internal Server Error", UnavailableError),
        ("503 Service Unavailable", UnavailableError),
        ("999 What", UnavailableError),
    ],
)
def test_what_goes_wrong_is_told_apart_by_what_is_to_be_done(status: str, expected: type[ApiError]) -> None:
    with raw_server(answer(HTML, status)) as server:
        error = failure(f"http://{server.address}")

    assert type(error) is expected
    assert f"GET /tickets/7: answered {status[:3]}" in str(error)


@pytest.mark.parametrize(
    "piece",
    [
        HTML,
        f"HTTP/1.1 2x0 {CANARY}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\n{CANARY}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\nContent-Length: {CANARY}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {CANARY}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{CANARY}\r\n".encode(),
        f"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{CANARY}".encode(),
        b"",
    ],
)
def test_no_message_has_anything_of_what_answered(piece: bytes) -> None:
    with raw_server(piece) as server:
        assert isinstance(failure(f"http://{server.address}"), UnavailableError)


def test_no_message_has_a_header_or_a_query_of_what_was_asked() -> None:
    # As h11 refuses it.
    with raw_server() as server:
        failure(f"http://{server.address}", authorization={"authorization": f"Bearer {CANARY} "})
    with raw_server(answer(HTML, "500 Oops")) as server:
        assert "/tickets" in str(failure(f"http://{server.address}", f"/tickets?key={CANARY}"))


def test_nobody_there_is_said() -> None:
    with raw_server() as server:
        address = server.address

    assert isinstance(failure(f"http://{address}"), UnavailableError)


def test_an_answer_that_is_not_json_is_said_when_it_is_asked_for() -> None:
    with raw_server(answer(HTML)) as server:
        html = call(f"http://{server.address}")
    with pytest.raises(UnavailableError, match="not JSON") as caught:
        html.json()
    assert CANARY not in str(caught.value)
    with pytest.raises(UnavailableError, match="not JSON"):
        Answer(200, {}, b"[" * 100_000).json()


def test_retry_after_is_read_as_seconds_and_as_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    date = format_datetime(soon, usegmt=True)

    assert retry_after_seconds("120") == 120
    assert retry_after_seconds("0") == 0
    assert 85 <= (retry_after_seconds(date) or 0) <= 91
    assert 85 <= (retry_after_seconds(date.replace("GMT", "-0000")) or 0) <= 91
    assert retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    for far in ("99999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -0000"):
        assert retry_after_seconds(far) == MAX_RETRY_AFTER_SECONDS
    odd = f"Mon, {'9' * 20} Jan 2040 00:00:00 GMT", f"Mon, 01 Jan 2040 00:00:00 +{'9' * 20}"
    for nothing in (None, "", "-1", "1.5", "soon", "\u0661", "Fri, 99 Xxx", "Mon, 01 Jan 0101 00:00:00 -0000", *odd):
        assert retry_after_seconds(nothing) in {None, 0}


def test_retry_after_comes_with_the_error() -> None:
    with raw_server(answer(b"", "429 Too Many Requests", Retry_After="7")) as server:
        error = failure(f"http://{server.address}")

    assert isinstance(error, UnavailableError)
    assert error.retry_after_seconds == 7


def test_what_is_sent_is_json() -> None:
    async def write(url: str) -> Answer:
        api = Api(url, authorization={})
        try:
            return await api.call("PATCH", "/tickets/7", body={"priority": "High"}, query={"q": "a b"})
        finally:
            await api.close()

    with raw_server(OK) as server:
        asyncio.run(write(f"http://{server.address}"))

    assert server.requests[0].startswith(b"PATCH /tickets/7?q=a+b HTTP/1.1\r\n")
    assert b"content-type: application/json\r\n" in server.requests[0].lower()

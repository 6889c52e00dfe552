"""The servers of the tests' own: what they all do, shown once."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.connectors.servers.dialect import (
    TOO_LARGE_BYTES,
    Dialect,
    Reply,
    Request,
    Route,
    closed,
    closed_after_it_was_done,
    html_page,
    meanwhile,
    rate_limited,
    redirect,
    running,
    slow,
    too_large,
)


class Counter(Dialect):
    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("GET", r"/counts/(?P<name>\w+)", self.show),
            Route("POST", r"/counts/(?P<name>\w+)", self.add),
        )

    def is_authenticated(self, request: Request) -> bool:
        return request.bearer() == "t0ken"

    def show(self, _request: Request, name: str) -> Reply:
        return Reply(content={"count": self.counts.get(name, 0)})

    def add(self, request: Request, name: str) -> Reply:
        self.counts[name] = self.counts.get(name, 0) + request.json()["by"]
        return Reply(201, {"count": self.counts[name]}, {"ETag": '"1"'})


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def client(counter: Counter) -> Iterator[httpx.Client]:
    with (
        running(counter) as url,
        httpx.Client(base_url=url, headers={"Authorization": "Bearer t0ken"}, timeout=5) as client,
    ):
        yield client


def test_a_request_is_answered_and_logged(counter: Counter, client: httpx.Client) -> None:
    added = client.post("/counts/a?why=test", json={"by": 2})
    shown = client.get("/counts/a")

    assert (added.status_code, added.headers["etag"], shown.json()) == (201, '"1"', {"count": 2})
    assert [(request.method, request.path) for request in counter.requests] == [
        ("POST", "/counts/a"),
        ("GET", "/counts/a"),
    ]
    assert counter.writes()[0].query == {"why": "test"}


def test_a_stranger_and_an_unknown_path_are_told_so(counter: Counter, client: httpx.Client) -> None:
    assert client.get("/counts/a", headers={"Authorization": "Bearer other"}).status_code == 401
    assert client.get("/elsewhere").status_code == 404
    assert client.delete("/counts/a").status_code == 404
    assert counter.counts == {}


def test_troubles_come_in_their_order_and_each_once(counter: Counter, client: httpx.Client) -> None:
    counter.give(rate_limited(7), html_page(), redirect("http://elsewhere.example/"), too_large())

    limited, page, moved, large, well = (client.get("/counts/a") for _ in range(5))

    assert (limited.status_code, limited.headers["retry-after"]) == (429, "7")
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert (moved.status_code, moved.headers["location"]) == (302, "http://elsewhere.example/")
    assert len(large.content) > TOO_LARGE_BYTES
    assert well.json() == {"count": 0}


def test_a_trouble_for_one_method_and_path_lets_the_others_pass(counter: Counter, client: httpx.Client) -> None:
    counter.give(rate_limited(1), method="POST", path="/counts/b$")

    assert client.post("/counts/a", json={"by": 1}).status_code == 201
    assert client.get("/counts/b").status_code == 200
    assert client.post("/counts/b", json={"by": 1}).status_code == 429


def test_a_closed_connection_can_lose_the_request_or_only_its_answer(counter: Counter, client: httpx.Client) -> None:
    counter.give(closed(), closed_after_it_was_done())

    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/counts/a", json={"by": 1})

    assert client.get("/counts/a").json() == {"count": 1}


def test_a_slow_answer_comes_late_and_holds_up_nobody_else(counter: Counter, client: httpx.Client) -> None:
    counter.give(slow(0.5), path="slow")

    with pytest.raises(httpx.ReadTimeout):
        client.get("/counts/slow", timeout=0.1)
    started = time.monotonic()

    assert client.get("/counts/a").status_code == 200
    assert time.monotonic() - started < 0.4


def test_somebody_else_can_be_faster_by_a_moment(counter: Counter, client: httpx.Client) -> None:
    counter.give(meanwhile(lambda: counter.counts.update(a=10)), method="POST")

    assert client.post("/counts/a", json={"by": 1}).json() == {"count": 11}


def test_requests_that_are_left_run_out(counter: Counter, client: httpx.Client) -> None:
    counter.requests_left = 1

    assert [client.get("/counts/a").status_code for _ in range(2)] == [200, 429]


def test_a_server_that_went_away_comes_back_with_what_it_held(counter: Counter) -> None:
    with running(counter) as url, httpx.Client(headers={"Authorization": "Bearer t0ken"}) as client:
        client.post(f"{url}/counts/a", json={"by": 3})
    with httpx.Client(headers={"Authorization": "Bearer t0ken"}) as client:
        with pytest.raises(httpx.ConnectError):
            client.get(f"{url}/counts/a")
        with running(counter, httpx.URL(url).port or 0):
            assert client.get(f"{url}/counts/a").json() == {"count": 3}

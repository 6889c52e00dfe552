"""Whatever arrives, the answer is below 500, in the one error shape, and never repeats what was sent."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config import Settings
from app.keys import hash_key
from tests.in_process import TICKET, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")
PATHS = (
    "/", "/classify", "/classify/batch", "/version", "/health", "/model/status", "/metrics", "/openapi.json", "/x",
)  # fmt: skip
# What callers put into paths: any text, that of a route, and what databases and file systems mind.
SEGMENTS = st.text(max_size=20) | st.sampled_from(
    ["", ".", "..", "\0", "\n", "claim", "{prediction_id}", "01900000-0000-7000-8000-000000000000", "a/b", "'", "%00"]
)
PATHS_OF_THE_STORE = (
    st.sampled_from(["/review", "/review/claim", "/feedback", "/feedback/batch", "/model/promises/reset"])
    | st.builds("/review/{}/skip".format, SEGMENTS)
    | st.builds("/feedback/{}".format, SEGMENTS)
    | st.builds("/tickets/{}".format, SEGMENTS)
)
QUERIES = st.binary(max_size=30) | st.lists(
    st.tuples(
        st.sampled_from(["head", "label", "decision", "state", "order", "limit", "cursor", "x"]),
        st.text(max_size=8)
        | st.sampled_from(["1", "open", "judged", "newest", "oldest", "review", "0" * 48, "f" * 48, "7ff8" + "0" * 44]),
    ),
    max_size=3,
).map(lambda pairs: urlencode(pairs).encode())
HEADER_NAMES = (
    b"content-type", b"content-encoding", b"content-length", b"transfer-encoding", b"x-request-id", b"x-api-key",
    b"authorization", b"x-forwarded-for", b"origin", b"access-control-request-method", b"accept", b"host", b"cookie",
)  # fmt: skip
HEADER_VALUES = st.binary(max_size=40) | st.sampled_from(
    [b"application/json", b"chunked", b"gzip", b"10", b"-1", b"1e3", b"POST", b"https://desk.example", b"Bearer x"]
)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)
TICKET_LIKE = st.fixed_dictionaries(
    {"title": JSON_VALUES, "description": JSON_VALUES},
    optional={"customer_email": JSON_VALUES, "ticket_id": JSON_VALUES, "tickets": JSON_VALUES, "other": JSON_VALUES},
)
REMARKS = st.fixed_dictionaries(
    {"labels": st.dictionaries(st.sampled_from(["priority", "x"]) | st.text(max_size=5), st.text(max_size=8))},
    optional={
        "prediction_id": SEGMENTS,
        "ticket_id": SEGMENTS,
        "ticket": st.fixed_dictionaries({"title": st.text(max_size=20), "description": JSON_VALUES}),
        "source": st.sampled_from(["review", "helpdesk", "api", "x"]),
        "reviewer": SEGMENTS,
        "allow_new_labels": st.booleans(),
    },
)
BODIES = (
    st.binary(max_size=300)
    | JSON_VALUES.map(lambda value: json.dumps(value).encode())
    | TICKET_LIKE.map(lambda value: json.dumps(value).encode())
    | st.builds(
        lambda body, position, byte: body[:position] + byte + body[position + 1 :],
        st.just(json.dumps(dict(TICKET)).encode()),
        st.integers(0, 90),
        st.binary(max_size=3),
    )
)


@pytest.fixture(scope="module")
def open_service(models_dir: Path) -> Iterator[Service]:
    values = {
        "models_base_dir": str(models_dir),
        "rate_limit_requests": 1_000_000,
        "max_body_bytes": 2_000,
        "cors_allow_origins": ("https://desk.example",),
    }
    with Service(Settings(_env_file=None, **values)) as service:
        yield service


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store_service(
    models_dir: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Service]:
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            store_url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}"
        else:
            store_url = stack.enter_context(request.getfixturevalue("postgres").database())
        values = {
            "models_base_dir": str(models_dir),
            "rate_limit_requests": 1_000_000,
            "store_url": store_url,
            "admin_api_keys": (hash_key("admin"),),
        }
        yield stack.enter_context(Service(Settings(_env_file=None, **values)))


def assert_well_formed(response: httpx.Response, method: str) -> None:
    assert response.status_code < 500
    request_id = response.headers["x-request-id"]
    if response.status_code >= 400 and method != "HEAD":
        body = response.json()
        errors = {"errors"} if response.status_code == 422 else set()
        assert set(body) == {"detail", "code", "error", "request_id"} | errors
        assert body["code"] == f"HTTP_{response.status_code}"
        assert body["request_id"] == request_id


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(METHODS),
    path=st.sampled_from(PATHS) | st.text(max_size=30).map("/{}".format),
    query=st.binary(max_size=30),
    headers=st.lists(st.tuples(st.sampled_from(HEADER_NAMES), HEADER_VALUES), max_size=6),
    body=BODIES,
)
def test_any_request_is_answered_below_500_in_the_one_shape(
    open_service: Service, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    answer = open_service.ask_raw(method, path, query=query, headers=headers, body=body)

    assert_well_formed(answer, method)


@settings(deadline=None, max_examples=200)
@given(method=st.sampled_from(METHODS), path=PATHS_OF_THE_STORE, query=QUERIES, body=BODIES, key=st.binary(max_size=9))
def test_any_request_to_what_asks_the_store_is_answered_below_500(
    store_service: Service, method: str, path: str, query: bytes, body: bytes, key: bytes
) -> None:
    headers = [(b"x-api-key", b"admin"), (b"content-type", b"application/json"), (b"idempotency-key", key)]

    answer = store_service.ask_raw(method, path, query=query, headers=headers, body=body)

    assert_well_formed(answer, method)


@settings(deadline=None, max_examples=100)
@given(remark=REMARKS, is_batch=st.booleans())
def test_any_feedback_is_answered_below_500(
    store_service: Service, remark: dict[str, object], *, is_batch: bool
) -> None:
    path, content = ("/feedback/batch", {"feedback": [remark]}) if is_batch else ("/feedback", remark)
    headers = [(b"x-api-key", b"admin"), (b"content-type", b"application/json")]

    answer = store_service.ask_raw("POST", path, query=b"", headers=headers, body=json.dumps(content).encode())

    assert_well_formed(answer, "POST")


@settings(deadline=None, max_examples=400)
@given(path=st.sampled_from(["/classify", "/classify/batch"]), body=BODIES)
def test_any_json_body_is_answered_below_500_in_the_one_shape(open_service: Service, path: str, body: bytes) -> None:
    response = open_service.classify_bytes(body, path=path)

    assert response.status_code in {200, 413, 422}
    assert_well_formed(response, "POST")


@settings(deadline=None, max_examples=150)
@given(
    title=st.text(max_size=300, alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
    description=st.text(max_size=300, alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",))),
    email=st.none() | st.emails(),
)
def test_any_valid_ticket_is_classified_and_comes_back_unchanged(
    open_service: Service, title: str, description: str, email: str | None
) -> None:
    body = json.dumps({"title": title, "description": description, "customer_email": email})

    response = open_service.classify_bytes(body.encode())

    if title.strip() or description.strip():
        if len(body) <= 2_000:
            answer = response.json()
            assert response.status_code == 200, response.text
            assert (answer["title"], answer["description"], answer["customer_email"]) == (title, description, email)
    else:
        assert response.status_code == 422

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from app.errors import CATALOGUE, ErrorKind
from app.web.error_handlers import error_response, send_error

if TYPE_CHECKING:
    from tests.conftest import Service

ERROR_KEYS = {"detail", "code", "error", "request_id"}


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nope", 404, "not_found"),
        ("GET", "/classify/", 404, "not_found"),
        ("GET", "/%2e%2e/%00", 404, "not_found"),
        ("GET", "/classify", 405, "method_not_allowed"),
        ("DELETE", "/version", 405, "method_not_allowed"),
        ("TRACE", "/classify", 405, "method_not_allowed"),
        ("OPTIONS", "/classify", 405, "method_not_allowed"),
        ("POST", "/classify", 415, "unsupported_media_type"),
    ],
)
def test_the_framework_answers_in_the_one_shape(
    service: Service, method: str, path: str, status: int, slug: str
) -> None:
    response = service.request(method, path)

    assert (response.status_code, response.json()["error"]) == (status, slug)
    assert set(response.json()) == ERROR_KEYS
    assert response.json()["request_id"] == response.headers["x-request-id"]


def test_405_names_the_methods_that_the_path_takes(service: Service) -> None:
    assert service.get("/classify").headers["allow"] == "POST"


@pytest.mark.parametrize("kind", CATALOGUE, ids=lambda kind: kind.slug)
def test_an_error_without_a_detail_is_encoded_once_and_says_the_same(kind: ErrorKind) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's messages
        sent.append(message)

    scope = {"type": "http", "state": {"request_id": "id-1.2_3"}}
    asyncio.run(send_error(scope, send, kind))
    whole = error_response({"type": "http", "state": {"request_id": "id-1.2_3"}}, kind)

    assert scope["state"] == {"request_id": "id-1.2_3", "error": kind.slug}
    assert sent[0]["status"] == whole.status_code
    assert sorted(sent[0]["headers"]) == sorted(whole.raw_headers)
    assert b"".join(message["body"] for message in sent[1:]) == whole.body

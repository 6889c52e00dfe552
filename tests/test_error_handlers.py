from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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

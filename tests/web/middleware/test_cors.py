from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import pytest

from app.errors import MALFORMED_REQUEST
from app.serving.admission import Admission

if TYPE_CHECKING:
    from tests.conftest import Service, StartService

ERROR_KEYS = {"detail", "code", "error", "request_id"}


PREFLIGHT: Final[Mapping[str, str]] = MappingProxyType(
    {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
)


@pytest.fixture
def shared(start_service: StartService) -> Service:
    return start_service(cors_allow_origins=("https://desk.example",), rate_limit_requests=1)


def test_nothing_is_allowed_unless_configured(service: Service) -> None:
    response = service.classify(headers={"Origin": "https://desk.example"})

    assert not [name for name in response.headers if name.startswith("access-control")]


def test_an_allowed_origin_may_call_and_read_errors(shared: Service) -> None:
    answers = [shared.classify(headers={"Origin": "https://desk.example"}) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "https://desk.example"
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


def test_another_origin_may_not(shared: Service) -> None:
    answer = shared.classify(headers={"Origin": "https://evil.example"})

    assert "access-control-allow-origin" not in answer.headers


def test_a_preflight_is_answered_and_not_counted(shared: Service) -> None:
    headers = {"Origin": "https://desk.example", **PREFLIGHT}

    answers = [shared.request("OPTIONS", "/classify", headers=headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].headers["access-control-allow-origin"] == "https://desk.example"
    assert shared.classify().status_code == 200


@pytest.mark.parametrize(
    ("method", "header"), [("DELETE", "x-api-key"), ("POST", "idempotency-key"), ("GET", "authorization")]
)
def test_a_page_may_ask_for_what_the_routes_take(shared: Service, method: str, header: str) -> None:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": header}

    answer = shared.request("OPTIONS", "/classify", headers={"Origin": "https://desk.example", **asked})

    assert answer.status_code == 200


def test_a_refused_preflight_has_the_one_error_shape(shared: Service) -> None:
    headers = {"Origin": "https://evil.example", **PREFLIGHT}

    response = shared.request("OPTIONS", "/classify", headers=headers)

    assert (response.status_code, response.json()["error"]) == (400, "cors_refused")
    assert set(response.json()) == ERROR_KEYS
    assert "evil" not in response.text


def test_any_origin_never_goes_with_credentials(start_service: StartService) -> None:
    service = start_service(cors_allow_origins=("*",))

    response = service.classify(headers={"Origin": "https://anybody.example"})

    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers


def test_a_failure_can_be_read_by_an_allowed_page(shared: Service) -> None:
    async def fail() -> None:
        raise RuntimeError

    shared.app.add_api_route("/fail", fail, methods=["GET"])

    answer = shared.get("/fail", headers={"Origin": "https://desk.example"})

    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert answer.headers.get_list("access-control-allow-origin") == ["https://desk.example"]
    assert answer.headers["vary"] == "Origin"


def test_a_preflight_says_once_what_is_allowed(shared: Service) -> None:
    answer = shared.request("OPTIONS", "/classify", headers={"Origin": "https://desk.example", **PREFLIGHT})

    assert answer.headers.get_list("access-control-allow-origin") == ["https://desk.example"]


def test_a_preflight_is_answered_while_no_more_tickets_are_taken(shared: Service) -> None:
    shared.state["ticket_admission"] = Admission(max_running_units=1, max_waiting_units=0)
    headers = {"Origin": "https://desk.example"}

    preflight = shared.request("OPTIONS", "/classify", headers={**headers, **PREFLIGHT})
    refused = shared.classify(headers=headers)

    assert (preflight.status_code, refused.status_code) == (200, 503)
    assert refused.headers["access-control-allow-origin"] == "https://desk.example"


def test_what_the_server_refuses_can_be_read_by_an_allowed_page(shared: Service) -> None:
    shared.state["refusal"] = MALFORMED_REQUEST

    answer = shared.classify(headers={"Origin": "https://desk.example"})

    assert (answer.status_code, answer.json()["error"]) == (400, MALFORMED_REQUEST.slug)
    assert answer.headers["access-control-allow-origin"] == "https://desk.example"

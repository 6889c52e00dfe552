from __future__ import annotations

import asyncio
import hashlib
import itertools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from starlette.routing import Route

from app.limits.clients import Client, Role
from app.web.console.page import refusal_page
from app.web.middleware.authentication import AuthenticationMiddleware
from app.web.roles import LEAST_ROLES

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from tests.conftest import Service, StartService

KEYS = {key: hashlib.sha256(key.encode()).hexdigest() for key in ("first-key", "second-key")}
ERROR_KEYS = {"detail", "code", "error", "request_id"}


@pytest.fixture
def keyed(start_service: StartService) -> Service:
    return start_service(api_keys=tuple(KEYS.values()), rate_limit_requests=3)


@pytest.mark.parametrize("key", KEYS)
def test_every_configured_key_is_accepted_in_both_headers(keyed: Service, key: str) -> None:
    assert keyed.classify(headers={"X-API-Key": key}).status_code == 200
    assert keyed.classify(headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert keyed.classify(headers={"Authorization": f"bearer  {key}"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "third-key"},
        {"X-API-Key": KEYS["first-key"]},
        {"Authorization": "Bearer third-key"},
        {"Authorization": "Basic first-key"},
        {"Authorization": "first-key"},
    ],
)
def test_without_an_accepted_key_nothing_is_classified(keyed: Service, headers: dict[str, str]) -> None:
    response = keyed.classify(headers=headers)

    assert response.status_code == 401
    assert response.json()["error"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"
    assert set(response.json()) == ERROR_KEYS


def test_the_other_classifying_routes_ask_too_and_health_does_not(start_service: StartService) -> None:
    service = start_service(api_keys=tuple(KEYS.values()))

    assert service.classify(path="/classify/batch").status_code == 401
    assert service.get("/model/status").status_code == 401
    for path in ("/", "/health", "/health/live", "/health/ready", "/livez", "/readyz", "/metrics", "/version"):
        assert service.get(path).status_code == 200


def test_each_key_has_its_own_limit_wherever_it_comes_from(keyed: Service) -> None:
    def status(key: str, host: str) -> int:
        return int(keyed.classify(headers={"X-API-Key": key}, peer=(host, 1)).status_code)

    assert [status("first-key", f"192.0.2.{i}") for i in range(4)] == [200, 200, 200, 429]
    assert status("second-key", "192.0.2.1") == 200


def test_guessing_keys_is_limited_by_address(keyed: Service) -> None:
    guesses = [keyed.classify(headers={"X-API-Key": f"guess-{i}"}).status_code for i in range(5)]

    assert guesses == [401, 401, 401, 429, 429]


def test_keys_are_never_logged(keyed: Service, capsys: pytest.CaptureFixture[str]) -> None:
    keyed.classify(headers={"X-API-Key": "first-key"})
    keyed.classify(headers={"X-API-Key": "wrong-key", "Authorization": "Bearer wrong-key"})

    output = capsys.readouterr().out
    assert "first-key" not in output
    assert "wrong-key" not in output
    assert KEYS["first-key"] not in output


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/classify", 401),
        ("POST", "/api/model/reload", 403),
        ("POST", "/api/api/classify", 404),
        ("GET", "/api/livez", 200),
    ],
)
def test_a_servers_root_path_opens_nothing(start_service: StartService, method: str, path: str, status: int) -> None:
    service = start_service(api_keys=tuple(KEYS.values()))

    assert service.request(method, path, root_path="/api").status_code == status


ADMIN_KEY = "admin-key"
ADMIN_HASH = hashlib.sha256(ADMIN_KEY.encode()).hexdigest()
ADMIN_PATHS = ("/model/activate", "/model/reload")


@pytest.mark.parametrize("path", ADMIN_PATHS)
def test_what_changes_the_service_takes_an_admin_key(start_service: StartService, path: str) -> None:
    service = start_service(api_keys=tuple(KEYS.values()), admin_api_keys=(ADMIN_HASH,))

    without = service.request("POST", path)
    unknown = service.request("POST", path, headers={"X-API-Key": "third-key"})
    callers = service.request("POST", path, headers={"X-API-Key": "first-key"})
    admins = service.request("POST", path, headers={"X-API-Key": ADMIN_KEY})

    assert [(answer.status_code, answer.json()["error"]) for answer in (without, unknown, callers)] == [
        (401, "invalid_api_key"),
        (401, "invalid_api_key"),
        (403, "admin_key_required"),
    ]
    assert without.headers["www-authenticate"] == "Bearer"
    assert "www-authenticate" not in callers.headers
    assert admins.status_code not in {401, 403}


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "OPTIONS"])
@pytest.mark.parametrize("path", ADMIN_PATHS)
def test_without_admin_keys_nothing_can_be_changed(start_service: StartService, path: str, method: str) -> None:
    service = start_service(api_keys=tuple(KEYS.values()))

    for headers in ({}, {"X-API-Key": "first-key"}, {"X-API-Key": ADMIN_KEY}):
        answer = service.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["error"]) == (403, "admin_disabled")
        assert "ADMIN_API_KEYS" in answer.json()["detail"]
        assert set(answer.json()) == ERROR_KEYS


def test_an_admin_key_classifies_too(start_service: StartService) -> None:
    service = start_service(api_keys=tuple(KEYS.values()), admin_api_keys=(ADMIN_HASH,))

    assert service.classify(headers={"Authorization": f"Bearer {ADMIN_KEY}"}).status_code == 200


def test_admin_keys_alone_do_not_close_the_service_to_callers(start_service: StartService) -> None:
    service = start_service(admin_api_keys=(ADMIN_HASH,))

    assert service.classify().status_code == 200
    assert service.request("POST", ADMIN_PATHS[0]).status_code == 401


def test_every_route_is_in_the_table_of_roles_and_none_that_is_not_there(service: Service) -> None:
    assert {route.path_format for route in service.app.routes if isinstance(route, Route)} == set(LEAST_ROLES)


HERE, ELSEWHERE, BY_PROXY = ("127.0.0.1", 5000), ("192.0.2.1", 5000), ("127.0.0.1", 0)
KEYED = [frozenset(roles) for n in range(4) for roles in itertools.combinations(list(Role)[1:], n)]
TABLE = MappingProxyType({f"/{role.name}": role for role in Role})


def passed_or_refused(
    *, keyed: frozenset[Role], role: Role, least: Role, peer: tuple[str, int], headers: tuple[tuple[bytes, bytes], ...]
) -> int:
    """Return 200 when the request gets through to the route, else the status of the refusal."""
    statuses = []

    async def route(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:  # noqa: ANN401 - ASGI's messages
        statuses.append(message.get("status"))

    state = {"route": f"/{least.name}", "client": Client("address:x", role)}
    scope = {"type": "http", "method": "GET", "headers": headers, "client": peer, "state": state}
    guarded = AuthenticationMiddleware(route, least_roles=TABLE, roles_with_keys=keyed, refusal_page=refusal_page)
    asyncio.run(guarded(scope, receive, send))
    return int(statuses[0])


@pytest.mark.parametrize("keyed", KEYED, ids=lambda keyed: "+".join(role.name for role in sorted(keyed)) or "none")
@pytest.mark.parametrize("least", Role, ids=lambda role: role.name)
def test_what_a_role_opens_depends_on_nothing_but_who_has_keys_and_where_a_request_comes_from(
    keyed: frozenset[Role], least: Role
) -> None:
    forwarded = ((b"x-forwarded-for", b"127.0.0.1"),)
    for role in {Role.ANYONE, *keyed}:
        for peer, headers, is_here in (
            (HERE, (), True),
            (HERE, forwarded, False),
            (BY_PROXY, (), False),
            (ELSEWHERE, (), False),
        ):
            status = passed_or_refused(keyed=keyed, role=role, least=least, peer=peer, headers=headers)

            if least is Role.ANYONE or role >= least:
                expected = 200
            elif least is Role.CALLER:
                expected = 401 if Role.CALLER in keyed else 200
            elif least is Role.REVIEWER and keyed <= {Role.CALLER}:
                expected = 200 if is_here else 403
            elif least is Role.ADMIN and Role.ADMIN not in keyed:
                expected = 403
            else:
                expected = 403 if role else 401
            assert status == expected, (role, peer, headers)

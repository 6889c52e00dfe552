from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from starlette._utils import get_route_path
from starlette.routing import Match

from app.config import Settings
from app.keys import hash_key
from app.main import create_app
from app.metrics.service_metrics import UNMATCHED_ROUTE
from app.web.api.direct_route import DirectRoute, send_json
from app.web.application import Application, RouteTable
from tests.in_process import Service

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from tests.conftest import StartService


ROUTES = create_app(Settings()).routes
SEGMENTS = st.sampled_from(["", "model", "activate", "classify", "batch", "docs", "x", "%2e", "..", "a b"])
PATHS = st.lists(SEGMENTS, max_size=5).map(lambda segments: "/" + "/".join(segments))
PREFIXES = st.one_of(st.just(""), st.lists(SEGMENTS, min_size=1, max_size=2).map(lambda s: "/" + "/".join(s)))


def as_the_framework_routes(scope: dict[str, Any]) -> str:
    for route in ROUTES:
        if route.matches(scope)[0] is not Match.NONE:
            return getattr(route, "path_format", "")
    return UNMATCHED_ROUTE


@given(
    path=PATHS, root_path=PREFIXES, before=st.sampled_from(["", "root_path"]), method=st.sampled_from(["GET", "POST"])
)
def test_guards_see_the_route_that_the_framework_would_serve(
    path: str, root_path: str, before: str, method: str
) -> None:
    full = root_path + path if before else path
    scope = {"type": "http", "method": method, "path": full, "root_path": root_path, "headers": []}

    matched = RouteTable(ROUTES).match(scope)

    assert matched == as_the_framework_routes(dict(scope)), get_route_path(scope)


@pytest.mark.parametrize(
    ("root_path", "path"),
    [("/model", "/model/activate"), ("/classify", "/classify/batch"), ("/model", "/model/reload")],
)
def test_a_root_path_that_looks_like_a_route_opens_none(start_service: StartService, root_path: str, path: str) -> None:
    service = start_service(api_keys=(hash_key("caller"),), admin_api_keys=(hash_key("admin"),))

    # The server has put its root path before the path that was asked for, as uvicorn does.
    answers = [
        service.request("POST", asked, root_path=root_path, json={"version": "1.0.0"})
        for asked in (path, f"{root_path}{path}")
    ]

    assert [answer.status_code for answer in answers] == [404, 401]


class Nothing(BaseModel):
    model_config = ConfigDict(extra="allow")


class Paging(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: int = 50


async def say_what_arrived(scope: Scope, _: Receive, send: Send) -> None:
    arrived = {
        "method": scope["method"],
        "route": scope["state"]["route"],
        "parameters": scope.get("path_params", {}),
    }
    await send_json(send, json.dumps(arrived).encode())


def route(method: str, path: str) -> DirectRoute:
    name = f"{method} {path}"
    return DirectRoute(
        path,
        say_what_arrived,
        method=method,
        name=name,
        summary=name,
        query_model=Paging if method == "GET" else None,
        response_model=Nothing,
        errors=(),
    )


TEMPLATES = [
    route("POST", "/notes"),
    route("DELETE", "/notes/{note_id}"),
    route("GET", "/notes/{note_id}"),
    route("POST", "/notes/batch"),
    route("POST", "/notes/{note_id}/skip"),
    route("POST", "/notes/claim/skip"),
    route("DELETE", "/people/{name:path}"),
]


@pytest.fixture(scope="module")
def with_templates(models_dir: Path) -> Iterator[Service]:
    settings = Settings(_env_file=None, models_base_dir=str(models_dir), rate_limit_requests=1_000_000)
    with Service(settings) as service:
        service.app.router.routes.extend(TEMPLATES)
        yield service


def expected_route(path: str) -> tuple[str, dict[str, str]]:
    """Return the template and its parameters, found without a pattern."""
    match path.split("/")[1:]:
        case ["notes"] | ["notes", "batch"] | ["notes", "claim", "skip"]:
            return path, {}
        case ["notes", note_id] if note_id:
            return "/notes/{note_id}", {"note_id": note_id}
        case ["notes", note_id, "skip"] if note_id:
            return "/notes/{note_id}/skip", {"note_id": note_id}
        case ["people", *names] if names:
            return "/people/{name}", {"name": "/".join(names)}
    return UNMATCHED_ROUTE, {}


NOTE_SEGMENTS = st.sampled_from(["", "notes", "batch", "claim", "skip", "people", "{note_id}", "..", "a b", "ä", "x\n"])


@given(
    segments=st.lists(NOTE_SEGMENTS, max_size=4),
    start=st.sampled_from(["notes", "people"]),
    method=st.sampled_from(["GET", "POST", "DELETE"]),
)
def test_guards_and_routes_see_the_same_template_and_parameters(
    with_templates: Service, segments: Sequence[str], start: str, method: str
) -> None:
    path = "/" + "/".join([start, *segments])
    template, parameters = expected_route(path)
    if template == "/people/{name}" and "\n" in path:
        template, parameters = UNMATCHED_ROUTE, {}
    methods = {one for route in TEMPLATES if route.path_format == template for one in route.methods}

    answer = with_templates.ask_raw(method, path, query=b"", headers=[], body=b"")

    if method in methods:
        assert answer.json() == {"method": method, "route": template, "parameters": parameters}
    elif methods:
        assert (answer.status_code, answer.headers["allow"]) == (405, ", ".join(sorted(methods)))
    else:
        assert answer.status_code == 404


def test_a_templates_parameters_are_in_no_metric_and_no_line_of_the_log(
    with_templates: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    with_templates.ask_raw("DELETE", "/people/canary@example.com", query=b"canary=canary", headers=[], body=b"")
    with_templates.ask_raw("PUT", "/notes/canary", query=b"", headers=[], body=b"")

    logged = capsys.readouterr().out
    shown = with_templates.get("/metrics").text
    assert '"path": "/people/{name}"' in logged
    assert 'http_requests_total{method="DELETE",route="/people/{name}",status="200"}' in shown
    assert 'http_requests_total{method="PUT",route="/notes/{note_id}",status="405"}' in shown
    assert "canary" not in logged + shown


def test_the_document_names_the_parameters_of_paths_and_queries() -> None:
    app = Application(routes=TEMPLATES)

    operations = app.openapi()["paths"]["/notes/{note_id}"]

    assert [(one["name"], one["in"], one["required"]) for one in operations["get"]["parameters"]] == [
        ("note_id", "path", True),
        ("limit", "query", False),
    ]
    assert [one["name"] for one in operations["delete"]["parameters"]] == ["note_id"]
    assert "requestBody" not in operations["delete"]
    assert "/people/{name}" in app.openapi()["paths"]


def test_only_routes_that_refuse_in_the_one_error_shape_take_parameters() -> None:
    by_framework = [one for one in ROUTES if isinstance(one, APIRoute) and not isinstance(one, DirectRoute)]

    assert by_framework
    for one in by_framework:
        dependant = one.dependant
        parameters = [*dependant.path_params, *dependant.query_params, *dependant.header_params]
        assert [*parameters, *dependant.cookie_params, *dependant.body_params] == [], one.path

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette._utils import get_route_path
from starlette.routing import Match

from app.config import Settings
from app.keys import hash_key
from app.main import create_app
from app.metrics.service_metrics import UNMATCHED_ROUTE
from app.web.application import RouteTable

if TYPE_CHECKING:
    from tests.conftest import StartService


ROUTES = create_app(Settings()).routes
SEGMENTS = st.sampled_from(["", "model", "activate", "classify", "batch", "docs", "x", "%2e", "..", "a b"])
PATHS = st.lists(SEGMENTS, max_size=5).map(lambda segments: "/" + "/".join(segments))
PREFIXES = st.one_of(st.just(""), st.lists(SEGMENTS, min_size=1, max_size=2).map(lambda s: "/" + "/".join(s)))


def as_the_framework_routes(scope: dict[str, Any]) -> str:
    for route in ROUTES:
        if route.matches(scope)[0] is not Match.NONE:
            return getattr(route, "path", "")
    return UNMATCHED_ROUTE


@given(
    path=PATHS, root_path=PREFIXES, before=st.sampled_from(["", "root_path"]), method=st.sampled_from(["GET", "POST"])
)
def test_guards_see_the_route_that_the_framework_serves(path: str, root_path: str, before: str, method: str) -> None:
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

"""Looks at a helpdesk: what is left of one that is cut off."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from app.store.tables import connector_states
from tests.conftest import StartService
from tests.connectors.connected import TOKEN, ConnectedService, connecting
from tests.connectors.servers.dialect import Dialect, Reply, Request, Route, rate_limited, running, slow

TABLE = """
type = "django-helpdesk"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
look_seconds = 300
"""


class NoFollowUps(Dialect):
    """As much of django-helpdesk as a look at an empty one needs."""

    def is_authenticated(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Token {TOKEN}"

    def routes(self) -> tuple[Route, ...]:
        return (Route("GET", "/api/followups/", self._list),)

    def _list(self, _: Request) -> Reply:
        return Reply(200, {"count": 0, "results": []})


def lease_ms(connected: ConnectedService) -> int:
    (state,) = connected.rows(connector_states)
    return int(state["look_leased_until_ms"])


def test_a_process_that_stops_amid_a_look_leaves_the_next_one_to_whoever_comes_after(
    start_service: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpdesk = NoFollowUps()
    with running(helpdesk) as url:
        helpdesk.give(slow(5.0))
        with connecting(start_service, tmp_path, monkeypatch) as start:
            connected = start(TABLE.format(url=url))
            connected.wait_until(lambda: bool(helpdesk.requests))
            assert lease_ms(connected) > time.time() * 1000

            connected.service.run(connected.service.state["connectors"].close())

            assert lease_ms(connected) <= time.time() * 1000


def test_a_pause_that_the_helpdesk_asks_a_look_for_is_kept_by_all(
    start_service: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helpdesk = NoFollowUps()
    with running(helpdesk) as url, connecting(start_service, tmp_path, monkeypatch) as start:
        helpdesk.give(rate_limited(retry_after_seconds=600))
        connected = start(TABLE.format(url=url))
        connected.wait_until(lambda: any(state["problem"] for state in connected.rows(connector_states)))

        (state,) = connected.rows(connector_states)
        assert 590_000 < state["paused_until_ms"] - time.time() * 1000 <= 600_000

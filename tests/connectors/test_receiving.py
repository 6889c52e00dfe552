"""Deliveries on both databases: each done once, whoever gets it, and odd ones no trouble."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.connectors.connected import SECRET, SURE, TOKEN, ConnectedService, StartConnected
from tests.connectors.servers.dialect import running
from tests.connectors.servers.generic import Generic
from tests.connectors.test_generic import TABLE, signed, tell


@pytest.fixture
def helpdesk() -> Generic:
    return Generic(token=TOKEN)


@pytest.fixture
def connected(helpdesk: Generic, start_connected: StartConnected, store_url: str) -> Iterator[ConnectedService]:
    with running(helpdesk) as url:
        yield start_connected(TABLE.format(url=url), store_url=store_url)


def test_what_no_database_takes_is_left_out_of_what_a_judgement_keeps(
    helpdesk: Generic, connected: ConnectedService
) -> None:
    ticket = dict(helpdesk.create("7", **SURE))
    tell(connected, ticket)
    odd = {"title": "do\0wn \ud800", "description": "x" * 50_000}

    answer = tell(connected, {**ticket, **odd, "priority": "Low"}, identifier="msg_2")

    assert answer["outcome"] == "recorded"
    (row,) = connected.feedback()
    assert row["title"] == "down "
    assert row["description"] == "x" * 20_000


def test_a_ticket_is_classified_once_however_many_deliveries_tell_of_it(
    helpdesk: Generic, connected: ConnectedService
) -> None:
    ticket = helpdesk.create("7", **SURE)
    body = json.dumps(ticket).encode()

    answers = [
        *connected.service.request_together(4, "POST", "/hooks/desk", content=body, headers=signed(body)),
        *connected.service.request_together(
            2, "POST", "/hooks/desk", content=body, headers=signed(body, identifier="msg_2")
        ),
    ]
    connected.settle()

    outcomes = sorted(answer.json()["outcome"] for answer in answers)
    assert outcomes == ["classified", *["duplicate"] * 4, "known"]
    assert len(connected.predictions()) == 1
    assert len(helpdesk.writes()) == 1


def test_a_header_that_comes_twice_is_no_secret_and_no_time(connected: ConnectedService) -> None:
    body = json.dumps({"id": "7", **SURE}).encode()
    headers = signed(body)
    for name in headers:
        twice = [*headers.items(), (name, headers[name])]
        if name != "webhook-signature":
            answer = connected.service.request("POST", "/hooks/desk", content=body, headers=twice)
            assert answer.status_code == 401, name


def test_a_secret_that_is_sent_twice_is_none(start_connected: StartConnected) -> None:
    connected = start_connected('type = "generic"\nsignature = "secret"')
    sent = [("x-webhook-secret", "guess"), ("x-webhook-secret", SECRET)]

    answer = connected.service.request("POST", "/hooks/desk", content=b'{"id": "7"}', headers=sent)

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"7"',
        b"{",
        b"\xff\xfe{}",
        b'{"id": null}',
        b'{"id": {}}',
        b'{"id": "' + b"7" * 200 + b'"}',
        b'{"id": ".."}',
        b'{"id": "7\\u0000"}',
        b'{"id": "\\ud800"}',
        b'{"id": ' + b"7" * 5000 + b"}",
        b"[" * 100_000,
        b'{"id": 1e999}',
        b'{"id": NaN, "created_at": NaN, "updated_at": 1e999, "status": [], "priority": {}}',
        b'{"id": "7", "created_at": "9999-12-31T23:59:59-23:59", "updated_at": "0001-01-01T00:00:00+23:59"}',
        b'{"id": "7", "priority": "\\u0000\\ud800", "actor": "\\ud800", "title": "\\ud800"}',
        b'{"id": "7", "id": "8", "title": "x"}',
    ],
)
def test_an_odd_delivery_is_answered_200_and_never_fails(connected: ConnectedService, body: bytes) -> None:
    for identifier in ("msg_1", "msg_2"):
        answer = connected.deliver(body, signed(body, identifier=identifier))

        assert answer.status_code == 200, answer.text
        assert answer.json()["outcome"] in {"review", "queued", "known", "classified", "ignored"}

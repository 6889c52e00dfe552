"""A connector of type generic, from the delivery to what stands in the helpdesk, and back as judgements."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping

import pytest

from tests.connectors.connected import SECRET, SURE, TOKEN, UNSURE, ConnectedService, StartConnected
from tests.connectors.servers.dialect import running
from tests.connectors.servers.generic import Generic

TABLE = """
type = "generic"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
api = {{read = "/tickets/{{id}}", write = "/tickets/{{id}}", note = "/tickets/{{id}}/notes"}}
"""


@pytest.fixture
def helpdesk() -> Generic:
    return Generic(token=TOKEN)


@pytest.fixture
def connected(helpdesk: Generic, start_connected: StartConnected) -> Iterator[ConnectedService]:
    with running(helpdesk) as url:
        yield start_connected(TABLE.format(url=url))


def signed(body: bytes, *, identifier: str = "msg_1", seconds: int | None = None) -> dict[str, str]:
    timestamp = str(int(time.time()) if seconds is None else seconds)
    digest = hmac.digest(SECRET.encode(), f"{identifier}.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": identifier,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def tell(
    connected: ConnectedService, ticket: Mapping[str, object], *, identifier: str = "msg_1", name: str = "desk"
) -> dict[str, object]:
    body = json.dumps(ticket).encode()
    answer = connected.deliver(body, signed(body, identifier=identifier), name)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_new_ticket_is_classified_and_written_back_once(helpdesk: Generic, connected: ConnectedService) -> None:
    ticket = helpdesk.create("7", **SURE)

    answer = tell(connected, ticket)
    connected.settle()

    (prediction,) = connected.predictions()
    assert answer == {"outcome": "classified", "predictions": {"desk:7": prediction["prediction_id"]}}
    assert prediction["ticket_id"] == "desk:7"
    assert (helpdesk.tickets["7"]["priority"], helpdesk.tickets["7"]["department"]) == ("High", "Billing")
    assert len(helpdesk.writes()) == 1


def test_the_same_delivery_again_does_nothing(helpdesk: Generic, connected: ConnectedService) -> None:
    ticket = helpdesk.create("7", **SURE)
    body = json.dumps(ticket).encode()
    headers = signed(body)

    outcomes = [connected.deliver(body, headers).json()["outcome"] for _ in range(3)]
    connected.settle()

    assert outcomes == ["classified", "duplicate", "duplicate"]
    assert len(connected.predictions()) == 1
    assert len(helpdesk.writes()) == 1


def test_what_a_person_set_meanwhile_stays_and_becomes_a_judgement(
    helpdesk: Generic, connected: ConnectedService
) -> None:
    ticket = dict(helpdesk.create("7", **SURE))
    helpdesk.tickets["7"]["priority"] = "Low"

    tell(connected, ticket)
    connected.settle()

    assert helpdesk.tickets["7"]["priority"] == "Low"
    assert helpdesk.tickets["7"]["department"] == "Billing"
    assert connected.judged() == [("priority", "Low", "High")]


def test_a_later_change_by_a_person_is_a_judgement_and_our_own_is_none(
    helpdesk: Generic, connected: ConnectedService
) -> None:
    tell(connected, helpdesk.create("7", **SURE))
    connected.settle()
    assert tell(connected, helpdesk.tickets["7"], identifier="msg_2")["outcome"] == "known"
    assert connected.judged() == []

    changed = {**helpdesk.tickets["7"], "priority": "Medium", "actor": "mia"}
    assert tell(connected, changed, identifier="msg_3")["outcome"] == "recorded"

    assert connected.judged() == [("priority", "Medium", "High")]
    (feedback,) = connected.feedback()
    assert feedback["source"] == "helpdesk"
    assert feedback["reviewer"].startswith("helpdesk-")
    assert "mia" not in feedback["reviewer"]


def test_what_was_said_before_the_write_and_arrives_after_it_is_nobodys_change(
    helpdesk: Generic, connected: ConnectedService
) -> None:
    ticket = dict(helpdesk.create("7", **SURE, updated_at=1_700_000_000))
    tell(connected, ticket)
    connected.settle()

    for seconds in (20, 60):
        late = {**ticket, "updated_at": 1_700_000_000 + seconds, "actor": "mia"}
        assert tell(connected, late, identifier=f"msg_late_{seconds}")["outcome"] == "known"
    assert connected.judged() == []

    changed = {**helpdesk.tickets["7"], "updated_at": 1_700_000_061, "priority": "Low", "actor": "mia"}
    assert tell(connected, changed, identifier="msg_2")["outcome"] == "recorded"


def test_values_that_stand_when_a_ticket_is_closed_are_judgements(
    helpdesk: Generic, connected: ConnectedService
) -> None:
    tell(connected, helpdesk.create("7", **SURE))
    connected.settle()

    tell(connected, {**helpdesk.tickets["7"], "status": "closed"}, identifier="msg_2")

    assert connected.judged() == [("department", "Billing", "Billing"), ("priority", "High", "High")]


def test_what_is_not_sure_enough_becomes_a_note(helpdesk: Generic, connected: ConnectedService) -> None:
    tell(connected, helpdesk.create("7", **UNSURE))
    connected.settle()

    (note,) = helpdesk.notes["7"]
    assert "Priority: High" in note
    assert "Department: Billing" in note
    assert helpdesk.tickets["7"]["priority"] is None


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda body, headers: (body + b" ", headers),
        lambda body, headers: (body, {**headers, "webhook-timestamp": str(int(time.time()) - 301)}),
        lambda body, headers: (body, {**headers, "webhook-id": "msg_2"}),
        lambda body, headers: (body, {**headers, "webhook-signature": "v1,"}),
        lambda body, _: (body, {}),
        lambda body, _: (body, signed(body, seconds=int(time.time()) - 301)),
        lambda body, _: (body, signed(body, seconds=int(time.time()) + 301)),
    ],
)
def test_what_is_not_signed_as_it_is_now_is_refused(
    helpdesk: Generic, connected: ConnectedService, spoiled: object
) -> None:
    body = json.dumps(helpdesk.create("7", **SURE)).encode()
    assert callable(spoiled)
    sent, headers = spoiled(body, signed(body))

    answer = connected.deliver(sent, headers)

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_signature")
    assert connected.predictions() == []


def test_the_vector_of_the_standard_webhooks_libraries_is_accepted() -> None:
    # From the specification's own libraries.
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed_content = b'msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}'

    digest = base64.b64encode(hmac.new(secret, signed_content, hashlib.sha256).digest()).decode()

    assert digest == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_helpdesk_may_look_whether_the_address_is_there(connected: ConnectedService) -> None:
    there, nowhere = (connected.service.request("HEAD", f"/hooks/{name}") for name in ("desk", "dask"))

    assert (there.status_code, there.content, nowhere.status_code) == (200, b"", 404)


def test_who_has_the_secret_and_is_not_in_allow_from_is_refused_and_the_operator_told(
    start_connected: StartConnected, caplog: pytest.LogCaptureFixture
) -> None:
    connected = start_connected(TABLE.format(url="http://127.0.0.1:9") + 'allow_from = ["203.0.113.0/24"]\n')
    body = json.dumps({"id": "7", **SURE}).encode()

    def status(address: str, headers: Mapping[str, str]) -> int:
        peer = (address, 5000)
        return connected.service.request("POST", "/hooks/desk", peer=peer, content=body, headers=headers).status_code

    assert status("198.51.100.1", {}) == 401
    assert "allow_from" not in caplog.text
    assert status("198.51.100.1", signed(body)) == 401
    assert 'allow_from does not have its address "198.51.100.1"' in caplog.text
    assert status("203.0.113.9", signed(body)) == 200

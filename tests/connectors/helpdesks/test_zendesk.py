"""Zendesk, from its signed webhook to one safe update, and back as judgements."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from app.connectors.api import Api, UnavailableError
from app.connectors.helpdesk import Options
from app.connectors.helpdesks.zendesk import ZendeskHelpdesk
from app.connectors.sighting import Delivery
from app.store.tables import outbox
from tests.connectors.connected import HALF_SURE, SECRET, SURE, TOKEN, UNSURE, ConnectedService, StartConnected
from tests.connectors.servers.dialect import (
    Trouble,
    closed,
    closed_after_it_was_done,
    html_page,
    meanwhile,
    rate_limited,
    redirect,
    running,
    too_large,
)
from tests.connectors.servers.zendesk import Ticket, Zendesk

TABLE = """
type = "zendesk"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
look_seconds = {look_seconds}
[desk.labels.department]
Billing = 11
"Tech Support" = 12
{more}
"""
# The body that zendesk-go tests its signatures with, and what it was signed with.
VECTOR_SECRET = b"dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ=="
VECTOR_SIGNATURE = "10IqYzYTLHRftNsNE+im0DeOM6/JactIRuy0XCHJ9B8="
VECTOR_BODY = b"""{
\t"type": "zen:event-type:user.group_membership_created",
\t"account_id": 12514403,
\t"id": "6b9bbadf-5725-4e92-bebe-7b71011bf5f1",
\t"subject": "zen:user:6596848315901",
\t"time": "2099-07-04T05:33:18Z",
\t"zendesk_event_version": "2022-06-20",
\t"detail": {
\t\t"created_at": "2099-07-04T05:27:58Z",
\t\t"default_group_id": "0",
\t\t"email": "user.name@example.com",
\t\t"external_id": "",
\t\t"id": "6596848315901",
\t\t"organization_id": "0",
\t\t"role": "end-user",
\t\t"updated_at": "2099-07-04T05:33:18Z"
\t},
\t"event": { "group": { "id": "1" } }
}
"""
_invocations = count(8350205582)


@pytest.fixture
def zendesk() -> Zendesk:
    return Zendesk(token=TOKEN, secret=SECRET)


@pytest.fixture
def connected(zendesk: Zendesk, start_connected: StartConnected) -> Iterator[ConnectedService]:
    with running(zendesk) as url:
        yield start_connected(TABLE.format(url=url, look_seconds=0, more=""))


def post(connected: ConnectedService, zendesk: Zendesk, body: bytes) -> dict[str, object]:
    headers = zendesk.signed(body, datetime.now(UTC), invocation=str(next(_invocations)))
    answer = connected.deliver(body, headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def tell(connected: ConnectedService, zendesk: Zendesk, ticket: Ticket, kind: str = "created") -> dict[str, object]:
    return post(connected, zendesk, zendesk.event(ticket, kind))


def create(zendesk: Zendesk, text: dict[str, str], **values: object) -> Ticket:
    return zendesk.created(text["title"], text["description"], **values)


def vector(*, timestamp: str = "1234", body: bytes = VECTOR_BODY, received_ms: int = 1_234_000) -> Delivery:
    headers = {
        "x-zendesk-webhook-signature": VECTOR_SIGNATURE,
        "x-zendesk-webhook-signature-timestamp": timestamp,
    }
    return Delivery(body, headers, "POST", "/hooks/desk", "203.0.113.1", received_ms)


def test_the_vector_of_zendesk_go_is_authentic_at_its_time_and_with_its_secret_alone() -> None:
    helpdesk = ZendeskHelpdesk(Options(fields={}))

    assert helpdesk.is_authentic(vector(), [b"another-secret", VECTOR_SECRET])
    assert helpdesk.read(vector()) == []
    assert not helpdesk.is_authentic(vector(), [base64.b64decode(VECTOR_SECRET)])
    assert not helpdesk.is_authentic(vector(received_ms=1_534_001), [VECTOR_SECRET])
    assert not helpdesk.is_authentic(vector(timestamp="1235"), [VECTOR_SECRET])
    assert not helpdesk.is_authentic(vector(body=VECTOR_BODY[:-1]), [VECTOR_SECRET])


def test_a_new_ticket_is_classified_by_its_event_and_written_with_one_safe_update(
    zendesk: Zendesk, connected: ConnectedService
) -> None:
    ticket = create(zendesk, SURE)
    stamp = f"{ticket.updated_at:%Y-%m-%dT%H:%M:%SZ}"

    answer = tell(connected, zendesk, ticket)
    connected.settle()

    assert answer["outcome"] == "classified"
    (update,) = zendesk.writes()
    assert (update.method, update.path) == ("PUT", "/api/v2/tickets/101.json")
    assert update.json() == {
        "ticket": {"safe_update": True, "updated_stamp": stamp, "priority": "high", "group_id": 11}
    }
    assert (ticket.priority, ticket.group_id) == ("high", 11)
    # What it said until then, within the same second, too, may be told later.
    (known,) = connected.tickets()
    assert json.loads(known["heads"])["priority"]["written_ms"] == int(ticket.updated_at.timestamp()) * 1000


def test_what_is_sure_and_what_is_suggested_go_together(zendesk: Zendesk, connected: ConnectedService) -> None:
    ticket = create(zendesk, HALF_SURE)

    tell(connected, zendesk, ticket)
    connected.settle()

    assert len(zendesk.writes()) == 1
    assert (ticket.priority, ticket.group_id) == ("high", None)
    _, note = ticket.comments
    assert note["public"] is False
    assert "Department: Tech Support" in note["body"]


def test_who_is_faster_by_a_moment_is_not_written_over(zendesk: Zendesk, connected: ConnectedService) -> None:
    ticket = create(zendesk, SURE)
    zendesk.give(meanwhile(lambda: zendesk.person_sets(ticket, priority="low")), method="PUT")

    tell(connected, zendesk, ticket)
    connected.settle()

    assert (ticket.priority, ticket.group_id) == ("low", 11)
    assert ["priority" in update.json()["ticket"] for update in zendesk.writes()] == [True, False]
    assert connected.judged() == [("priority", "Low", "High")]


def test_an_answer_that_is_lost_leads_to_no_second_write(zendesk: Zendesk, connected: ConnectedService) -> None:
    ticket = create(zendesk, SURE)
    zendesk.give(closed_after_it_was_done(), method="PUT")

    tell(connected, zendesk, ticket)
    connected.settle()

    assert (ticket.priority, ticket.group_id) == ("high", 11)
    assert len(zendesk.writes()) == 1
    assert connected.judged() == []


def test_an_answer_that_is_lost_leads_to_no_second_note(zendesk: Zendesk, connected: ConnectedService) -> None:
    ticket = create(zendesk, UNSURE)
    zendesk.page_size = 1
    zendesk.give(closed_after_it_was_done(), method="PUT")

    tell(connected, zendesk, ticket)
    connected.settle()

    assert len(ticket.comments) == 2
    assert connected.rows(outbox)[0]["result"] == "note there already"


@pytest.mark.parametrize(
    "trouble",
    [rate_limited(1), html_page(), html_page(200), closed(), too_large(), redirect("https://elsewhere.example/")],
    ids=["429", "503", "200 in HTML", "closed", "too large", "redirect"],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_what_fails_for_a_while_is_written_in_the_end(
    zendesk: Zendesk, connected: ConnectedService, trouble: Trouble, method: str
) -> None:
    ticket = create(zendesk, SURE)
    zendesk.give(trouble, method=method)

    tell(connected, zendesk, ticket)
    connected.settle()

    assert (ticket.priority, ticket.group_id) == ("high", 11)
    (job,) = connected.rows(outbox)
    assert (job["state"], job["n_attempts"]) == ("done", 2)


def test_a_ticket_that_is_closed_for_good_is_given_up_at_once(zendesk: Zendesk, connected: ConnectedService) -> None:
    ticket = create(zendesk, SURE)
    zendesk.give(meanwhile(lambda: setattr(ticket, "status", "closed")), method="PUT")

    tell(connected, zendesk, ticket)
    connected.settle()

    (job,) = connected.rows(outbox)
    assert (job["state"], job["n_attempts"]) == ("dead", 1)
    assert job["result"] == "PUT /api/v2/tickets/101.json: answered 422"


def test_a_person_s_event_is_a_judgement_and_that_of_our_own_write_is_none(
    zendesk: Zendesk, connected: ConnectedService
) -> None:
    ticket = create(zendesk, SURE)
    tell(connected, zendesk, ticket)
    connected.settle()

    assert tell(connected, zendesk, ticket, "priority_changed")["outcome"] == "known"
    assert connected.judged() == []
    zendesk.person_sets(ticket, priority="normal", agent_id=77)
    assert tell(connected, zendesk, ticket, "priority_changed")["outcome"] == "recorded"

    assert connected.judged() == [("priority", "Medium", "High")]
    zendesk.person_sets(ticket, status="solved")
    tell(connected, zendesk, ticket, "status_changed")
    assert connected.judged() == [("priority", "Medium", "High"), ("department", "Billing", "Billing")]


def test_events_that_arrive_in_the_wrong_order_are_told_apart_by_their_time(
    zendesk: Zendesk, connected: ConnectedService
) -> None:
    ticket = create(zendesk, SURE)
    tell(connected, zendesk, ticket)
    connected.settle()
    zendesk.person_sets(ticket, priority="low")
    earlier = zendesk.event(ticket, "priority_changed")
    zendesk.person_sets(ticket, priority="urgent")
    tell(connected, zendesk, ticket, "priority_changed")

    post(connected, zendesk, earlier)

    assert connected.judged() == [("priority", "Urgent", "High")]


def test_a_trigger_that_tells_the_id_alone_is_enough(zendesk: Zendesk, connected: ConnectedService) -> None:
    ticket = create(zendesk, SURE)
    body = b'{"ticket_id": "101"}'

    assert post(connected, zendesk, body)["outcome"] == "queued"
    connected.settle()
    assert (ticket.priority, ticket.group_id) == ("high", 11)

    zendesk.person_sets(ticket, priority="normal")
    # The same words a second later are another delivery.
    headers = zendesk.signed(body, datetime.now(UTC) + timedelta(seconds=5), invocation=str(next(_invocations)))
    assert connected.deliver(body, headers).json()["outcome"] == "queued"
    connected.settle()
    assert connected.judged() == [("priority", "Medium", "High")]


@pytest.mark.parametrize(
    "content",
    [
        {"type": "zen:event-type:user.created", "detail": {"id": "5"}},
        {"type": "zen:event-type:messaging_ticket.message_added", "detail": {"id": "141"}},
        {"type": "zen:event-type:ticket.merged", "detail": {"id": "101", "subject": "down"}},
        {"type": "zen:event-type:ticket.soft_deleted", "detail": {"id": "101", "subject": "down"}},
    ],
)
def test_events_of_no_interest_are_taken_and_forgotten(
    zendesk: Zendesk, connected: ConnectedService, content: object
) -> None:
    assert post(connected, zendesk, json.dumps(content).encode())["outcome"] == "ignored"
    assert connected.tickets() == []


@pytest.mark.parametrize("body", [b'{"ticket_id": ""}', b'{"subject": "a "quoted" word"}', b"[]", b'{"type": 5}', b""])
def test_what_is_signed_and_cannot_be_read_is_left_to_a_person(
    zendesk: Zendesk, connected: ConnectedService, body: bytes
) -> None:
    assert post(connected, zendesk, body)["outcome"] == "review"


def test_the_same_invocation_again_is_a_duplicate(zendesk: Zendesk, connected: ConnectedService) -> None:
    ticket = create(zendesk, SURE)
    body, now = zendesk.event(ticket), datetime.now(UTC)
    first = connected.deliver(body, zendesk.signed(body, now, invocation="1"))

    again = connected.deliver(body, zendesk.signed(body, now + timedelta(seconds=3), invocation="1"))
    replayed = connected.deliver(body, zendesk.signed(body, now, invocation="2"))

    assert [answer.json()["outcome"] for answer in (first, again, replayed)] == ["classified", "duplicate", "duplicate"]


def test_changes_that_no_webhook_told_are_found_page_by_page(zendesk: Zendesk, start_connected: StartConnected) -> None:
    with running(zendesk) as url:
        connected = start_connected(TABLE.format(url=url, look_seconds=2, more=""))
        zendesk.page_size = 2
        tickets = [create(zendesk, SURE) for _ in range(5)]
        connected.wait_until(lambda: len(connected.predictions()) == 5)
        connected.settle()
        assert {(ticket.priority, ticket.group_id) for ticket in tickets} == {("high", 11)}

        zendesk.person_sets(tickets[0], priority="normal")
        connected.wait_until(lambda: connected.judged() == [("priority", "Medium", "High")])

    assert [ticket.priority for ticket in tickets] == ["normal", "high", "high", "high", "high"]


def test_a_department_may_be_a_field_of_a_site_s_own(zendesk: Zendesk, start_connected: StartConnected) -> None:
    fields = "[desk.fields]\ndepartment = 360001"
    with running(zendesk) as url:
        connected = start_connected(TABLE.format(url=url, look_seconds=0, more=fields))
        ticket = create(zendesk, SURE, custom={360001: None})
        tell(connected, zendesk, ticket)
        connected.settle()

    assert (ticket.priority, ticket.group_id, ticket.custom) == ("high", None, {360001: "11"})


def test_the_name_of_a_group_is_refused_before_it_is_sent(zendesk: Zendesk, start_connected: StartConnected) -> None:
    with running(zendesk) as url:
        table = TABLE.format(url=url, look_seconds=0, more="").replace("Billing = 11", 'Billing = "Billing"')
        connected = start_connected(table)
        tell(connected, zendesk, create(zendesk, SURE))
        connected.settle()

    (job,) = connected.rows(outbox)
    assert job["state"] == "dead"
    assert job["result"] == 'labels.department must have the id of a group, in digits, and not "Billing"'
    assert zendesk.writes() == []


def test_an_api_token_of_an_agent_opens_the_api_and_groups_are_found_page_by_page() -> None:
    token = "agent@acme.example/token:t0ken"
    zendesk, helpdesk = Zendesk(token=token, secret=SECRET), ZendeskHelpdesk(Options(fields=ZendeskHelpdesk.fields))
    zendesk.page_size = 1

    async def choices(url: str, sent: str) -> object:
        api = Api(url, authorization=helpdesk.authorization(sent))
        try:
            return await helpdesk.choices(api)
        finally:
            await api.close()

    with running(zendesk) as url:
        found = asyncio.run(choices(url, token))
        with pytest.raises(UnavailableError, match="answered 401"):
            asyncio.run(choices(url, "agent@acme.example/token:another"))

    assert found == {"priority": {"urgent", "high", "normal", "low"}, "department": {"11", "12"}}


def test_a_delivery_that_is_spoiled_anywhere_is_refused(zendesk: Zendesk, connected: ConnectedService) -> None:
    body = zendesk.event(create(zendesk, SURE))
    now = datetime.now(UTC)
    good = zendesk.signed(body, now)
    name, signature = "x-zendesk-webhook-signature", good["x-zendesk-webhook-signature"]
    old, early = zendesk.signed(body, now - timedelta(seconds=302)), zendesk.signed(body, now + timedelta(seconds=302))
    spoiled = [
        (body + b" ", good),
        (body[:-1], good),
        (json.dumps(json.loads(body), indent=1).encode(), good),
        (body, old),
        (body, early),
        (body, good | {name: old[name]}),
        (body, good | {"x-zendesk-webhook-signature-timestamp": str(int(time.time()))}),
        (body, good | {name: signature.rstrip("=")}),
        (body, good | {name: base64.b64decode(signature).hex()}),
        (body, good | {name: ""}),
        (body, {key: value for key, value in good.items() if not key.startswith("x-zendesk")}),
    ]

    answers = [connected.deliver(*sent) for sent in spoiled]

    assert {answer.status_code for answer in answers} <= {401, 429}
    assert connected.predictions() == []
    assert connected.deliver(body, good).json()["outcome"] == "classified"

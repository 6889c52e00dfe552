"""Request Tracker, from what its scrip sends to a conditional write that is read again, and back as judgements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from app.connectors.api import Api, RefusedError
from app.connectors.helpdesk import OptionError, Options
from app.connectors.helpdesks.request_tracker import RequestTrackerHelpdesk
from app.connectors.sighting import Delivery, Sighting, UnreadableError
from app.store.tables import outbox
from tests.connectors.connected import HALF_SURE, SECRET, SURE, TOKEN, UNSURE, ConnectedService, StartConnected
from tests.connectors.servers.dialect import (
    Trouble,
    closed,
    closed_after_it_was_done,
    html_page,
    meanwhile,
    refused,
    running,
)
from tests.connectors.servers.request_tracker import AGENT, PROGRAM, RequestTracker, Ticket

TABLE = """
type = "request-tracker"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = {calls_per_minute}
look_seconds = {look_seconds}
{more}
"""
FIELDS = {"priority": "Priority", "department": "Queue"}


@pytest.fixture
def tracker() -> RequestTracker:
    return RequestTracker(token=TOKEN)


@pytest.fixture
def connected(tracker: RequestTracker, start_connected: StartConnected) -> Iterator[ConnectedService]:
    with running(tracker) as url:
        yield start_connected(TABLE.format(url=url, calls_per_minute=100_000, look_seconds=0, more=""))


def create(tracker: RequestTracker, text: dict[str, str], **values: str) -> Ticket:
    return tracker.create(text["title"], ("text/plain", text["description"]), **values)


def tell(connected: ConnectedService, tracker: RequestTracker, ticket: Ticket) -> str:
    webhook = tracker.webhook(ticket, SECRET)
    answer = connected.deliver(webhook.body, webhook.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["outcome"]


def fetched(tracker: RequestTracker, ref: str, fields: dict[str, str] | None = None) -> Sighting:
    async def fetch(url: str) -> Sighting:
        helpdesk = RequestTrackerHelpdesk(Options(fields=FIELDS if fields is None else fields))
        api = Api(url, authorization=helpdesk.authorization(TOKEN))
        try:
            return await helpdesk.fetch(api, ref)
        finally:
            await api.close()

    with running(tracker) as url:
        return asyncio.run(fetch(url))


def test_a_new_ticket_is_classified_by_its_delivery_and_written_under_the_condition_of_what_was_read(
    tracker: RequestTracker, connected: ConnectedService
) -> None:
    ticket = create(tracker, SURE)
    etag = ticket.etag()

    outcome = tell(connected, tracker, ticket)
    connected.settle()

    assert outcome == "classified"
    (update,) = tracker.writes()
    assert (update.method, update.path, update.headers["if-match"]) == ("PUT", "/REST/2.0/ticket/1", etag)
    assert update.json() == {"Priority": "100", "Queue": "Billing"}
    assert (ticket.priority, ticket.queue) == ("100", "Billing")
    assert tell(connected, tracker, ticket) == "known"
    assert connected.judged() == []


def test_what_is_sure_is_written_before_what_is_suggested_is_noted(
    tracker: RequestTracker, connected: ConnectedService
) -> None:
    ticket = create(tracker, HALF_SURE)

    tell(connected, tracker, ticket)
    connected.settle()

    assert [request.method for request in tracker.writes()] == ["PUT", "POST"]
    assert (ticket.priority, ticket.queue) == ("100", "General")
    (note,) = tracker.notes(ticket)
    assert "Department: Tech Support" in note


def test_somebody_faster_is_left_alone_and_becomes_a_judgement(
    tracker: RequestTracker, connected: ConnectedService
) -> None:
    ticket = create(tracker, SURE)
    tracker.give(meanwhile(lambda: tracker.change(ticket, priority="50")), method="PUT")

    tell(connected, tracker, ticket)
    connected.settle()

    assert (ticket.priority, ticket.queue) == ("50", "Billing")
    assert [request.json() for request in tracker.writes()] == [
        {"Priority": "100", "Queue": "Billing"},
        {"Queue": "Billing"},
    ]
    assert connected.judged() == [("priority", "Medium", "High")]


def test_an_answer_that_is_lost_is_no_reason_to_write_or_note_again(
    tracker: RequestTracker, connected: ConnectedService
) -> None:
    ticket = create(tracker, HALF_SURE)
    tracker.give(closed_after_it_was_done(), method="PUT")
    tracker.give(closed_after_it_was_done(), method="POST")

    tell(connected, tracker, ticket)
    connected.settle(20)

    assert len(tracker.notes(ticket)) == 1
    assert [each.changed for each in ticket.transactions if each.creator == PROGRAM] == ["Priority", ""]
    assert connected.judged() == []


@pytest.mark.parametrize("trouble", [closed(), html_page(502), html_page(200), refused(401), refused(403)])
def test_what_passes_is_waited_for(tracker: RequestTracker, connected: ConnectedService, trouble: Trouble) -> None:
    ticket = create(tracker, SURE)
    tracker.give(trouble, method="GET")

    tell(connected, tracker, ticket)
    connected.settle(20)

    assert (ticket.priority, ticket.queue) == ("100", "Billing")


def test_a_write_that_it_says_it_made_and_did_not_is_given_up_with_the_reason(
    tracker: RequestTracker, connected: ConnectedService
) -> None:
    tracker.may_modify = False
    ticket = create(tracker, SURE)

    tell(connected, tracker, ticket)
    connected.settle()

    (job,) = connected.rows(outbox)
    assert job["state"] == "dead"
    assert 'Priority was not set to "100"' in job["result"]
    assert "ModifyTicket" in job["result"]


def test_a_queue_that_does_not_exist_is_given_up_and_the_priority_is_no_persons(
    start_connected: StartConnected, tracker: RequestTracker
) -> None:
    with running(tracker) as url:
        more = "[desk.labels.department]\nBilling = 'Invoices'"
        connected = start_connected(TABLE.format(url=url, calls_per_minute=100_000, look_seconds=0, more=more))
        ticket = create(tracker, SURE)
        tell(connected, tracker, ticket)
        connected.settle()
        tell(connected, tracker, ticket)

    (job,) = connected.rows(outbox)
    assert (job["state"], ticket.priority) == ("dead", "100")
    assert 'Queue was not set to "Invoices"' in job["result"]
    assert connected.judged() == []


def test_a_priority_in_words_is_not_written_because_it_would_become_zero(
    start_connected: StartConnected, tracker: RequestTracker
) -> None:
    with running(tracker) as url:
        more = "[desk.labels.priority]\nHigh = 'High'"
        connected = start_connected(TABLE.format(url=url, calls_per_minute=100_000, look_seconds=0, more=more))
        tell(connected, tracker, create(tracker, SURE))
        connected.settle()

    assert tracker.writes() == []
    (job,) = connected.rows(outbox)
    assert 'labels.priority must be a number, and not "High"' in job["result"]


def test_a_custom_field_takes_an_answer_too(start_connected: StartConnected, tracker: RequestTracker) -> None:
    with running(tracker) as url:
        more = "[desk.fields]\ndepartment = 'CF.Team'"
        connected = start_connected(TABLE.format(url=url, calls_per_minute=100_000, look_seconds=0, more=more))
        ticket = create(tracker, SURE, Team=None)  # type: ignore[arg-type]
        tell(connected, tracker, ticket)
        connected.settle()
        ticket.custom["Team"] = "Sales"
        tracker.change(ticket, status="open")
        tell(connected, tracker, ticket)

    (update,) = tracker.writes()
    assert update.json() == {"Priority": "100", "CustomFields": {"Team": "Billing"}}
    assert ticket.queue == "General"


@pytest.mark.parametrize(
    ("status", "judged"),
    [
        ("resolved", [("department", "Billing", "Billing"), ("priority", "High", "High")]),
        ("rejected", [("department", "Billing", "Billing"), ("priority", "High", "High")]),
        ("stalled", []),
        # Nobody has said that the values of spam are right.
        ("deleted", []),
    ],
)
def test_values_that_stand_when_a_ticket_is_closed_are_judgements(
    tracker: RequestTracker, connected: ConnectedService, status: str, judged: list[tuple[str, str, str]]
) -> None:
    ticket = create(tracker, SURE)
    tell(connected, tracker, ticket)
    connected.settle()

    tracker.now = lambda: int(time.time()) + 2
    tracker.change(ticket, status=status)
    tell(connected, tracker, ticket)

    assert connected.judged() == judged


def test_what_its_own_rules_change_is_no_persons(tracker: RequestTracker, connected: ConnectedService) -> None:
    ticket = create(tracker, SURE)
    tell(connected, tracker, ticket)
    connected.settle()

    tracker.now = lambda: int(time.time()) + 2
    tracker.change(ticket, by="RT_System", priority="50")
    tell(connected, tracker, ticket)

    assert connected.judged() == []


def test_what_no_delivery_told_is_found_with_who_changed_it(
    start_connected: StartConnected, tracker: RequestTracker
) -> None:
    with running(tracker) as url:
        connected = start_connected(TABLE.format(url=url, calls_per_minute=100_000, look_seconds=2, more=""))
        tickets = [create(tracker, SURE) for _ in range(3)]
        connected.wait_until(lambda: all(ticket.queue == "Billing" for ticket in tickets), seconds=20)
        connected.settle()
        tracker.now = lambda: int(time.time()) + 2
        tracker.change(tickets[0], by=AGENT, priority="0")
        # Neither who wrote to the customer, nor a rule, has changed the value.
        tracker.comment(tickets[0], "called", by="RT_System")
        connected.wait_until(lambda: bool(connected.judged()), seconds=20)

    assert connected.judged() == [("priority", "Low", "High")]
    assert len(connected.predictions()) == 3


def test_more_changes_than_a_page_has_are_all_found_also_when_they_are_of_one_second(tracker: RequestTracker) -> None:
    began = int(time.time())
    tracker.now = lambda: began + len(tracker.tickets) // 150
    for _ in range(250):
        create(tracker, UNSURE)

    async def refs(url: str) -> list[str]:
        helpdesk = RequestTrackerHelpdesk(Options(fields=FIELDS))
        api = Api(url, authorization=helpdesk.authorization(TOKEN))
        try:
            return [sighting.ref async for sighting in helpdesk.changed_since(api, began * 1000)]
        finally:
            await api.close()

    with running(tracker) as url:
        found = asyncio.run(refs(url))

    assert set(found) == {str(number) for number in range(1, 251)}


def test_the_calls_of_a_minute_are_all_that_it_takes_to_do_its_jobs(
    start_connected: StartConnected, tracker: RequestTracker
) -> None:
    with running(tracker) as url:
        # Nine calls a job: one every two seconds.
        connected = start_connected(TABLE.format(url=url, calls_per_minute=270, look_seconds=0, more=""))
        tickets = [create(tracker, SURE) for _ in range(3)]
        began = time.monotonic()
        for ticket in tickets:
            tell(connected, tracker, ticket)
        connected.settle(20)

    assert time.monotonic() - began >= 4
    assert len(tracker.requests) <= 3 * 9


def test_the_text_is_the_plain_part_and_else_the_html(tracker: RequestTracker) -> None:
    both = tracker.create("Drucker", ("text/html", "<p>kaputt</p>"), ("text/plain", "kaputt: völlig"))
    html = tracker.create("Drucker", ("image/png", "PNG"), ("text/html", "<p>kaputt</p>"))
    none = tracker.create("Drucker")

    texts = [fetched(tracker, str(ticket.id)).description for ticket in (both, html, none)]

    assert texts == ["kaputt: völlig", "<p>kaputt</p>", None]


def test_a_ticket_that_was_merged_or_deleted_is_gone(tracker: RequestTracker) -> None:
    merged, into, deleted = (create(tracker, SURE) for _ in range(3))
    merged.merged_into = into.id
    deleted.status = "deleted"

    for ticket in (merged, deleted):
        with pytest.raises(RefusedError) as error:
            fetched(tracker, str(ticket.id))
        assert error.value.status == 404


def test_what_is_fetched_says_who_changed_its_values_and_not_who_wrote_last(tracker: RequestTracker) -> None:
    ticket = create(tracker, SURE, priority="50")
    tracker.change(ticket, by=AGENT, queue="Sales")
    tracker.comment(ticket, "a note", by="ada")

    seen = fetched(tracker, "1")

    assert seen.values == {"priority": "50", "department": "Sales"}
    assert (seen.actor, seen.version, seen.is_closed) == (AGENT, ticket.etag(), False)


def test_a_delivery_that_is_spoiled_is_refused(tracker: RequestTracker, connected: ConnectedService) -> None:
    webhook = tracker.webhook(create(tracker, SURE), SECRET)
    old = tracker.webhook(tracker.tickets[1], SECRET, seconds=int(time.time()) - 301)
    other = tracker.webhook(tracker.tickets[1], "another-secret")

    answers = [
        connected.deliver(webhook.body + b" ", webhook.headers),
        connected.deliver(webhook.body, {**webhook.headers, "webhook-id": "rt-52-1"}),
        connected.deliver(old.body, old.headers),
        connected.deliver(other.body, other.headers),
        connected.deliver(webhook.body, {}),
    ]

    assert [answer.status_code for answer in answers] == [401] * 5
    assert connected.predictions() == []


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"id": "1 OR ObjectId = 2"}', b'{"id": null}', b"no JSON"])
def test_what_names_no_ticket_is_unreadable(body: bytes) -> None:
    helpdesk = RequestTrackerHelpdesk(Options(fields=FIELDS))

    with pytest.raises(UnreadableError):
        helpdesk.read(Delivery(body, {}, "POST", "/hooks/desk", "", 0))


def test_a_password_and_a_token_are_sent_as_they_are_to_be() -> None:
    helpdesk = RequestTrackerHelpdesk(Options(fields=FIELDS))

    assert helpdesk.authorization("1-14-abcdef") == {"authorization": "token 1-14-abcdef"}
    assert helpdesk.authorization("ada:pass word") == {"authorization": "Basic YWRhOnBhc3Mgd29yZA=="}


@pytest.mark.parametrize("field", ["priority", "Owner", "CF.", "CustomField.Team"])
def test_a_field_that_it_cannot_write_is_refused(field: str) -> None:
    with pytest.raises(OptionError, match=r"must be Priority, Queue or CF\.NAME"):
        RequestTrackerHelpdesk(Options(fields={"department": field}))


def test_other_statuses_may_be_the_closed_ones() -> None:
    helpdesk = RequestTrackerHelpdesk(Options(fields=FIELDS, others={"closed": ["Done"]}))

    (sighting,) = helpdesk.read(Delivery(b'{"id": 7, "status": "done"}', {}, "POST", "/hooks/desk", "", 0))

    assert (sighting.ref, sighting.is_closed, sighting.values) == ("7", True, {})
    with pytest.raises(OptionError, match="closed must be a list"):
        RequestTrackerHelpdesk(Options(fields=FIELDS, others={"closed": "done"}))


def test_priorities_are_numbers_and_queues_those_that_are_there(tracker: RequestTracker) -> None:
    tracker.queues = tuple(f"Queue {number}" for number in range(230))

    async def choices(url: str) -> dict[str, frozenset[str]]:
        helpdesk = RequestTrackerHelpdesk(Options(fields={**FIELDS, "team": "CF.Team"}))
        api = Api(url, authorization=helpdesk.authorization(TOKEN))
        try:
            return dict(await helpdesk.choices(api))
        finally:
            await api.close()

    with running(tracker) as url:
        found = asyncio.run(choices(url))

    assert found.keys() == {"priority", "department"}
    assert {"0", "50", "100"} <= found["priority"]
    assert found["department"] == set(tracker.queues)

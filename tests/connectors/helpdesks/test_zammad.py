"""A connector of type zammad, against a server that speaks as Zammad does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from app.connectors.api import Api
from app.connectors.helpdesk import Options
from app.connectors.helpdesks.zammad import ZammadHelpdesk
from app.connectors.sighting import Delivery
from app.store.tables import outbox
from tests.connectors.connected import HALF_SURE, SECRET, SURE, TOKEN, UNSURE, ConnectedService, StartConnected
from tests.connectors.servers.dialect import (
    Trouble,
    closed,
    closed_after_it_was_done,
    html_page,
    rate_limited,
    refused,
    running,
    too_large,
)
from tests.connectors.servers.zammad import OWN_ID, SYSTEM_ID, Ticket, Zammad

TABLE = """
type = "zammad"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
look_seconds = 0
"""
Connect = Callable[..., AbstractContextManager[ConnectedService]]


@pytest.fixture
def zammad() -> Zammad:
    return Zammad(TOKEN, groups=("Users", "Billing", "Tech Support"))


@pytest.fixture
def connect(start_connected: StartConnected) -> Connect:
    @contextmanager
    def connecting(zammad: Zammad, table: str = TABLE) -> Iterator[ConnectedService]:
        with running(zammad) as url:
            yield start_connected(table.replace("{url}", url))

    return connecting


@pytest.fixture
def connected(zammad: Zammad, connect: Connect) -> Iterator[ConnectedService]:
    with connect(zammad) as connected:
        yield connected


def create(zammad: Zammad, ticket: dict[str, str], **more: object) -> Ticket:
    return zammad.create(ticket["title"], ticket["description"], **more)  # type: ignore[arg-type]


def tell(connected: ConnectedService, zammad: Zammad, ticket: Ticket) -> str:
    webhook = zammad.webhook(ticket, secret=SECRET)
    answer = connected.deliver(webhook.body, webhook.headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["outcome"])


def words(ticket: Ticket) -> tuple[str, str]:
    return ticket.attributes["priority"], ticket.attributes["group"]


def test_only_what_is_signed_with_the_token_is_accepted() -> None:
    helpdesk = ZammadHelpdesk(Options(fields={}))
    # RFC 2202, test case 2.
    key, data, digest = b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"

    def is_authentic(body: bytes, headers: dict[str, str]) -> bool:
        return helpdesk.is_authentic(Delivery(body, headers, "POST", "/hooks/desk", "192.0.2.1", 0), [b"other", key])

    assert is_authentic(data, {"x-hub-signature": f"sha1={digest}"})
    assert not is_authentic(data + b" ", {"x-hub-signature": f"sha1={digest}"})
    for signature in (digest, f"sha256={digest}", f"sha1={digest[:-1]}", "sha1=", ""):
        assert not is_authentic(data, {"x-hub-signature": signature})
    assert not is_authentic(data, {"authorization": "Bearer Jefe"})


def test_a_new_ticket_is_classified_and_written_back_once(zammad: Zammad, connected: ConnectedService) -> None:
    ticket = create(zammad, SURE)

    outcome = tell(connected, zammad, ticket)
    connected.settle()

    assert outcome == "classified"
    assert words(ticket) == ("3 high", "Billing")
    assert len(zammad.writes()) == 1
    # The trigger fires at what this service wrote, too.
    assert ticket.attributes["updated_by_id"] == OWN_ID
    assert tell(connected, zammad, ticket) == "known"
    assert connected.judged() == []


def test_a_delivery_that_zammad_tries_again_is_done_once(zammad: Zammad, connected: ConnectedService) -> None:
    ticket = create(zammad, SURE)
    webhook = zammad.webhook(ticket, secret=SECRET)
    zammad.change(ticket, title="Another title")
    # Its body is made anew at each attempt.
    again = zammad.webhook(ticket, secret=SECRET)
    same_job = again.headers | {"x-zammad-delivery": webhook.headers["x-zammad-delivery"]}

    assert connected.deliver(webhook.body, webhook.headers).json()["outcome"] == "classified"
    assert connected.deliver(again.body, same_job).json()["outcome"] == "duplicate"


def test_a_ticket_first_heard_of_by_a_reply_is_classified_by_its_first_article(
    zammad: Zammad, connected: ConnectedService
) -> None:
    ticket = create(zammad, SURE)
    zammad.add_article(ticket, "We are looking into it.", sender="Agent")

    assert tell(connected, zammad, ticket) == "queued"
    connected.wait_until(lambda: words(ticket) == ("3 high", "Billing"))


def test_what_is_not_sure_enough_becomes_an_internal_note(zammad: Zammad, connected: ConnectedService) -> None:
    ticket = create(zammad, UNSURE)

    tell(connected, zammad, ticket)
    connected.settle()

    _, note = ticket.articles
    assert (note["internal"], note["type"], note["content_type"]) == (True, "note", "text/plain")
    assert "Department: Billing" in note["body"]
    assert words(ticket) == ("2 normal", "Users")


def test_no_note_is_written_that_the_customer_would_read(connect: Connect) -> None:
    zammad = Zammad(TOKEN, groups=(), roles=("Customer",))
    with connect(zammad) as connected:
        ticket = create(zammad, UNSURE)
        tell(connected, zammad, ticket)
        connected.settle()

        assert len(ticket.articles) == 1
        (row,) = connected.rows(outbox)
        assert (row["state"], "only agents' notes are internal" in row["result"]) == ("dead", True)


def test_a_note_whose_answer_was_lost_is_found_again_and_not_written_twice(
    zammad: Zammad, connected: ConnectedService
) -> None:
    ticket = create(zammad, HALF_SURE)
    zammad.give(closed_after_it_was_done(), method="PUT")

    tell(connected, zammad, ticket)
    connected.settle()

    assert words(ticket) == ("3 high", "Users")
    assert len(ticket.articles) == 2
    assert len(zammad.writes()) == 1


@pytest.mark.parametrize(
    "troubles",
    [[rate_limited(1), html_page(502), html_page(200)], [closed(), too_large(), refused(401), refused(403)]],
    ids=["answers", "connections and refusals"],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_trouble_that_passes_is_waited_for_and_each_ticket_written_once(
    zammad: Zammad, connected: ConnectedService, troubles: list[Trouble], method: str
) -> None:
    tickets = [create(zammad, SURE) for _ in troubles]
    for ticket, trouble in zip(tickets, troubles, strict=True):
        zammad.give(trouble, method=method, path=f"tickets/{ticket.id}$")
        tell(connected, zammad, ticket)

    connected.settle(20)

    assert [words(ticket) for ticket in tickets] == [("3 high", "Billing")] * len(tickets)
    # Each trouble met one request, and the same was asked once more.
    assert len(zammad.writes()) == len(tickets) * (2 if method == "PUT" else 1)
    assert {row["state"] for row in connected.rows(outbox)} == {"done"}


def test_a_group_that_does_not_exist_is_a_dead_letter_that_says_so(connect: Connect) -> None:
    zammad = Zammad(TOKEN, groups=("Users",))
    with connect(zammad) as connected:
        tell(connected, zammad, create(zammad, SURE))
        connected.settle()

        (row,) = connected.rows(outbox)
        assert (row["state"], row["result"]) == ("dead", "PUT /api/v1/tickets/81: answered 422")


def test_a_person_who_was_faster_is_not_written_over_and_heard(zammad: Zammad, connected: ConnectedService) -> None:
    ticket = create(zammad, SURE)
    webhook = zammad.webhook(ticket, secret=SECRET)
    zammad.change(ticket, priority="1 low", group="Tech Support")

    connected.deliver(webhook.body, webhook.headers)
    connected.settle()

    assert words(ticket) == ("1 low", "Tech Support")
    assert zammad.writes() == []
    assert connected.judged() == [("department", "Tech Support", "Billing"), ("priority", "Low", "High")]


def test_what_was_said_before_the_write_and_arrives_after_it_is_nobodys_change(
    zammad: Zammad, connected: ConnectedService
) -> None:
    ticket = create(zammad, SURE)
    created = zammad.webhook(ticket, secret=SECRET)
    zammad.change(ticket, title="Another title")
    changed = zammad.webhook(ticket, secret=SECRET)
    connected.deliver(created.body, created.headers)
    connected.settle()

    assert connected.deliver(changed.body, changed.headers).json()["outcome"] == "known"
    assert tell(connected, zammad, ticket) == "known"

    assert connected.judged() == []


def test_a_change_by_a_person_is_a_judgement_and_one_by_a_trigger_is_none(
    zammad: Zammad, connected: ConnectedService
) -> None:
    ticket = create(zammad, SURE)
    tell(connected, zammad, ticket)
    connected.settle()

    zammad.change(ticket, by=SYSTEM_ID, group="Tech Support")
    assert tell(connected, zammad, ticket) == "known"
    zammad.change(ticket, priority="1 low")
    assert tell(connected, zammad, ticket) == "recorded"

    assert connected.judged() == [("priority", "Low", "High")]


@pytest.mark.parametrize("state", ["closed", "closed successful"])
def test_values_that_stand_when_a_ticket_is_closed_are_judgements(
    zammad: Zammad, connected: ConnectedService, state: str
) -> None:
    ticket = create(zammad, SURE)
    tell(connected, zammad, ticket)
    connected.settle()

    zammad.change(ticket, state="pending close")
    tell(connected, zammad, ticket)
    assert connected.judged() == []
    zammad.change(ticket, state=state)
    tell(connected, zammad, ticket)

    assert connected.judged() == [("department", "Billing", "Billing"), ("priority", "High", "High")]


def test_a_department_can_be_an_attribute_of_the_sites_own(zammad: Zammad, connect: Connect) -> None:
    with connect(zammad, TABLE + 'fields = {department = "team"}') as connected:
        ticket = create(zammad, SURE, team=None)
        tell(connected, zammad, ticket)
        connected.settle()

        assert (ticket.attributes["team"], ticket.attributes["group"]) == ("Billing", "Users")


def test_what_no_webhook_told_is_found_by_looking(zammad: Zammad, connect: Connect) -> None:
    with connect(zammad, TABLE.replace("look_seconds = 0", "look_seconds = 2")) as connected:
        told = create(zammad, SURE)
        tell(connected, zammad, told)
        connected.settle()
        lost = create(zammad, SURE)
        zammad.change(told, priority="1 low")

        connected.wait_until(lambda: words(lost) == ("3 high", "Billing") and connected.judged() != [])

        assert connected.judged() == [("priority", "Low", "High")]


def with_api(zammad: Zammad, ask: Callable[[ZammadHelpdesk, Api], object]) -> object:
    async def asked(url: str) -> object:
        helpdesk = ZammadHelpdesk(Options(fields=ZammadHelpdesk.fields))
        api = Api(url, authorization=helpdesk.authorization(TOKEN))
        try:
            return await ask(helpdesk, api)  # type: ignore[misc]
        finally:
            await api.close()

    with running(zammad) as url:
        return asyncio.run(asked(url))


def test_more_than_a_page_that_changed_at_one_moment_is_read_to_its_end(zammad: Zammad) -> None:
    zammad.now_ms = lambda: 1_700_000_000_123
    created = {str(create(zammad, SURE).id) for _ in range(230)}

    async def refs(helpdesk: ZammadHelpdesk, api: Api) -> set[str]:
        return {sighting.ref async for sighting in helpdesk.changed_since(api, 1_700_000_000_123)}

    assert with_api(zammad, refs) == created


def test_the_values_that_exist_are_priorities_and_the_groups_of_the_tokens_user(zammad: Zammad) -> None:
    choices = with_api(zammad, lambda helpdesk, api: helpdesk.choices(api))

    assert choices == {
        "priority": frozenset({"1 low", "2 normal", "3 high"}),
        "department": frozenset({"Users", "Billing", "Tech Support"}),
    }

"""Freshdesk, from its unsigned webhook, which may be late, to numbers and notes, and back as judgements."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from app.connectors.api import Api, UnavailableError
from app.connectors.helpdesk import Options
from app.connectors.helpdesks.freshdesk import FreshdeskHelpdesk
from app.store.tables import outbox
from tests.connectors.connected import HALF_SURE, SECRET, SURE, TOKEN, UNSURE, ConnectedService, StartConnected
from tests.connectors.servers.dialect import (
    Trouble,
    closed,
    closed_after_it_was_done,
    html_page,
    rate_limited,
    redirect,
    running,
    too_large,
)
from tests.connectors.servers.freshdesk import Freshdesk, Ticket

TABLE = """
type = "freshdesk"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
look_seconds = {look_seconds}
[desk.labels.department]
Billing = 21
"Tech Support" = 22
{more}
"""
PASTED = '{"ticket_id": "{{ticket.id}}"}'


@pytest.fixture
def freshdesk() -> Freshdesk:
    return Freshdesk(key=TOKEN, secret=SECRET)


@pytest.fixture
def connected(freshdesk: Freshdesk, start_connected: StartConnected) -> Iterator[ConnectedService]:
    with running(freshdesk) as url:
        yield start_connected(TABLE.format(url=url, look_seconds=0, more=""))


def post(connected: ConnectedService, freshdesk: Freshdesk, body: bytes) -> dict[str, object]:
    answer = connected.deliver(body, freshdesk.headers())
    assert answer.status_code == 200, answer.text
    return answer.json()


def tell(connected: ConnectedService, freshdesk: Freshdesk, ticket: Ticket) -> str:
    """Let the rule with the pasted JSON post, and return the outcome once all that follows is done."""
    outcome = post(connected, freshdesk, freshdesk.filled(PASTED, ticket))["outcome"]
    connected.settle()
    return str(outcome)


def create(freshdesk: Freshdesk, text: dict[str, str], **values: object) -> Ticket:
    return freshdesk.created(text["title"], f"<div>{text['description']}</div>", **values)


def written(freshdesk: Freshdesk) -> list[tuple[str, str, object]]:
    return [(request.method, request.path, request.json()) for request in freshdesk.writes()]


def test_an_id_is_enough_for_a_ticket_to_be_fetched_classified_and_written(
    freshdesk: Freshdesk, connected: ConnectedService
) -> None:
    ticket = freshdesk.created('the "big" \\ router is\n', '<p>"down"</p><blockquote>invoice</blockquote>')

    assert tell(connected, freshdesk, ticket) == "queued"

    (prediction,) = connected.predictions()
    assert prediction["ticket_id"] == "desk:301"


def test_numbers_of_priority_and_group_are_written_once(freshdesk: Freshdesk, connected: ConnectedService) -> None:
    ticket = create(freshdesk, SURE)

    tell(connected, freshdesk, ticket)

    assert written(freshdesk) == [("PUT", "/api/v2/tickets/301", {"priority": 3, "group_id": 21})]
    assert (ticket.priority, ticket.group_id) == (3, 21)
    # What it said until then, within the same second, too, may be told later.
    (known,) = connected.tickets()
    assert json.loads(known["heads"])["priority"]["written_ms"] == int(ticket.updated_at.timestamp()) * 1000


def test_text_that_comes_along_is_classified_at_once_without_its_html(
    freshdesk: Freshdesk, connected: ConnectedService
) -> None:
    ticket = create(freshdesk, SURE)

    answer = post(connected, freshdesk, freshdesk.simple(ticket))
    connected.settle()

    (prediction,) = connected.predictions()
    assert answer == {"outcome": "classified", "predictions": {"desk:301": prediction["prediction_id"]}}
    assert (ticket.priority, ticket.group_id) == (3, 21)


def test_a_suggestion_is_a_private_note(freshdesk: Freshdesk, connected: ConnectedService) -> None:
    ticket = create(freshdesk, HALF_SURE)

    tell(connected, freshdesk, ticket)

    assert (ticket.priority, ticket.group_id) == (3, None)
    (note,) = ticket.notes
    assert note["private"] is True
    assert "<br>Department: Tech Support (" in note["body"]


def test_low_is_what_nobody_chose_and_anything_else_is_left(freshdesk: Freshdesk, connected: ConnectedService) -> None:
    ticket = create(freshdesk, SURE, priority=2)

    tell(connected, freshdesk, ticket)
    freshdesk.person_sets(ticket, status=4)
    tell(connected, freshdesk, ticket)

    assert (ticket.priority, ticket.group_id) == (2, 21)
    assert connected.judged() == [("department", "Billing", "Billing"), ("priority", "Medium", "High")]


def test_each_delivery_with_the_same_words_is_looked_into(freshdesk: Freshdesk, connected: ConnectedService) -> None:
    ticket = create(freshdesk, SURE)
    tell(connected, freshdesk, ticket)

    assert tell(connected, freshdesk, ticket) == "queued"
    assert connected.judged() == []
    freshdesk.person_sets(ticket, priority=2)
    tell(connected, freshdesk, ticket)
    freshdesk.person_sets(ticket, priority=4)
    tell(connected, freshdesk, ticket)

    assert sorted(connected.judged()) == [("priority", "Medium", "High"), ("priority", "Urgent", "High")]
    assert len(written(freshdesk)) == 1


def test_what_a_late_delivery_said_is_no_change(freshdesk: Freshdesk, connected: ConnectedService) -> None:
    ticket = create(freshdesk, SURE)
    late = freshdesk.simple(ticket)
    tell(connected, freshdesk, ticket)

    post(connected, freshdesk, late)
    connected.settle()

    assert connected.judged() == []
    assert len(connected.predictions()) == 1


def test_an_answer_that_is_lost_leads_to_no_second_write_or_note(
    freshdesk: Freshdesk, connected: ConnectedService
) -> None:
    sure, unsure = create(freshdesk, SURE), create(freshdesk, UNSURE)
    unsure.notes += [{"id": number, "body": "<p>Asked the customer</p>", "private": True} for number in range(3)]
    freshdesk.page_size = 2
    freshdesk.give(closed_after_it_was_done(), path="301")
    freshdesk.give(closed_after_it_was_done(), path="302/notes")
    freshdesk.give(closed_after_it_was_done(), method="PUT")

    for ticket in (sure, unsure):
        tell(connected, freshdesk, ticket)

    assert [path for _, path, _ in written(freshdesk)] == ["/api/v2/tickets/301", "/api/v2/tickets/302/notes"]
    assert len(unsure.notes) == 4


@pytest.mark.parametrize(
    "trouble",
    [rate_limited(1), html_page(500), html_page(200), closed(), too_large(), redirect("https://elsewhere.example/")],
    ids=["429", "500", "200 in HTML", "closed", "too large", "redirect"],
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_what_fails_for_a_while_is_written_in_the_end(
    freshdesk: Freshdesk, connected: ConnectedService, trouble: Trouble, method: str
) -> None:
    ticket = create(freshdesk, HALF_SURE)
    freshdesk.give(trouble, method=method)

    tell(connected, freshdesk, ticket)

    assert (ticket.priority, len(ticket.notes)) == (3, 1)
    _, job = connected.rows(outbox)
    assert (job["state"], job["n_attempts"]) == ("done", 2)


def test_a_ticket_that_is_gone_is_left_alone(freshdesk: Freshdesk, connected: ConnectedService) -> None:
    ticket = create(freshdesk, SURE)
    del freshdesk.tickets[ticket.id]

    tell(connected, freshdesk, ticket)

    (job,) = connected.rows(outbox)
    assert (job["state"], job["result"]) == ("done", "the ticket is gone")


def test_a_group_that_does_not_exist_is_given_up_at_once(freshdesk: Freshdesk, connected: ConnectedService) -> None:
    ticket = create(freshdesk, SURE)
    freshdesk.groups = {99: "Everybody"}

    tell(connected, freshdesk, ticket)

    _, job = connected.rows(outbox)
    assert (job["state"], job["n_attempts"], job["result"]) == ("dead", 1, "PUT /api/v2/tickets/301: answered 400")
    assert ticket.priority == 1


@pytest.mark.parametrize("body", [b'{"ticket_id": ""}', b'{"ticket_subject": "a "word""}', b'{"ticket_id": [1]}', b"7"])
def test_what_cannot_be_read_is_left_to_a_person(
    freshdesk: Freshdesk, connected: ConnectedService, body: bytes
) -> None:
    assert post(connected, freshdesk, body)["outcome"] == "review"


def test_whoever_does_not_have_the_secret_is_refused(freshdesk: Freshdesk, connected: ConnectedService) -> None:
    body = freshdesk.filled(PASTED, create(freshdesk, SURE))
    other = Freshdesk(key=TOKEN, secret=SECRET + "s")

    assert connected.deliver(body, other.headers()).status_code == 401
    assert connected.deliver(body, {}).status_code == 401
    assert connected.tickets() == []
    assert connected.deliver(body, {"x-webhook-secret": SECRET}).status_code == 200


def test_changes_that_no_webhook_told_are_found_also_where_many_come_in_one_second(
    freshdesk: Freshdesk, start_connected: StartConnected
) -> None:
    with running(freshdesk) as url:
        connected = start_connected(TABLE.format(url=url, look_seconds=2, more=""))
        freshdesk.page_size = 2
        freshdesk.same_second = True
        tickets = [create(freshdesk, SURE) for _ in range(5)]
        freshdesk.same_second = False
        tickets += [create(freshdesk, SURE) for _ in range(3)]
        connected.wait_until(lambda: len(connected.predictions()) == 8, seconds=20)
        connected.settle()
        assert {(ticket.priority, ticket.group_id) for ticket in tickets} == {(3, 21)}

        freshdesk.person_sets(tickets[0], priority=2)
        connected.wait_until(lambda: connected.judged() == [("priority", "Medium", "High")])


def test_a_ticket_that_changes_while_pages_are_read_pushes_none_out(freshdesk: Freshdesk) -> None:
    tickets = [create(freshdesk, SURE) for _ in range(6)]
    freshdesk.page_size = 2
    helpdesk = FreshdeskHelpdesk(Options(fields=FreshdeskHelpdesk.fields))
    since = round((tickets[0].created_at - timedelta(seconds=5)).timestamp() * 1000)

    async def look(url: str) -> list[str]:
        api = Api(url, authorization=helpdesk.authorization(TOKEN))
        refs = []
        async for sighting in helpdesk.changed_since(api, since):
            refs.append(sighting.ref)
            if sighting.ref == "302":
                freshdesk.person_sets(tickets[0], priority=2)
        await api.close()
        return refs

    with running(freshdesk) as url:
        refs = asyncio.run(look(url))

    assert set(refs) == {str(ticket.id) for ticket in tickets}
    assert refs[-1] == "301"


def test_groups_are_found_page_by_page_and_only_with_the_key() -> None:
    freshdesk, helpdesk = (
        Freshdesk(key=TOKEN, secret=SECRET),
        FreshdeskHelpdesk(Options(fields=FreshdeskHelpdesk.fields)),
    )
    freshdesk.page_size = 1

    async def choices(url: str, key: str) -> object:
        api = Api(url, authorization=helpdesk.authorization(key))
        try:
            return await helpdesk.choices(api)
        finally:
            await api.close()

    with running(freshdesk) as url:
        found = asyncio.run(choices(url, TOKEN))
        with pytest.raises(UnavailableError, match="answered 401"):
            asyncio.run(choices(url, "another"))

    assert found == {"priority": {"1", "2", "3", "4"}, "department": {"21", "22"}}

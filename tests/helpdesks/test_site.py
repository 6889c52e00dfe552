"""What the connector of django-helpdesk counts on, seen in the real one."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest

from tests.helpdesks.conftest import StartHelpdesk
from tests.helpdesks.django_helpdesk import CLOSED, OPEN, PROGRAM, QUEUES, DjangoHelpdesk, Ticket, token_of
from tests.helpdesks.hooks import Hook

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first one may install it

TICKET = Ticket("Server is down", "Main server offline", "customer@example.com")


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as kept:
        yield kept


@pytest.fixture
def helpdesk(start_helpdesk: StartHelpdesk, hook: Hook) -> DjangoHelpdesk:
    return start_helpdesk(webhook_url=f"http://any:secret@{hook.address}/hooks/django")


def program(helpdesk: DjangoHelpdesk, method: str, path: str, **fields: object) -> httpx.Response:
    headers = {"Authorization": f"Token {token_of(PROGRAM)}"}
    return httpx.request(method, f"{helpdesk.url}/api/{path}", json=fields, headers=headers).raise_for_status()


def test_a_new_ticket_is_told_with_its_text_whether_it_came_by_the_form_or_the_api(
    helpdesk: DjangoHelpdesk, hook: Hook
) -> None:
    numbers = [helpdesk.submit_form(TICKET), helpdesk.submit_api(TICKET)]

    assert [body["ticket"]["id"] for body in hook.bodies] == numbers
    for body in hook.bodies:
        assert body.keys() == {"ticket", "queue_slug"}
        named = {name: body["ticket"][name] for name in ("title", "description", "submitter_email", "priority")}
        assert named == {
            "title": TICKET.title,
            "description": TICKET.description,
            "submitter_email": TICKET.email,
            "priority": 3,
        }
    expected = "Basic " + base64.b64encode(b"any:secret").decode()
    assert hook.authorizations == [expected, expected]


def test_a_change_on_the_page_of_a_ticket_is_told_with_who_did_it(helpdesk: DjangoHelpdesk, hook: Hook) -> None:
    number = helpdesk.submit_api(TICKET)
    assert number is not None
    hook.bodies.clear()

    helpdesk.update(number, person="grace", priority=1, queue=QUEUES["Billing"], new_status=CLOSED)

    (body,) = hook.bodies
    ticket = body["ticket"]
    assert (ticket["priority"], int(ticket["queue"]), ticket["status"]) == (1, QUEUES["Billing"], CLOSED)
    (followup,) = (each for each in ticket["followup_set"] if each["id"] == body["followup_id"])
    assert followup["user"] == 2


def test_changes_by_the_api_the_edit_page_and_in_bulk_are_not_told(helpdesk: DjangoHelpdesk, hook: Hook) -> None:
    number = helpdesk.submit_api(TICKET)
    assert number is not None
    hook.bodies.clear()

    program(helpdesk, "PATCH", f"tickets/{number}/", priority=1)
    helpdesk.edit(number, queue=QUEUES["Sales"])
    helpdesk.close_in_bulk([number])

    assert hook.bodies == []
    ticket = helpdesk.ticket(number)
    assert (ticket["priority"], ticket["queue"], ticket["status"]) == (1, QUEUES["Sales"], CLOSED)
    assert [each["title"] for each in ticket["followup_set"]] == ["Ticket Opened", "Closed in bulk update"]


def test_a_note_without_a_title_leaves_the_ticket_as_it_is_and_one_with_a_title_renames_it(
    helpdesk: DjangoHelpdesk, hook: Hook
) -> None:
    number = helpdesk.submit_api(TICKET)
    assert number is not None
    hook.bodies.clear()

    program(helpdesk, "POST", "followups/", ticket=number, comment="a note", public=False)
    quiet = helpdesk.ticket(number)
    program(helpdesk, "POST", "followups/", ticket=number, title="renamed", comment="a note", public=False)
    renamed = helpdesk.ticket(number)

    assert (quiet["title"], quiet["status"], quiet["priority"]) == (TICKET.title, OPEN, 3)
    assert quiet["followup_set"][-1]["public"] is False
    assert renamed["title"] == "renamed"
    assert len(hook.bodies) == 2  # so a connector hears of its own notes


def test_when_nobody_listens_the_customer_sees_an_error_and_the_ticket_is_there(start_helpdesk: StartHelpdesk) -> None:
    helpdesk = start_helpdesk(webhook_url="http://127.0.0.1:9/hooks/django")

    assert helpdesk.submit_form(TICKET) is None
    assert helpdesk.submit_api(TICKET) is None

    assert [ticket["title"] for ticket in helpdesk.tickets().values()] == [TICKET.title, TICKET.title]


def test_a_helpdesk_that_is_stopped_and_started_again_has_kept_its_tickets(helpdesk: DjangoHelpdesk) -> None:
    number = helpdesk.submit_form(TICKET)

    helpdesk.stop()
    with pytest.raises(httpx.ConnectError):
        helpdesk.tickets()
    helpdesk.start()

    assert list(helpdesk.tickets()) == [number]

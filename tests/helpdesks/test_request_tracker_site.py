"""What the connector of Request Tracker counts on, seen in the real one with the scrip that is to be pasted there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.message import EmailMessage

import httpx
import pytest

from app.connectors.sighting import Delivery
from app.connectors.signatures import is_standard_webhook
from tests.helpdesks.conftest import NewRequestTracker
from tests.helpdesks.hooks import Hook
from tests.helpdesks.request_tracker import ONLOOKER, PROGRAM, RequestTracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first one makes a database

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as kept:
        yield kept


@pytest.fixture
def helpdesk(new_request_tracker: NewRequestTracker, hook: Hook) -> RequestTracker:
    made = new_request_tracker(webhook_url=f"http://{hook.address}/hooks/rt", webhook_secret=SECRET)
    made.start()
    return made


def test_an_e_mail_is_told_with_its_text_and_signed(helpdesk: RequestTracker, hook: Hook) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "emil@example.com", "help@desk.example", "Drucker — kaputt"
    message.set_content("Grüße,\nes geht nichts mehr.")
    message.add_alternative("<p>Grüße,<br>es geht <b>nichts</b> mehr.</p>", subtype="html")

    helpdesk.receive_mail(message)

    (said,) = hook.bodies
    (ticket,) = helpdesk.tickets()
    assert said.pop("created") <= said.pop("changed")
    assert said == {
        "id": int(ticket["id"]),
        "title": "Drucker — kaputt",
        "description": "Grüße,\nes geht nichts mehr.\n",
        "queue": "General",
        "priority": "0",
        "status": "new",
        "custom_fields": {"Team": None},
        "actor": "emil@example.com",
    }
    ((body, headers),) = hook.deliveries
    delivery = Delivery(body, headers, "POST", "/hooks/rt", "127.0.0.1", time.time_ns() // 1_000_000)
    assert is_standard_webhook(delivery, [SECRET.encode()])
    assert not is_standard_webhook(delivery, [b"another secret"])


def test_changes_of_what_matters_are_told_once_each_with_who_did_it(helpdesk: RequestTracker, hook: Hook) -> None:
    number = helpdesk.create("Server is down", "Main server offline")
    hook.bodies.clear()

    helpdesk.change(number, person="grace", Priority=100, Queue="Billing", Status="resolved")
    helpdesk.change(number, person="ada", Subject="nothing that matters")
    helpdesk.comment(number, "a note")

    (said,) = hook.bodies
    told = {name: said[name] for name in ("id", "priority", "queue", "status", "actor")}
    assert told == {"id": number, "priority": "100", "queue": "Billing", "status": "resolved", "actor": "grace"}
    assert "title" not in said
    ids = [headers["webhook-id"] for _, headers in hook.deliveries]
    assert len(set(ids)) == 2


def test_a_custom_field_is_told(helpdesk: RequestTracker, hook: Hook) -> None:
    number = helpdesk.create("Server is down", "Main server offline")

    helpdesk.change(number, CustomFields={"Team": "Billing"})

    assert [said["custom_fields"] for said in hook.bodies] == [{"Team": None}, {"Team": "Billing"}]


def test_a_change_over_what_somebody_changed_meanwhile_is_refused(helpdesk: RequestTracker) -> None:
    number = helpdesk.create("Server is down", "Main server offline")
    etag = helpdesk.ticket(number, person=PROGRAM).headers["ETag"]
    helpdesk.change(number, person="grace", Priority=50)

    late = helpdesk.change(number, person=PROGRAM, etag=etag, Priority=100)
    etag = helpdesk.ticket(number, person=PROGRAM).headers["ETag"]
    done = helpdesk.change(number, person=PROGRAM, etag=etag, Queue="Sales")

    assert (late.status_code, late.json()) == (412, {"message": "Precondition Failed"})
    assert done.status_code == 200
    (ticket,) = helpdesk.tickets()
    assert (ticket["Priority"], ticket["Queue"]["Name"]) == ("50", "Sales")


def test_a_note_counts_as_a_change_for_the_next_condition(helpdesk: RequestTracker) -> None:
    number = helpdesk.create("Server is down", "Main server offline")
    etag = helpdesk.ticket(number, person=PROGRAM).headers["ETag"]

    helpdesk.comment(number, "a note", person="grace")

    assert helpdesk.change(number, person=PROGRAM, etag=etag, Priority=100).status_code == 412
    assert helpdesk.notes(number) == ["a note"]


def test_what_is_not_allowed_and_what_does_not_exist_is_answered_as_if_it_were_done(helpdesk: RequestTracker) -> None:
    number = helpdesk.create("Server is down", "Main server offline", Priority=50)

    answers = [
        helpdesk.change(number, person=ONLOOKER, Priority=100),
        helpdesk.change(number, Queue="No such queue"),
        helpdesk.change(number, Priority="No such word"),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    (ticket,) = helpdesk.tickets()
    # A word that it does not know is no priority at all.
    assert (ticket["Priority"], ticket["Queue"]["Name"]) == ("0", "General")


def test_the_history_says_who_changed_what(helpdesk: RequestTracker) -> None:
    number = helpdesk.create("Server is down", "Main server offline")
    helpdesk.change(number, person="grace", Priority=100)
    helpdesk.change(number, person=PROGRAM, Queue="Billing")

    told = [(each["Type"], each["Field"], each["NewValue"], each["Creator"]["id"]) for each in helpdesk.history(number)]

    assert told == [("Create", "", "", "ada"), ("Set", "Priority", "100", "grace"), ("Set", "Queue", "4", "classifier")]


def test_nobody_waits_for_a_hook_that_is_not_there(new_request_tracker: NewRequestTracker) -> None:
    helpdesk = new_request_tracker(webhook_url="http://127.0.0.1:9/hooks/rt", webhook_secret=SECRET)
    helpdesk.start()

    began = time.monotonic()
    number = helpdesk.create("Server is down", "Main server offline")

    assert time.monotonic() - began < 10
    assert helpdesk.ticket(number).json()["Subject"] == "Server is down"
    assert "The classifier was not told of ticket" in helpdesk.log()


def test_a_site_that_is_stopped_and_started_again_has_kept_its_tickets(helpdesk: RequestTracker) -> None:
    number = helpdesk.create("Server is down", "Main server offline")

    helpdesk.stop()
    with pytest.raises(httpx.ConnectError):
        helpdesk.tickets()
    helpdesk.start()

    assert [int(ticket["id"]) for ticket in helpdesk.tickets()] == [number]

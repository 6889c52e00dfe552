from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.keys import hash_key
from app.store.connector_states import note_answer, note_failure
from app.store.database import Database
from app.store.tables import outbox
from tests.browsing import Browser
from tests.conftest import StartService
from tests.connectors.connected import (
    HALF_SURE,
    SECRET,
    SURE,
    TOKEN,
    UNSURE,
    ConnectedService,
    StartConnected,
    connecting,
)
from tests.connectors.servers.dialect import refused, running
from tests.connectors.servers.generic import Generic
from tests.html_reader import Reader
from tests.processes import free_port
from tests.store.jobs import add_job

KEYS = {"reviewer_api_keys": (f"mia:{hash_key('mias-key')}",), "admin_api_keys": (hash_key("admins-key"),)}
LOOPBACK = ("127.0.0.1", 5000)
TABLE = """
type = "generic"
signature = "secret"
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
def helpdesk_url(helpdesk: Generic) -> Iterator[str]:
    with running(helpdesk) as url:
        yield url


@pytest.fixture
def start_connected(
    start_service: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StartConnected]:
    with connecting(start_service, tmp_path, monkeypatch) as start:
        yield start


@pytest.fixture
def connected(start_connected: StartConnected, helpdesk_url: str) -> ConnectedService:
    return start_connected(TABLE.format(url=helpdesk_url), **KEYS)


@pytest.fixture
def admin(connected: ConnectedService) -> Browser:
    return signed_in(connected)


def signed_in(connected: ConnectedService, key: str = "admins-key") -> Browser:
    browser = Browser(connected.service)
    browser.sign_in(key)
    return browser


def tell(connected: ConnectedService, content: object) -> None:
    answer = connected.deliver(json.dumps(content).encode(), {"X-Webhook-Secret": SECRET})
    assert answer.status_code == 200, answer.text


def shown(browser: Browser, page: str = "connectors") -> str:
    """Return the words of the page, which is whole."""
    answer = browser.get(page)
    assert answer.status_code == 200, answer.text
    assert Reader(answer.text).open == []
    return " ".join(" ".join(Reader(answer.text).text).split())


def give_up(connected: ConnectedService, helpdesk: Generic, *refs: str) -> list[str]:
    """Let the helpdesk refuse what is written to some new tickets; return the ids of the dead letters."""
    for ref in refs:
        helpdesk.give(refused(422), method="PATCH", path=f"/{ref}$")
        tell(connected, helpdesk.create(ref, **SURE))
    connected.settle()
    return [row["job_id"] for row in connected.rows(outbox, state="dead")]


def test_without_a_file_of_connectors_it_says_how_to_set_one_up(start_service: StartService, tmp_path: Path) -> None:
    without_store = shown(Browser(start_service(), peer=LOOPBACK))
    with_store = shown(Browser(start_service(store_url=f"sqlite:///{tmp_path / 'store.db'}"), peer=LOOPBACK))

    assert "STORE_URL" in without_store
    assert "No helpdesk is connected" in with_store
    assert "CONNECTORS_FILE" in with_store
    assert "STORE_URL" not in with_store


def test_a_connector_that_was_never_used_says_what_it_is_and_that_nothing_came(
    admin: Browser, helpdesk_url: str
) -> None:
    page = shown(admin)

    assert f"generic, {urlsplit(helpdesk_url).netloc}" in page
    assert "/hooks/desk" in page
    assert "priority, department, and suggestions as internal notes" in page
    assert "not asked of late" in page
    assert "Nothing came." in page
    assert "Nothing was done at a helpdesk yet." in page


def test_what_came_and_what_was_done_is_shown_without_text_and_without_secrets(
    admin: Browser, connected: ConnectedService, helpdesk: Generic
) -> None:
    tell(connected, helpdesk.create("7", title="down canary", description="invoice sparrow"))
    tell(connected, helpdesk.create("8", **HALF_SURE))
    connected.settle()

    page = admin.get("connectors").text

    words = shown(admin)
    assert "deliveries 2 classified 2" in words
    assert "done, last day 2 waiting 0 given up 0" in words
    assert "answers" in words
    assert "7 set priority to High set department to Billing priority set to High; department set to Billing" in words
    assert "suggest Tech Support for department" in words
    assert "note added" in words
    for secret in ("canary", "sparrow", SECRET, TOKEN):
        assert secret not in page


def test_a_value_that_somebody_set_meanwhile_is_said_to_be_left(
    admin: Browser, connected: ConnectedService, helpdesk: Generic
) -> None:
    ticket = dict(helpdesk.create("7", **SURE))
    helpdesk.tickets["7"]["priority"] = "Low"
    tell(connected, ticket)
    connected.settle()

    assert "department set to Billing; priority left as somebody set it" in shown(admin)


def test_a_dry_run_shows_what_would_have_been_written(
    start_connected: StartConnected, helpdesk: Generic, helpdesk_url: str
) -> None:
    connected = start_connected(f"{TABLE.format(url=helpdesk_url)}dry_run = true", **KEYS)
    tell(connected, helpdesk.create("7", **SURE))
    tell(connected, helpdesk.create("8", **UNSURE))
    connected.settle()

    page = shown(signed_in(connected))

    assert "dry run: nothing is written" in page
    assert "would set priority to High; would set department to Billing" in page
    assert "would add a note" in page
    assert helpdesk.writes() == []


def test_a_connector_without_an_api_only_listens_and_a_ticket_without_text_is_left_to_a_person(
    start_connected: StartConnected,
) -> None:
    connected = start_connected('type = "generic"\nsignature = "secret"', **KEYS)
    tell(connected, {"id": "7", "priority": None})

    page = shown(signed_in(connected))

    assert "only listens" in page
    assert "for a person 1" in page
    assert "7 it has no text of the ticket, and there is no api_url to fetch that from" in page


def test_a_delivery_that_cannot_be_read_is_shown_with_what_is_wrong(
    admin: Browser, connected: ConnectedService
) -> None:
    tell(connected, {"number": "sparrow"})

    page = shown(admin)

    assert "Deliveries for a person" in page
    assert "the ticket's id (pointers.id, now /id)" in page
    assert "sparrow" not in page


def test_a_helpdesk_that_does_not_answer_is_said_to_be_left_alone_and_what_waits_for_it_is_shown(
    start_connected: StartConnected, helpdesk: Generic
) -> None:
    connected = start_connected(TABLE.format(url=f"http://127.0.0.1:{free_port()}"), **KEYS)
    for number in range(5):
        tell(connected, helpdesk.create(str(number), **SURE))
    connected.wait_until(lambda: all(row["n_attempts"] for row in connected.rows(outbox)))

    page = shown(signed_in(connected))

    assert "does not answer" in page
    assert re.search(r"The last call failed , and \d before it: GET /tickets/\d: ConnectError", page)
    assert re.search("Nothing is asked or sent for another [1-5] s", page)
    assert "waiting 5 given up 0" in page
    assert re.search("to Billing GET /tickets/.: ConnectError[^.]* in [1-5] s", page)


def test_a_helpdesk_that_answers_and_asked_for_a_pause_is_said_to_want_one(
    admin: Browser, connected: ConnectedService
) -> None:
    now_ms = time.time_ns() // 1_000_000

    def fail_and_answer(database: Database) -> None:
        failed = {"problem": "answered 429", "pause_ms": lambda _: 3_000_000}
        note_failure(database, "desk", now_ms=now_ms, trial_after=5, **failed)
        note_answer(database, "desk", now_ms=now_ms, trial_after=5)

    connected.service.run(connected.service.state["store"].run(fail_and_answer))

    page = shown(admin)

    assert "The helpdesk wants to be left alone for another 49 min." in page
    assert "answered 429" not in page


def test_an_admin_sends_one_dead_letter_again_and_is_told_what_came_of_it(
    admin: Browser, connected: ConnectedService, helpdesk: Generic
) -> None:
    first, second = give_up(connected, helpdesk, "7", "8")
    assert "PATCH /tickets/7: answered 422" in shown(admin)

    answer = admin.post("send-again", {"job_id": first})
    waiting = shown(admin, answer.headers["location"])
    connected.settle()
    done = shown(admin, answer.headers["location"])

    assert (answer.status_code, answer.headers["location"]) == (303, f"connectors?sent={first}")
    assert "Ticket 7 of desk: tried again for another day" in waiting
    assert "Ticket 7 of desk: done. priority set to High; department set to Billing" in done
    assert helpdesk.tickets["7"]["priority"] == "High"
    assert [row["job_id"] for row in connected.rows(outbox, state="dead")] == [second]


def test_a_dead_letter_that_fails_again_says_so(admin: Browser, connected: ConnectedService, helpdesk: Generic) -> None:
    (job_id,) = give_up(connected, helpdesk, "7")
    helpdesk.give(refused(400), method="PATCH")
    answer = admin.post("send-again", {"job_id": job_id})
    connected.settle()

    assert "Ticket 7 of desk: given up. PATCH /tickets/7: answered 400" in shown(admin, answer.headers["location"])


def test_an_admin_sends_all_dead_letters_of_a_connector_again(
    admin: Browser, connected: ConnectedService, helpdesk: Generic
) -> None:
    give_up(connected, helpdesk, "7", "8")
    assert "Send all 2 of desk again" in shown(admin)

    answer = admin.post("send-again", {"name": "desk"})
    connected.settle()

    assert answer.headers["location"] == "connectors?sent_all=desk"
    assert "desk : 0 wait to be done, 0 are given up." in shown(admin, answer.headers["location"])
    assert {ticket["priority"] for ticket in helpdesk.tickets.values()} == {"High"}


def test_what_is_no_dead_letter_is_never_sent_again(
    start_connected: StartConnected, store_url: str, helpdesk: Generic, helpdesk_url: str
) -> None:
    connected = start_connected(TABLE.format(url=helpdesk_url), store_url, **KEYS)
    admin = signed_in(connected)
    give_up(connected, helpdesk, "7")
    add = connected.service.state["store"].run
    elsewhere = connected.service.run(add(partial(add_job, state="dead", at_ms=1, connector="old")))
    done = connected.service.run(add(partial(add_job, at_ms=2)))
    before = connected.rows(outbox)

    for job_id in (elsewhere, done, "0" * 36, "no id", "\0" * 36, "ü" * 36):
        assert admin.post("send-again", {"job_id": job_id}).status_code == 303
    unknown = admin.post("send-again", {"name": "other"})

    assert unknown.status_code == 404
    assert connected.rows(outbox) == before


def test_a_reviewer_sees_dead_letters_and_who_can_send_them_again(
    connected: ConnectedService, helpdesk: Generic
) -> None:
    (job_id,) = give_up(connected, helpdesk, "7")
    reviewer = signed_in(connected, "mias-key")

    page = shown(reviewer)
    answer = reviewer.post("send-again", {"job_id": job_id})

    assert "Only an admin can send again." in page
    assert "Send again" not in page
    assert (answer.status_code, len(connected.rows(outbox, state="dead"))) == (403, 1)


def test_without_an_admins_key_it_names_the_command_that_sends_again(
    start_connected: StartConnected, helpdesk: Generic, helpdesk_url: str
) -> None:
    connected = start_connected(TABLE.format(url=helpdesk_url))
    give_up(connected, helpdesk, "7")

    assert "python -m app.connectors send-again" in shown(Browser(connected.service, peer=LOOPBACK))


def test_without_the_token_of_the_page_nothing_is_sent_again(
    admin: Browser, connected: ConnectedService, helpdesk: Generic
) -> None:
    (job_id,) = give_up(connected, helpdesk, "7")

    answer = admin.post("send-again", {"job_id": job_id}, token="0" * 64)

    assert (answer.status_code, len(connected.rows(outbox, state="dead"))) == (403, 1)


@pytest.mark.parametrize("asked", ["7", "desk%3A7", "+7+"])
def test_one_ticket_is_found_by_its_id_there_or_here(
    admin: Browser, connected: ConnectedService, helpdesk: Generic, asked: str
) -> None:
    for ref in ("7", "8"):
        tell(connected, helpdesk.create(ref, **SURE))
    give_up(connected, helpdesk, "77")

    page = admin.get(f"connectors?ticket={asked}").text

    rows = [value for tag, name, value in Reader(page).attributes if (tag, name) == ("th", "scope") and value == "row"]
    assert len(rows) == 1
    assert "/hooks/desk" not in page


def test_a_ticket_that_cannot_be_found_is_said_or_not_asked_for(
    start_connected: StartConnected, store_url: str, helpdesk: Generic, helpdesk_url: str
) -> None:
    connected = start_connected(TABLE.format(url=helpdesk_url), store_url, **KEYS)
    admin = signed_in(connected)
    tell(connected, helpdesk.create("7", **SURE))
    connected.settle()

    for asked, is_asked in (("%00", False), ("x" * 500, False), ("9", True), ("%F0%9F%98%80", True), ("%3Cb%3E", True)):
        answer = admin.get(f"connectors?ticket={asked}&connector=%00&sent={'%00' * 36}&sent_all=%00")

        assert answer.status_code == 200, asked
        assert "<b>" not in answer.text
        assert ("Nothing was done for ticket" in answer.text) == is_asked, asked


def test_one_of_several_connectors_may_be_chosen(
    start_connected: StartConnected, helpdesk: Generic, helpdesk_url: str
) -> None:
    other = '[quiet]\ntype = "generic"\nsecret_env = "DESK_SECRET"'
    connected = start_connected(f"{TABLE.format(url=helpdesk_url)}\n{other}", **KEYS)
    give_up(connected, helpdesk, "7")
    admin = signed_in(connected)

    both, quiet = shown(admin), shown(admin, "connectors?connector=quiet")

    assert "/hooks/desk" in both
    assert "/hooks/quiet" in both
    assert "Given up" in both
    assert "/hooks/desk" not in quiet
    assert "/hooks/quiet" in quiet
    assert "Given up" not in quiet


def test_while_the_store_is_away_the_page_says_so(
    admin: Browser, connected: ConnectedService, helpdesk: Generic
) -> None:
    (job_id,) = give_up(connected, helpdesk, "7")
    connected.service.state["store"]._reachable.clear()

    page = shown(admin)
    answer = admin.post("send-again", {"job_id": job_id})

    assert "The store cannot be reached now." in page
    assert answer.status_code == 503

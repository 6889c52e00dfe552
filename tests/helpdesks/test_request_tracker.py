"""The service beside a real Request Tracker: told by its scrip, refused by its conditions, corrected by its people."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, select

from app.connectors.api import Api
from app.connectors.helpdesk import Options
from app.connectors.helpdesks.request_tracker import RequestTrackerHelpdesk
from app.store.database import Database
from app.store.tables import deliveries, feedback, judgements, outbox, predictions
from tests.conftest import StartProcess
from tests.connectors.connected import HALF_SURE, SURE, UNSURE
from tests.helpdesks.between import Between
from tests.helpdesks.conftest import NewRequestTracker
from tests.helpdesks.request_tracker import PROGRAM, QUEUES, RequestTracker
from tests.processes import ServiceProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # the first one makes a database

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TABLE = """
[desk]
type = "request-tracker"
secret_env = "DESK_SECRET"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
look_seconds = {look_seconds}
calls_per_minute = 100000
"""
SETTLED_SECONDS = 90.0


@dataclass
class Desk:
    """A helpdesk, what stands before it, and the service that its scrip tells of its tickets."""

    helpdesk: RequestTracker
    between: Between
    directory: Path
    start_process: StartProcess
    service: ServiceProcess | None = None

    def start(self, *, look_seconds: int = 3_600) -> None:
        """Start the service, and the first time the helpdesk, too, which tells it and no later one.

        ``look_seconds`` is how often it looks for what no delivery told.
        """
        path = self.directory / "connectors.toml"
        path.write_text(TABLE.format(url=self.between.url, look_seconds=look_seconds), encoding="utf-8")
        self.service = self.start_process(
            CONNECTORS_FILE=str(path),
            STORE_URL=self.store_url,
            DESK_SECRET=SECRET,
            DESK_TOKEN=self.helpdesk.token,
            AUDIT_SHARE="0",
        )
        if self.helpdesk.webhook_url is None:
            self.helpdesk.webhook_url = f"{self.service.base_url}/hooks/desk"
            self.helpdesk.start()

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.directory / 'store.db'}"

    def rows(self, table: Table) -> list[dict[str, Any]]:
        with closing(Database(self.store_url)) as database, database.reading() as connection:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

    def settle(self, n_tickets: int) -> None:
        """Wait until so many tickets are answered and nothing waits, and until the second of the last write is over.

        Request Tracker counts seconds: what is said of the second of a write may be of before it.
        """

        def is_settled() -> bool:
            is_done = all(row["state"] == "done" for row in self.rows(outbox))
            return is_done and len(self.rows(predictions)) == n_tickets

        self.wait_until(is_settled)
        second = int(time.time())
        self.wait_until(lambda: int(time.time()) > second)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SETTLED_SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{self.service and self.service.log()}\n{self.helpdesk.log()}"
            time.sleep(0.2)

    def judged(self) -> Counter[tuple[int, str, str]]:
        """Return ticket, head and label of every judgement, and how often it was made."""
        number_of = {
            row["prediction_id"]: int(row["ticket_id"].removeprefix("desk:")) for row in self.rows(predictions)
        }
        ticket_of = {row["feedback_id"]: number_of[row["prediction_id"]] for row in self.rows(feedback)}
        return Counter((ticket_of[row["feedback_id"]], row["head"], row["label"]) for row in self.rows(judgements))

    def reviewers(self) -> set[str]:
        return {row["reviewer"] for row in self.rows(feedback)}

    def values(self) -> dict[int, tuple[str, str]]:
        """Return priority and queue of every ticket."""
        return {int(each["id"]): (each["Priority"], each["Queue"]["Name"]) for each in self.helpdesk.tickets()}

    def changes(self, number: int) -> list[tuple[str, str]]:
        """Return who changed which field of a ticket, in order."""
        return [
            (each["Creator"]["id"], each["Field"]) for each in self.helpdesk.history(number) if each["Type"] == "Set"
        ]


@pytest.fixture
def desk(new_request_tracker: NewRequestTracker, start_process: StartProcess, tmp_path: Path) -> Iterator[Desk]:
    helpdesk = new_request_tracker(webhook_secret=SECRET)
    with Between(helpdesk.url) as between:
        yield Desk(helpdesk, between, tmp_path, start_process)


def mail(title: str, description: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "emil@example.com", "help@desk.example", title
    message.set_content(description)
    return message


def test_tickets_are_answered_once_each_as_sure_as_the_service_is(desk: Desk) -> None:
    desk.start()
    helpdesk = desk.helpdesk

    for n in range(3):
        helpdesk.receive_mail(mail(f"{SURE['title']} {n}", SURE["description"]))
    half_sure = helpdesk.create(HALF_SURE["title"], HALF_SURE["description"])
    unsure = helpdesk.create(UNSURE["title"], UNSURE["description"])
    chosen = helpdesk.create(SURE["title"], SURE["description"], Priority=50, Queue="Sales")
    desk.settle(6)

    sure = dict.fromkeys(sorted(desk.values())[:3], ("100", "Billing"))
    assert desk.values() == {
        **sure,
        half_sure: ("100", "General"),
        unsure: ("0", "General"),
        chosen: ("50", "Sales"),
    }
    for number in sure:
        assert sorted(desk.changes(number)) == [(PROGRAM, "Priority"), (PROGRAM, "Queue")]
        assert helpdesk.notes(number) == []
    (note,) = helpdesk.notes(half_sure)
    assert "Department: Tech Support" in note
    assert "Priority" not in note
    (note,) = helpdesk.notes(unsure)
    assert "Priority: High" in note
    assert desk.changes(chosen) == []
    # Each delivery was taken, the ones about the service's own changes too, and taken for what they are.
    assert {row["outcome"] for row in desk.rows(deliveries)} == {"classified", "known"}
    assert desk.judged() == Counter()
    assert "not told" not in helpdesk.log()


def test_what_somebody_faster_chose_is_refused_to_the_service_and_becomes_a_judgement(desk: Desk) -> None:
    desk.start()
    number = 1
    desk.between.meanwhile = lambda: desk.helpdesk.change(number, person="grace", Priority=50)

    assert desk.helpdesk.create(SURE["title"], SURE["description"]) == number
    desk.settle(1)

    refused, done = desk.between.writes()
    assert (refused.method, refused.status) == ("PUT", 412)
    assert (done.method, done.status) == ("PUT", 200)
    assert refused.if_match != done.if_match
    assert desk.values() == {number: ("50", "Billing")}
    assert desk.changes(number) == [("grace", "Priority"), (PROGRAM, "Queue")]
    assert desk.judged() == Counter({(number, "priority", "Medium"): 1})
    (reviewer,) = desk.reviewers()
    assert "grace" not in reviewer

    # The same person is known again by a delivery, too.
    desk.helpdesk.change(number, person="grace", Queue="Sales")
    desk.wait_until(lambda: desk.judged()[(number, "department", "Sales")] == 1)
    assert desk.reviewers() == {reviewer}


def test_its_queues_are_what_a_department_may_be_written_as(desk: Desk) -> None:
    desk.helpdesk.start()

    async def choices() -> Mapping[str, frozenset[str]]:
        helpdesk = RequestTrackerHelpdesk(Options(fields=RequestTrackerHelpdesk.fields))
        api = Api(desk.helpdesk.url, authorization=helpdesk.authorization(desk.helpdesk.token))
        try:
            return await helpdesk.choices(api)
        finally:
            await api.close()

    assert asyncio.run(choices())["department"] == set(QUEUES)


def test_a_note_whose_answer_was_lost_is_not_written_again(desk: Desk) -> None:
    desk.start()
    desk.between.loses = "POST"

    number = desk.helpdesk.create(HALF_SURE["title"], HALF_SURE["description"])
    desk.settle(1)

    assert desk.between.loses is None
    assert len(desk.helpdesk.notes(number)) == 1
    assert [call.method for call in desk.between.writes()] == ["PUT", "POST"]
    (job,) = desk.rows(outbox)
    assert job["n_attempts"] == 2
    assert "note there already" in job["result"]


def test_people_correct_what_was_written_and_close_what_is_right(desk: Desk) -> None:
    desk.start()
    corrected, closed, deleted = (desk.helpdesk.create(SURE["title"], SURE["description"]) for _ in range(3))
    desk.settle(3)

    desk.helpdesk.change(corrected, person="ada", Priority=0, Queue="Tech Support")
    desk.helpdesk.change(closed, person="grace", Status="resolved")
    desk.helpdesk.change(deleted, person="grace", Status="deleted")
    expected = Counter(
        {
            (corrected, "priority", "Low"): 1,
            (corrected, "department", "Tech Support"): 1,
            (closed, "priority", "High"): 1,
            (closed, "department", "Billing"): 1,
        }
    )
    desk.wait_until(lambda: desk.judged() == expected)

    # Nor does anybody say it twice.
    desk.helpdesk.change(corrected, person="ada", Status="resolved")
    n_deliveries = len(desk.rows(deliveries))
    desk.helpdesk.change(closed, person="grace", Status="open")
    desk.wait_until(lambda: len(desk.rows(deliveries)) > n_deliveries)
    assert desk.judged() == expected
    assert len(desk.reviewers()) == 2


def test_what_happened_while_the_service_was_away_is_found_by_looking(desk: Desk) -> None:
    desk.start(look_seconds=2)
    known = desk.helpdesk.create(SURE["title"], SURE["description"])
    desk.settle(1)
    assert desk.service is not None
    assert desk.service.stop() == 0

    desk.helpdesk.change(known, person="grace", Priority=0)
    # Whoever touched it last is not who changed it.
    desk.helpdesk.comment(known, "called the customer", person="ada")
    missed = desk.helpdesk.create(SURE["title"], SURE["description"])
    untouched = desk.helpdesk.create(SURE["title"], SURE["description"], Priority=50)
    # The scrip still tells where nobody listens any more.
    desk.start(look_seconds=2)
    desk.settle(3)
    desk.wait_until(lambda: bool(desk.judged()))
    desk.helpdesk.change(missed, person="grace", Priority=0)
    desk.wait_until(lambda: len(desk.judged()) == 2)

    assert desk.values() == {known: ("0", "Billing"), missed: ("0", "Billing"), untouched: ("50", "Billing")}
    assert desk.judged() == Counter({(known, "priority", "Low"): 1, (missed, "priority", "Low"): 1})
    assert len(desk.reviewers()) == 1

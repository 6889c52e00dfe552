"""The service beside a real Request Tracker: told by its scrip, refused by its conditions, corrected by its people."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from pathlib import Path

import pytest

from app.connectors.api import Api
from app.connectors.helpdesk import Options
from app.connectors.helpdesks.request_tracker import RequestTrackerHelpdesk
from app.models.classifier import Prediction, TicketClassifier
from app.store.tables import deliveries, feedback, outbox, predictions
from tests.conftest import StartProcess
from tests.connectors.connected import HALF_SURE, SURE
from tests.helpdesks.beside import TEXTS, Judged, ServiceBeside, expected_note, set_alone
from tests.helpdesks.between import Between
from tests.helpdesks.conftest import NewRequestTracker
from tests.helpdesks.request_tracker import PROGRAM, QUEUES, RequestTracker
from tests.processes import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # the first one makes a database

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
calls_per_minute = {calls_per_minute}
"""
PRIORITIES = {"Urgent": "100", "High": "100", "Medium": "50", "Low": "0"}
# What people change tickets to.
AS_CHANGED = {"priority": "Medium", "department": "Sales"}
CHANGED = {"Priority": "50", "Queue": "Sales"}
# Too seldom for what a test is to hear by deliveries.
NEVER = 86_400


class Desk(ServiceBeside):
    """``between`` is where the service asks; ``sent`` has the number, title and description of tickets, in order."""

    def __init__(
        self, helpdesk: RequestTracker, between: Between, port: int, directory: Path, start_process: StartProcess
    ) -> None:
        super().__init__(port, directory, start_process)
        self.helpdesk = helpdesk
        self.between = between
        self.sent: dict[int, tuple[str, str]] = {}

    def start(self, *, look_seconds: int = NEVER, calls_per_minute: int = 100_000) -> None:
        table = TABLE.format(url=self.between.url, look_seconds=look_seconds, calls_per_minute=calls_per_minute)
        self.start_with(table, secret=SECRET, token=self.helpdesk.token)

    def send(self, n_tickets: int) -> list[int]:
        """Send as many tickets, each with a text of its own, by e-mail and by API in turn; return their numbers."""
        first = len(self.sent)
        for n in range(first, first + n_tickets):
            title, *rest = TEXTS[n]
            title, text = f"{title} {n}", " ".join(rest)
            if n % 2:
                self.helpdesk.create(title, text)
            else:
                self.helpdesk.receive_mail(mail(title, text))
            self.sent[n + 1] = (title, text)
        assert [int(each["id"]) for each in self.helpdesk.tickets()] == list(self.sent)
        return list(self.sent)[first:]

    def settle(self, n_tickets: int) -> None:
        """Wait until so many tickets are answered and nothing waits, and until the second of the last write is over.

        Request Tracker counts seconds: what is said of the second of a write may be of before it.
        """
        self.wait_for_answers(n_tickets)
        second = int(time.time())
        self.wait_until(lambda: int(time.time()) > second)

    def reviewers(self) -> set[str]:
        return {row["reviewer"] for row in self.rows(feedback)}

    def values(self) -> dict[int, dict[str, str]]:
        """Return priority and queue of every ticket."""
        tickets = self.helpdesk.tickets()
        return {int(each["id"]): {"Priority": each["Priority"], "Queue": each["Queue"]["Name"]} for each in tickets}

    def changes(self, number: int) -> list[tuple[str, str]]:
        """Return who changed which field of a ticket, in order."""
        return [
            (each["Creator"]["id"], each["Field"]) for each in self.helpdesk.history(number) if each["Type"] == "Set"
        ]


@pytest.fixture
def desk(new_request_tracker: NewRequestTracker, start_process: StartProcess, tmp_path: Path) -> Iterator[Desk]:
    port = free_port()
    helpdesk = new_request_tracker(webhook_url=f"http://127.0.0.1:{port}/hooks/desk", webhook_secret=SECRET)
    helpdesk.start()
    with Between(helpdesk.url) as between:
        yield Desk(helpdesk, between, port, tmp_path, start_process)


@pytest.fixture(scope="module")
def model(models_dir: Path) -> TicketClassifier:
    return TicketClassifier.load(models_dir / "v1.0.0")


def mail(title: str, description: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "emil@example.com", "help@desk.example", title
    message.set_content(description)
    return message


def values_of(answer: Prediction) -> dict[str, str]:
    """Return what stands in a ticket of which nobody but the service set anything."""
    labels = set_alone(answer)
    return {"Priority": PRIORITIES[labels.get("priority", "Low")], "Queue": labels.get("department", "General")}


def changes(number: int, answer: Prediction) -> Iterator[tuple[int, str, str]]:
    """Yield what is judged of a ticket that people gave other values than the service had."""
    labels = set_alone(answer)
    return ((number, head, label) for head, label in AS_CHANGED.items() if labels.get(head) != label)


def test_100_tickets_are_answered_once_each_and_people_have_the_last_word(desk: Desk, model: TicketClassifier) -> None:
    helpdesk = desk.helpdesk

    # People are faster, because the service may not write as fast as tickets come; then it is stopped amid its work.
    desk.start(look_seconds=6, calls_per_minute=60)
    faster = desk.send(60)[50:]
    assert set(faster) & desk.waiting()
    for number in faster:
        helpdesk.change(number, person="grace", **CHANGED)
    desk.stop_service()
    # The service is away: nobody sees an error, and what they did is done.
    away = desk.send(20)
    before_seen = away[:5]
    for number in before_seen:
        helpdesk.change(number, person="ada", **CHANGED)
    desk.start(look_seconds=6)
    live = desk.send(20)
    desk.settle(100)
    # People change and close what was written, and close what they had changed.
    later, closed = live[:5], [*away[5:10], *live[5:10]]
    for number in later:
        helpdesk.change(number, person="grace", **CHANGED)
    for number in (*closed, *before_seen):
        helpdesk.change(number, person="ada", Status="resolved")

    answers = {number: model.predict(*texts) for number, texts in desk.sent.items()}
    expected: Judged = Counter()
    for number in (*faster, *later):
        expected.update(changes(number, answers[number]))
    for number in closed:
        expected.update((number, head, label) for head, label in set_alone(answers[number]).items())
    for number in before_seen:
        expected.update((number, head, label) for head, label in AS_CHANGED.items())
    desk.wait_until(lambda: desk.judged().total() >= expected.total())
    assert desk.judged() == expected
    assert Counter(row["ticket_id"] for row in desk.rows(predictions)) == Counter(f"desk:{n}" for n in answers)
    assert {row["state"] for row in desk.rows(outbox)} == {"done"}
    of_people = dict.fromkeys((*faster, *before_seen, *later), CHANGED)
    assert desk.values() == {number: of_people.get(number, values_of(answer)) for number, answer in answers.items()}
    for number, answer in answers.items():
        ours = [field for who, field in desk.changes(number) if who == PROGRAM]
        assert len(ours) == len(set(ours)), number
        # A note of before people were faster, or none.
        lines = [note.splitlines()[1:-1] for note in helpdesk.notes(number)]
        assert lines == [note for note in [expected_note(answer)] if note] or (lines == [] and number in of_people)


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
    assert desk.values() == {number: {"Priority": "50", "Queue": "Billing"}}
    assert desk.changes(number) == [("grace", "Priority"), (PROGRAM, "Queue")]
    assert desk.judged() == Counter({(number, "priority", "Medium"): 1})
    (reviewer,) = desk.reviewers()
    assert "grace" not in reviewer

    # The same person is known again by a delivery, too.
    desk.helpdesk.change(number, person="grace", Queue="Sales")
    desk.wait_until(lambda: desk.judged()[(number, "department", "Sales")] == 1)
    assert desk.reviewers() == {reviewer}


def test_its_queues_are_what_a_department_may_be_written_as(desk: Desk) -> None:
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
    desk.stop_service()

    desk.helpdesk.change(known, person="grace", Priority=0)
    # Whoever touched it last is not who changed it.
    desk.helpdesk.comment(known, "called the customer", person="ada")
    missed = desk.helpdesk.create(SURE["title"], SURE["description"])
    desk.helpdesk.create(SURE["title"], SURE["description"], Priority=50)
    desk.start(look_seconds=2)
    desk.settle(3)
    desk.wait_until(lambda: bool(desk.judged()))
    desk.helpdesk.change(missed, person="grace", Priority=0)
    desk.wait_until(lambda: len(desk.judged()) == 2)

    assert [values["Priority"] for values in desk.values().values()] == ["0", "0", "50"]
    assert desk.judged() == Counter({(known, "priority", "Low"): 1, (missed, "priority", "Low"): 1})
    assert len(desk.reviewers()) == 1

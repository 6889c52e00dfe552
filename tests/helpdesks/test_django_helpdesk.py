"""The service beside a real django-helpdesk: 200 tickets, people who change some, and a service that is away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.models.classifier import Prediction, TicketClassifier
from app.store.tables import outbox, predictions
from tests.conftest import StartProcess
from tests.helpdesks.beside import Judged, expected_note, set_alone
from tests.helpdesks.conftest import StartHelpdesk
from tests.helpdesks.desk import SECRET, Desk
from tests.helpdesks.django_helpdesk import CLOSED, NORMAL, QUEUES
from tests.processes import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # it may be installed before

PRIORITIES = {"Urgent": 1, "High": 2, "Medium": 3, "Low": 4}
# What people change tickets to, and what some customers choose themselves.
CHANGED = {"priority": PRIORITIES["Low"], "queue": QUEUES["Sales"]}
CHOSEN = {"priority": PRIORITIES["High"], "queue": QUEUES["Billing"]}
AS_CHANGED = {"priority": "Low", "department": "Sales"}


@pytest.fixture
def desk(start_helpdesk: StartHelpdesk, start_process: StartProcess, tmp_path: Path) -> Desk:
    port = free_port()
    helpdesk = start_helpdesk(webhook_url=f"http://any:{SECRET}@127.0.0.1:{port}/hooks/desk")
    return Desk(helpdesk, port, tmp_path, start_process)


@pytest.fixture(scope="module")
def model(models_dir: Path) -> TicketClassifier:
    return TicketClassifier.load(models_dir / "v1.0.0")


def values_of(answer: Prediction) -> dict[str, int]:
    """Return what stands in a ticket of which nobody but the service set anything."""
    labels = set_alone(answer)
    return {
        "priority": PRIORITIES[labels["priority"]] if "priority" in labels else NORMAL,
        "queue": QUEUES[labels["department"]] if "department" in labels else QUEUES["Inbox"],
    }


def notes(ticket: Mapping[str, Any]) -> list[str]:
    return [each["comment"] for each in ticket["followup_set"] if not each["public"] and each["user"] == 3]


def changes(number: int, answer: Prediction) -> Iterator[tuple[int, str, str]]:
    """Yield what is judged of a ticket that people gave other values than the service had."""
    labels = set_alone(answer)
    return ((number, head, label) for head, label in AS_CHANGED.items() if labels.get(head) != label)


def test_200_tickets_are_answered_once_each_and_people_have_the_last_word(desk: Desk, model: TicketClassifier) -> None:
    helpdesk = desk.helpdesk

    # People are faster, because the service may not write as fast as tickets come; then it is stopped amid its work.
    desk.start_service(calls_per_minute=60)
    first, chosen = desk.send(90), desk.send(10, **CHOSEN)
    faster = desk.numbers_of(first[80:])
    assert set(faster) & desk.waiting()
    for number in faster:
        helpdesk.update(number, **CHANGED)
    desk.stop_service()
    # The service is away: customers and staff see errors, and what they did is done.
    away = desk.send(50)
    unheard, before_seen = desk.numbers_of(first[:10]), desk.numbers_of(away[:10])
    for number in (*unheard, *before_seen):
        helpdesk.update(number, **CHANGED)
    desk.start_service(calls_per_minute=100_000)
    live = desk.send(50)
    desk.wait_until_settled()
    # People change and close what was written, and close what they had changed; the service hears of it, or looks.
    later, closed = desk.numbers_of(live[:10]), desk.numbers_of([*away[10:20], *live[10:20]])
    for number in later:
        helpdesk.update(number, **CHANGED)
    for number in (*closed[:10], *before_seen):
        helpdesk.update(number, new_status=CLOSED)
    helpdesk.close_in_bulk(closed[10:])

    answers = dict(
        zip(
            desk.numbers_of(desk.sent),
            (model.predict(ticket.title, ticket.description) for ticket in desk.sent),
            strict=True,
        )
    )
    expected: Judged = Counter()
    for number in (*faster, *unheard, *later):
        expected.update(changes(number, answers[number]))
    for number in closed:
        expected.update((number, head, label) for head, label in set_alone(answers[number]).items())
    for number in before_seen:
        expected.update((number, head, label) for head, label in AS_CHANGED.items())
    desk.wait_for_judgements(expected.total())
    assert desk.judged() == expected
    assert Counter(row["ticket_id"] for row in desk.rows(predictions)) == Counter(f"desk:{n}" for n in answers)
    assert {row["state"] for row in desk.rows(outbox)} == {"done"}
    tickets = helpdesk.tickets()
    assert len(tickets) == len(answers) == 200
    of_people = dict.fromkeys((*faster, *unheard, *before_seen, *later), CHANGED) | dict.fromkeys(
        desk.numbers_of(chosen), CHOSEN
    )
    for number, ticket in tickets.items():
        values = {name: ticket[name] for name in CHANGED}
        assert values == of_people.get(number, values_of(answers[number])), ticket
        # A note of before people were faster, or none.
        lines = [note.splitlines()[1:-1] for note in notes(ticket)]
        wanted = [expected_note(answers[number])] if expected_note(answers[number]) else []
        assert lines == wanted or (lines == [] and number in of_people), ticket
    decisions = Counter(each.decision for answer in answers.values() for each in answer.heads.values())
    assert min(decisions["auto"], decisions["suggest"]) > 20

"""What follows from what is heard of a ticket: an answer, what is to be written, and what people are taken to judge."""

from __future__ import annotations

import pytest

from app.connectors.planning import plan
from app.connectors.steps import CLASSIFY, WRITE, Answer, written
from app.store.helpdesk_tickets import HelpdeskTicket
from tests.connectors.rules import BEGAN_MS, REVIEW, SUGGEST, Known, connector, rules, sighting

OPEN = {"priority": None, "department": None}


def write_back(known: Known, over_ms: int | None = None) -> None:
    """Let what is planned be written over what was seen at ``over_ms``."""
    job = known.steps[0].job
    assert job is not None
    known.hear(sighting(values=OPEN, changed_ms=over_ms))
    assert known.ticket is not None
    values = plan(known.rules.connector, Answer.from_json(job.content), known.ticket).values
    assert values == {"priority": "High"}
    known.ticket = written(known.ticket, values)


def test_a_new_ticket_with_a_text_is_classified_and_its_answer_is_to_be_written() -> None:
    step = rules().step(sighting(values=OPEN), None)

    assert step is not None
    assert (step.outcome, step.ticket.heads["priority"].planned) == ("classified", "High")
    assert step.ticket.heads["department"].planned is None
    assert step.job is not None
    answer = Answer.from_json(step.job.content)
    assert (step.job.kind, answer.set, [*answer.suggest]) == (WRITE, {"priority": "High"}, ["department"])


def test_a_new_ticket_without_a_text_is_fetched_once() -> None:
    known = Known(rules())

    steps = [known.hear(sighting(has_text=False)) for _ in range(3)]

    assert [step and step.job and step.job.kind for step in steps] == [CLASSIFY, None, None]
    step = known.hear(sighting(values=OPEN))
    assert step is not None
    assert step.outcome == "classified"


def test_without_an_api_a_ticket_without_a_text_is_for_people() -> None:
    step = rules(connector(api_url=None)).step(sighting(has_text=False), None)

    assert step is not None
    assert (step.outcome, step.job) == ("review", None)


def test_tickets_of_before_the_connector_are_of_no_interest() -> None:
    assert rules().step(sighting(created_ms=BEGAN_MS - 1), None) is None
    assert rules().step(sighting(created_ms=BEGAN_MS), None) is not None


@pytest.mark.parametrize("decision", [REVIEW, SUGGEST])
def test_what_nobody_may_set_or_say_is_no_job(decision: str) -> None:
    by = rules(connector(on_suggest="nothing"), answers={"priority": ("High", decision)})

    step = by.step(sighting(values=OPEN), None)

    assert step is not None
    assert step.job is None


def test_a_head_that_somebody_chose_before_is_neither_set_nor_suggested() -> None:
    step = rules().step(sighting(values={"priority": "Low", "department": "Sales"}), None)

    assert step is not None
    assert step.job is None


def test_a_value_that_counts_as_unset_is_written_over() -> None:
    step = rules(connector(unset={"priority": (None, "normal")})).step(sighting(values={"priority": "Normal"}), None)

    assert step is not None
    assert step.job is not None
    assert Answer.from_json(step.job.content).set == {"priority": "High"}


def test_a_rehearsal_plans_nothing_and_takes_every_value_for_a_persons() -> None:
    known = Known(rules(connector(dry_run=True)))
    known.hear(sighting(values=OPEN))

    known.hear(sighting(values={"priority": "High"}))

    assert known.judged() == [{"priority": "High"}]


def test_a_persons_change_is_a_judgement_once() -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN, changed_ms=1))

    for _ in range(3):
        known.hear(sighting(values={"priority": "low"}, changed_ms=2, actor="mia"))

    assert known.judged() == [{"priority": "Low"}]
    remark = known.steps[-1].remark
    assert remark is not None
    assert (remark.source, remark.reviewer, remark.prediction_id) == (
        "helpdesk",
        "hash of mia",
        known.steps[0].ticket.prediction_id,
    )


def test_a_change_by_a_program_is_no_judgement_but_is_not_written_over_either() -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN, changed_ms=1))

    known.hear(sighting(values={"priority": "Low"}, changed_ms=2, actor="bot"))

    assert known.judged() == []
    assert known.ticket is not None
    answer = Answer("id", {"priority": "High"}, {})
    assert plan(known.rules.connector, answer, known.ticket).values == {}


def test_what_is_older_than_what_is_known_changes_nothing() -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN, changed_ms=5))
    known.hear(sighting(values={"priority": "Low"}, changed_ms=9))

    assert known.hear(sighting(values={"priority": "Medium"}, changed_ms=8)) is None


def test_our_own_value_is_no_judgement_until_the_ticket_is_closed() -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN, changed_ms=1))
    write_back(known, over_ms=1)

    known.hear(sighting(values={"priority": "High"}, changed_ms=2))
    assert known.judged() == []
    known.hear(sighting(values={"priority": "High"}, changed_ms=3, is_closed=True, actor="mia"))
    known.hear(sighting(values={"priority": "High"}, changed_ms=4, is_closed=True, actor="mia"))

    assert known.judged() == [{"priority": "High"}]


@pytest.mark.parametrize(("over_ms", "echo_ms"), [(1, 2), (None, None)])
def test_a_delivery_of_before_our_write_that_comes_after_it_is_no_change_by_a_person(
    over_ms: int | None, echo_ms: int | None
) -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN, changed_ms=over_ms))
    write_back(known, over_ms)

    # Of the same moment as what was written over, as a second webhook for one event is.
    known.hear(sighting(values=OPEN, changed_ms=over_ms))
    known.hear(sighting(values={"priority": "High"}, changed_ms=echo_ms))

    assert known.judged() == []
    assert known.ticket is not None
    assert not known.ticket.heads["priority"].is_changed


def test_what_a_person_set_between_our_reading_and_our_writing_is_a_judgement_whenever_it_is_heard_of() -> None:
    known = Known(rules())
    known.hear(sighting(values={"priority": None, "department": None}, changed_ms=1))
    assert known.ticket is not None
    known.ticket = written(known.ticket, {"priority": "High"}, changed_ms=5)

    known.hear(sighting(values={"priority": None, "department": "Sales"}, changed_ms=3))
    # Within the same second, where the helpdesk's clock has no more.
    known.hear(sighting(values={"priority": "Low"}, changed_ms=5))

    assert known.judged() == [{"department": "Sales"}, {"priority": "Low"}]


def test_what_was_said_before_our_write_is_old_whenever_it_is_heard_of() -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN, changed_ms=1))
    assert known.ticket is not None
    known.ticket = written(known.ticket, {"priority": "High"}, changed_ms=5)
    ticket = known.ticket

    for changed_ms in (2, 5):
        known.hear(sighting(values=OPEN, changed_ms=changed_ms))

    assert known.ticket.heads == ticket.heads
    known.hear(sighting(values=OPEN, changed_ms=6))
    assert known.ticket.heads["priority"].is_changed


def test_a_default_value_that_comes_late_is_not_what_a_person_chose() -> None:
    known = Known(rules(connector(unset={"priority": (None, "Medium")})))
    known.hear(sighting(values={"priority": "Medium"}, changed_ms=1))
    assert known.ticket is not None
    known.ticket = written(known.ticket, {"priority": "High"})

    known.hear(sighting(values={"priority": "Medium"}, changed_ms=1))
    assert known.judged() == []
    known.hear(sighting(values={"priority": "Medium"}, changed_ms=2))

    assert known.judged() == [{"priority": "Medium"}]


def test_what_a_person_emptied_is_left_so_and_our_value_again_is_still_ours() -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN, changed_ms=1))
    write_back(known, over_ms=1)

    known.hear(sighting(values=OPEN, changed_ms=2))
    known.hear(sighting(values={"priority": "High"}, changed_ms=3))

    assert known.judged() == []
    assert known.ticket is not None
    assert known.ticket.heads["priority"].is_changed


def test_what_a_person_emptied_is_not_judged_to_be_our_value_when_the_ticket_is_closed() -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN))
    write_back(known)

    known.hear(sighting(values=OPEN, is_closed=True))

    assert known.judged() == []


def test_what_a_person_set_while_we_wrote_stays_known() -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN, changed_ms=1))
    known.hear(sighting(values={"priority": "Low"}, changed_ms=3))
    assert known.ticket is not None

    known.ticket = written(known.ticket, {"priority": "High"})
    known.hear(sighting(changed_ms=4, is_closed=True))

    assert known.judged() == [{"priority": "Low"}]


def test_what_a_person_chose_before_the_ticket_came_is_judged_when_it_is_closed() -> None:
    known = Known(rules())
    known.hear(sighting(values={"priority": "Low", "department": None}, changed_ms=1))

    known.hear(sighting(values={"priority": "Low", "department": None}, changed_ms=2, is_closed=True))

    assert known.judged() == [{"priority": "Low"}]


def test_a_ticket_that_is_closed_when_it_comes_is_judged_and_not_written() -> None:
    step = rules().step(sighting(values={"priority": None, "department": "Sales"}, is_closed=True), None)

    assert step is not None
    assert step.job is None
    assert step.remark is not None
    assert step.remark.labels == {"department": "Sales"}


def test_a_ticket_that_was_closed_meanwhile_is_not_written() -> None:
    answer = Answer("id", {"priority": "High"}, {})

    planned = plan(connector(), answer, HelpdeskTicket("id", is_closed=True))

    assert (planned.values, planned.note, planned.said) == ({}, None, ("the ticket is closed",))


def test_a_word_of_several_labels_says_which_one_only_when_it_was_the_answer() -> None:
    words = {"priority": {"High": "major", "Medium": "major", "Low": "minor"}}
    for answered, judged in (("High", [{"priority": "High"}]), ("Low", [])):
        known = Known(rules(connector(words=words), answers={"priority": (answered, REVIEW)}))
        known.hear(sighting(values=OPEN))

        known.hear(sighting(values={"priority": "Major"}))

        assert known.judged() == judged


def test_a_value_that_is_no_label_of_the_model_is_a_change_but_no_judgement() -> None:
    known = Known(rules())
    known.hear(sighting(values=OPEN))

    known.hear(sighting(values={"priority": "Whenever", "language": "de"}))

    assert known.judged() == []
    assert known.ticket is not None
    assert known.ticket.heads["priority"].is_changed

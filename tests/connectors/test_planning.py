"""What of an answer is still written when its turn comes."""

from __future__ import annotations

from app.connectors.planning import plan
from app.connectors.steps import Answer, Suggestion
from app.store.helpdesk_tickets import HelpdeskTicket
from tests.connectors.rules import PREDICTION_ID, connector


def test_a_head_that_is_no_longer_to_be_written_is_not_written_by_what_waits() -> None:
    answer = Answer(PREDICTION_ID, {"priority": "High"}, {"department": Suggestion("Billing", 0.6)})

    planned = plan(connector(write=()), answer, HelpdeskTicket(PREDICTION_ID))

    assert (planned.values, planned.note) == ({}, None)
    assert planned.said == ("priority is not among what is written",)

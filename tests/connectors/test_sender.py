"""What is done at helpdesks when they are in trouble: nothing is lost, nothing twice, nobody waits for another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import ANY

import pytest

from app.connectors.api import Api
from app.connectors.helpdesks.generic import GenericHelpdesk
from app.connectors.pacing import GIVE_UP_MS, TRIAL_AFTER
from app.connectors.sighting import Sighting
from app.connectors.steps import WRITE, Answer, Suggestion
from app.store.database import Database
from app.store.helpdesk_tickets import HelpdeskTicket, NewJob, Step, Steps, advance
from app.store.outbox import send_again
from app.store.tables import connector_states
from tests.connectors.by_hand import ByHand
from tests.connectors.connected import SURE, TOKEN, UNSURE, StartConnected
from tests.connectors.servers.dialect import (
    Trouble,
    closed,
    closed_after_it_was_done,
    html_page,
    rate_limited,
    refused,
    running,
    slow,
)
from tests.connectors.servers.generic import Generic
from tests.connectors.test_generic import TABLE, tell
from tests.processes import free_port
from tests.store.desk import JUDGE

SECOND_MS, MINUTE_MS, HOUR_MS = 1_000, 60_000, 3_600_000


@pytest.fixture
def helpdesk() -> Generic:
    return Generic(token=TOKEN)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def by_hand(start_connected: StartConnected, store_url: str, port: int) -> Iterator[ByHand]:
    """A service whose helpdesk is not there until a test lets it run."""
    by_hand = ByHand(start_connected(TABLE.format(url=f"http://127.0.0.1:{port}"), store_url=store_url))
    yield by_hand
    by_hand.close()


def tell_of(by_hand: ByHand, helpdesk: Generic, *refs: str, **ticket: object) -> None:
    for ref in refs:
        tell(by_hand.connected, helpdesk.create(ref, **(ticket or SURE)), identifier=f"of {ref}")


def add_notes(database: Database, now_ms: int, ref: str, *prediction_ids: str) -> None:
    """Let further notes be wanted for a ticket that is known."""

    def wanting(prediction_id: str) -> Steps:
        content = Answer(prediction_id, {}, {"department": Suggestion("Sales", 0.5)}).to_json()

        def decide(before: HelpdeskTicket | None) -> Step:
            assert before is not None
            return Step(before, "known", job=NewJob(WRITE, content))

        return Steps(connector="desk", decide={ref: decide}, judge=JUDGE, keeps_text=False, now_ms=now_ms)

    for prediction_id in prediction_ids:
        advance(database, wanting(prediction_id))


def test_an_hour_without_the_helpdesk_loses_nothing_and_keeps_the_order_of_each_ticket(
    helpdesk: Generic, by_hand: ByHand, port: int
) -> None:
    tell_of(by_hand, helpdesk, "1", "2", "3", **UNSURE)
    tell_of(by_hand, helpdesk, "4", "5")
    tell(by_hand.connected, {"id": "6"}, identifier="without a text")
    helpdesk.create("6", **SURE)
    add_notes(by_hand.connected.database, by_hand.clock.now_ms, "1", "second", "third")

    by_hand.work_for(HOUR_MS)
    assert {job["state"] for job in by_hand.jobs()} == {"waiting"}
    assert helpdesk.requests == []

    with running(helpdesk, port):
        by_hand.work_for(HOUR_MS)

    assert {job["state"] for job in by_hand.jobs()} == {"done"}
    assert [helpdesk.tickets[ref]["priority"] for ref in "456"] == ["High"] * 3
    assert {ref: len(helpdesk.notes[ref]) for ref in "123"} == {"1": 3, "2": 1, "3": 1}
    assert ["[second]" in note for note in helpdesk.notes["1"]] == [False, True, False]
    assert "[third]" in helpdesk.notes["1"][2]
    assert len(by_hand.connected.predictions()) == 6


def test_a_job_is_tried_again_after_a_second_doubled_up_to_an_hour_and_given_up_after_a_day(
    helpdesk: Generic, by_hand: ByHand, port: int
) -> None:
    tell_of(by_hand, helpdesk, "1")
    (job,) = by_hand.jobs()
    wanted_ms = job["wanted_ms"]
    for n_attempts in range(1, 100):
        by_hand.work()
        (job,) = by_hand.jobs()
        if job["state"] == "dead":
            break
        assert job["n_attempts"] == n_attempts
        least_ms = min(SECOND_MS << min(n_attempts - 1, 12), HOUR_MS)
        # The clock ticks while a job is attempted.
        assert least_ms - SECOND_MS / 2 <= job["due_ms"] - by_hand.clock.now_ms <= min(least_ms * 1.5, HOUR_MS)
        by_hand.clock.now_ms = by_hand.next_ms()

    assert job["state"] == "dead"
    assert GIVE_UP_MS <= by_hand.clock.now_ms - wanted_ms <= GIVE_UP_MS + HOUR_MS
    assert 24 <= job["n_attempts"] <= 40
    assert "ConnectError" in job["result"]

    with running(helpdesk, port):
        assert send_again(by_hand.connected.database, now_ms=by_hand.clock.now_ms) == 1
        by_hand.work_for(HOUR_MS)

    assert helpdesk.tickets["1"]["priority"] == "High"


@pytest.mark.parametrize("trouble", [html_page(503), html_page(200), closed()])
def test_after_five_failures_one_attempt_at_a_time_is_made_and_one_that_succeeds_lets_all_go_on(
    helpdesk: Generic, by_hand: ByHand, port: int, trouble: Trouble
) -> None:
    tell_of(by_hand, helpdesk, *map(str, range(12)))
    with running(helpdesk, port):
        helpdesk.give(*[trouble] * 8)
        by_hand.work(n_senders=2)
        # Two may be at it when the fifth fails.
        n_first = len(helpdesk.requests)
        assert TRIAL_AFTER <= n_first <= TRIAL_AFTER + 1

        for n_trials in range(1, 9 - n_first):
            (state,) = by_hand.connected.rows(connector_states)
            by_hand.clock.now_ms = state["paused_until_ms"] - SECOND_MS
            by_hand.work(n_senders=2)
            assert len(helpdesk.requests) == n_first + n_trials - 1
            by_hand.clock.now_ms = state["paused_until_ms"]
            by_hand.work(n_senders=2)
            assert len(helpdesk.requests) == n_first + n_trials
        by_hand.work_for(HOUR_MS)

    assert {job["state"] for job in by_hand.jobs()} == {"done"}
    assert len(helpdesk.writes()) == 12
    (state,) = by_hand.connected.rows(connector_states)
    assert (state["n_failures"], state["problem"]) == (0, None)


def test_a_pause_that_the_helpdesk_asks_for_is_kept(helpdesk: Generic, by_hand: ByHand, port: int) -> None:
    tell_of(by_hand, helpdesk, "1", "2", "3")
    with running(helpdesk, port):
        helpdesk.give(rate_limited(retry_after_seconds=120))
        by_hand.work()
        began_ms = by_hand.clock.now_ms
        assert len(helpdesk.requests) == 1

        by_hand.clock.now_ms = began_ms + 119 * SECOND_MS
        by_hand.work()
        assert len(helpdesk.requests) == 1
        by_hand.work_for(10 * SECOND_MS)

    assert {job["state"] for job in by_hand.jobs()} == {"done"}
    assert len(helpdesk.writes()) == 3


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_what_the_helpdesk_will_never_take_is_a_dead_letter_at_once_and_holds_nobody_up(
    helpdesk: Generic, by_hand: ByHand, port: int, status: int
) -> None:
    tell_of(by_hand, helpdesk, "1", "2")
    with running(helpdesk, port):
        helpdesk.give(refused(status), method="PATCH", path="/tickets/1$")
        by_hand.work_for(MINUTE_MS)

    assert [(job["ticket_ref"], job["state"]) for job in by_hand.jobs()] == [("1", "dead"), ("2", "done")]
    assert f"PATCH /tickets/1: answered {status}" == by_hand.jobs()[0]["result"]


@pytest.mark.parametrize("status", [401, 403, 500, 502])
def test_what_may_be_put_right_is_tried_again(helpdesk: Generic, by_hand: ByHand, port: int, status: int) -> None:
    tell_of(by_hand, helpdesk, "1")
    with running(helpdesk, port):
        helpdesk.give(refused(status), html_page(200), closed())
        by_hand.work_for(MINUTE_MS)

    assert [job["state"] for job in by_hand.jobs()] == ["done"]
    assert helpdesk.tickets["1"]["priority"] == "High"


def test_a_note_whose_answer_was_lost_is_not_written_twice_not_even_as_a_dead_letter(
    helpdesk: Generic, by_hand: ByHand, port: int
) -> None:
    tell_of(by_hand, helpdesk, "1", "2", **UNSURE)
    with running(helpdesk, port):
        helpdesk.give(closed_after_it_was_done(), method="POST", path="/tickets/1/notes")
        helpdesk.give(closed_after_it_was_done(), method="POST", path="/tickets/2/notes")
        by_hand.work()
    by_hand.work_for(GIVE_UP_MS + HOUR_MS)
    assert [job["state"] for job in by_hand.jobs()] == ["dead", "dead"]
    with running(helpdesk, port):
        send_again(by_hand.connected.database, now_ms=by_hand.clock.now_ms)
        by_hand.work_for(HOUR_MS)

    assert [job["result"] for job in by_hand.jobs()] == ["note there already"] * 2
    assert [len(helpdesk.notes[ref]) for ref in "12"] == [1, 1]


class Faulty(GenericHelpdesk):
    """Does not understand what is said of the first ticket."""

    async def fetch(self, api: Api, ref: str) -> Sighting:
        if ref == "1":
            raise KeyError(ref)
        return await super().fetch(api, ref)


def test_a_fault_of_our_own_holds_up_nobody_and_is_a_dead_letter_after_a_day(
    helpdesk: Generic, by_hand: ByHand, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    by_hand.change = lambda connector: replace(connector, helpdesk=Faulty(connector.helpdesk.options))
    tell_of(by_hand, helpdesk, "1", "2")
    with running(helpdesk, port):
        by_hand.work()
        assert helpdesk.tickets["2"]["priority"] == "High"
        by_hand.work_for(GIVE_UP_MS + HOUR_MS)

    found = [(job["state"], job["result"]) for job in by_hand.jobs()]
    assert found == [("dead", "KeyError: see the log"), ("done", ANY)]
    assert f"send-again --job {by_hand.jobs()[0]['job_id']}" in caplog.text


def test_two_processes_at_once_do_each_job_once(helpdesk: Generic, by_hand: ByHand, port: int) -> None:
    refs = [str(number) for number in range(10)]
    tell_of(by_hand, helpdesk, *refs, **UNSURE)
    with running(helpdesk, port):
        helpdesk.give(*[slow(0.02)] * 20)
        by_hand.work(n_senders=3)

    assert {job["state"] for job in by_hand.jobs()} == {"done"}
    assert {job["n_attempts"] for job in by_hand.jobs()} == {1}
    assert [len(helpdesk.notes[ref]) for ref in refs] == [1] * 10


def test_a_slow_helpdesk_holds_up_no_other(start_connected: StartConnected) -> None:
    quick, stuck = Generic(token=TOKEN), Generic(token=TOKEN)
    with running(quick) as quick_url, running(stuck) as stuck_url:
        other = f'[stuck]\nsecret_env = "DESK_SECRET"\n{TABLE.format(url=stuck_url)}'
        connected = start_connected(f"{TABLE.format(url=quick_url)}\n{other}")
        stuck.give(slow(8), slow(8), slow(8), method="GET")
        tell(connected, stuck.create("1", **SURE), name="stuck")
        connected.wait_until(lambda: len(stuck.requests) == 1)

        began = time.monotonic()
        tell(connected, quick.create("1", **SURE), identifier="later")
        connected.wait_until(lambda: quick.tickets["1"]["priority"] is not None, seconds=7)

        assert time.monotonic() - began < 7
        assert len(stuck.requests) == 1

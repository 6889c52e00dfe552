"""The outbox: who may do what when, on both databases, with a clock of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from app.store.connector_states import claim_look, finish_look, note_answer, note_failure
from app.store.database import Database
from app.store.helpdesk_tickets import Delivery as Received
from app.store.helpdesk_tickets import HelpdeskTicket, NewJob, Step, Steps, Taken, advance, receive
from app.store.migration import upgrade
from app.store.outbox import Claim, Ending, Job, Terms, claim, connectors_with_work, count_waiting, finish, send_again
from app.store.tables import deliveries, helpdesk_tickets, outbox
from tests.store.desk import JUDGE
from tests.stored import rows_of

NOW_MS = 1_800_000_000_000
TERMS = Terms(lease_ms=90_000, interval_ms=0, trial_after=5)
SECOND_MS = 1_000


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    upgrade(database)
    yield database
    database.close()


def steps(*refs: str, connector: str = "desk", now_ms: int = NOW_MS) -> Steps:
    def decide(_: HelpdeskTicket | None) -> Step:
        return Step(HelpdeskTicket(), "queued", job=NewJob("write", "{}"))

    return Steps(connector=connector, decide=dict.fromkeys(refs, decide), judge=JUDGE, keeps_text=False, now_ms=now_ms)


def add_jobs(database: Database, *refs: str, connector: str = "desk", now_ms: int = NOW_MS) -> None:
    for ref in refs:
        advance(database, steps(ref, connector=connector, now_ms=now_ms))


def next_job(database: Database, *, now_ms: int = NOW_MS, connector: str = "desk", terms: Terms = TERMS) -> Job | None:
    return claim(database, connector, terms, now_ms=now_ms).job


def fail(database: Database, *, now_ms: int = NOW_MS, pause_ms: int = 0) -> None:
    note_failure(
        database, "desk", now_ms=now_ms, problem="it fails", pause_ms=lambda _: pause_ms, trial_after=TERMS.trial_after
    )


def answer(database: Database, *, now_ms: int = NOW_MS) -> None:
    note_answer(database, "desk", now_ms=now_ms, trial_after=TERMS.trial_after)


def refs_given_out(database: Database, *, now_ms: int = NOW_MS) -> list[str]:
    found = []
    while (job := next_job(database, now_ms=now_ms)) is not None:
        found.append(job.ticket_ref)
    return found


def test_jobs_are_given_out_once_each_and_in_the_order_of_each_ticket(database: Database) -> None:
    add_jobs(database, "1", "2", "1", "2", "3")

    given = [next_job(database) for _ in range(4)]

    assert [job and job.ticket_ref for job in given] == ["1", "2", "3", None]
    first = given[0]
    assert first is not None
    finish(database, first, Ending(state="done", result="done"), now_ms=NOW_MS)
    assert refs_given_out(database) == ["1"]


def test_a_job_that_waits_holds_up_its_own_ticket_and_no_other(database: Database) -> None:
    add_jobs(database, "1", "1", "2")
    first = next_job(database)
    assert first is not None
    finish(database, first, Ending(state="waiting", result="later", due_ms=NOW_MS + SECOND_MS), now_ms=NOW_MS)

    assert refs_given_out(database) == ["2"]
    again = next_job(database, now_ms=NOW_MS + SECOND_MS)

    assert again is not None
    assert (again.job_id, again.n_attempts) == (first.job_id, 2)


def test_the_lease_of_a_process_that_died_ends_and_who_comes_back_too_late_changes_nothing(database: Database) -> None:
    add_jobs(database, "1")
    lost = next_job(database)
    assert lost is not None

    assert next_job(database, now_ms=NOW_MS + TERMS.lease_ms - 1) is None
    taken_over = next_job(database, now_ms=NOW_MS + TERMS.lease_ms)

    assert taken_over is not None
    assert taken_over.job_id == lost.job_id
    late = finish(database, lost, Ending(state="done", result="late"), now_ms=NOW_MS, steps=steps("9"))
    assert late is None
    assert [row["ticket_ref"] for row in rows_of(database, helpdesk_tickets)] == ["1"]
    assert finish(database, taken_over, Ending(state="done", result="done"), now_ms=NOW_MS) == Taken({}, 0)
    assert [(row["state"], row["result"]) for row in rows_of(database, outbox)] == [("done", "done")]


def test_two_calls_are_as_far_apart_as_the_rate_says(database: Database) -> None:
    add_jobs(database, "1", "2")
    terms = Terms(lease_ms=90_000, interval_ms=500, trial_after=5)
    assert next_job(database, terms=terms) is not None

    assert claim(database, "desk", terms, now_ms=NOW_MS + 100) == Claim(None, 400)
    assert connectors_with_work(database, ["desk"], now_ms=NOW_MS + 100) == []
    assert next_job(database, terms=terms, now_ms=NOW_MS + 500) is not None


def test_connectors_are_paced_each_by_itself(database: Database) -> None:
    add_jobs(database, "1")
    add_jobs(database, "1", connector="other")
    fail(database, pause_ms=60_000)

    assert connectors_with_work(database, ["desk", "other"], now_ms=NOW_MS) == ["other"]
    assert next_job(database) is None
    assert next_job(database, connector="other") is not None


def test_after_failures_in_a_row_one_job_at_a_time_is_tried_until_one_succeeds(database: Database) -> None:
    add_jobs(database, "1", "2", "3")
    for _ in range(TERMS.trial_after):
        fail(database, pause_ms=5_000)
    assert refs_given_out(database, now_ms=NOW_MS + 4_999) == []

    assert refs_given_out(database, now_ms=NOW_MS + 5_000) == ["1"]
    # The trial failed: the pause begins anew, and is not that of the trial's lease.
    fail(database, now_ms=NOW_MS + 6_000, pause_ms=5_000)
    assert refs_given_out(database, now_ms=NOW_MS + 10_999) == []
    assert refs_given_out(database, now_ms=NOW_MS + 11_000) == ["2"]
    answer(database, now_ms=NOW_MS + 12_000)

    assert refs_given_out(database, now_ms=NOW_MS + 12_000) == ["3"]


def test_a_trial_of_a_process_that_died_is_waited_for_no_longer_than_its_lease(database: Database) -> None:
    add_jobs(database, "1", "2")
    for _ in range(TERMS.trial_after):
        fail(database)
    assert refs_given_out(database) == ["1"]

    assert refs_given_out(database, now_ms=NOW_MS + TERMS.lease_ms) == ["1"]


def test_what_the_helpdesk_asked_for_is_kept_whatever_ends_meanwhile(database: Database) -> None:
    add_jobs(database, "1")
    fail(database, pause_ms=60_000)

    # Calls that were under way already.
    fail(database, now_ms=NOW_MS + 1)
    answer(database, now_ms=NOW_MS + 2)

    assert refs_given_out(database, now_ms=NOW_MS + 59_999) == []
    assert refs_given_out(database, now_ms=NOW_MS + 60_000) == ["1"]


def test_a_dead_letter_is_tried_for_another_day_when_that_is_asked_for(database: Database) -> None:
    add_jobs(database, "1", "2")
    for _ in range(2):
        job = next_job(database)
        assert job is not None
        finish(database, job, Ending(state="dead", result="refused"), now_ms=NOW_MS)
    assert refs_given_out(database) == []
    later_ms = NOW_MS + 10 * 86_400_000

    (job_id, _) = [row["job_id"] for row in rows_of(database, outbox)]
    assert send_again(database, now_ms=later_ms, job_ids=[job_id]) == 1
    assert send_again(database, now_ms=later_ms, connector="other") == 0

    again = next_job(database, now_ms=later_ms)
    assert again is not None
    assert (again.job_id, again.wanted_ms) == (job_id, later_ms)
    # It is no first attempt: what it left behind there is looked for.
    assert again.n_attempts == 2
    assert count_waiting(database, ["desk", "other"]) == {"desk": 1, "other": 0}


def test_one_process_at_a_time_looks_at_a_helpdesk_and_from_where_the_last_look_ended(database: Database) -> None:
    look = partial(claim_look, database, "desk", lease_ms=300_000, look_ms=100_000)

    assert look(now_ms=NOW_MS) == NOW_MS
    assert look(now_ms=NOW_MS + 299_999) is None
    assert look(now_ms=NOW_MS + 300_000) == NOW_MS
    finish_look(database, "desk", now_ms=NOW_MS, looked_until_ms=NOW_MS + 300_000, next_look_ms=NOW_MS + 400_000)
    assert look(now_ms=NOW_MS + 399_999) is None
    assert look(now_ms=NOW_MS + 400_000) == NOW_MS + 300_000


def test_a_connector_that_is_to_look_more_often_than_before_does_so_at_once(database: Database) -> None:
    day_ms = 86_400_000
    finish_look(database, "desk", now_ms=NOW_MS, looked_until_ms=NOW_MS, next_look_ms=NOW_MS + day_ms)

    assert claim_look(database, "desk", now_ms=NOW_MS + 1, lease_ms=300_000, look_ms=day_ms) is None
    assert claim_look(database, "desk", now_ms=NOW_MS + 1, lease_ms=300_000, look_ms=60_000) == NOW_MS


def test_nobody_looks_at_a_helpdesk_that_is_left_alone(database: Database) -> None:
    fail(database, pause_ms=60_000)

    assert claim_look(database, "desk", now_ms=NOW_MS + 59_999, lease_ms=1, look_ms=1) is None
    assert claim_look(database, "desk", now_ms=NOW_MS + 60_000, lease_ms=1, look_ms=1) is not None


def test_many_at_once_never_get_the_same_job(database: Database) -> None:
    refs = [str(number) for number in range(40)]
    add_jobs(database, *refs)
    given: list[str] = []

    def work() -> None:
        while (job := next_job(database)) is not None:
            given.append(job.ticket_ref)
            finish(database, job, Ending(state="done", result="done"), now_ms=NOW_MS)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(given, key=int) == refs


def test_many_at_once_take_one_delivery_once(database: Database) -> None:
    start = threading.Barrier(6)
    taken: list[Taken | None] = []

    def take(number: int) -> None:
        start.wait()
        # The same content, or the same id, or the same ticket told of in two ways.
        received = Received(f"content {number % 3}", f"id {number % 2}", NOW_MS)
        taken.append(receive(database, received, steps("7"), outcome_of=lambda _: "queued"))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    n_taken = sum(one is not None for one in taken)
    assert n_taken == len(rows_of(database, deliveries))
    assert n_taken <= 2

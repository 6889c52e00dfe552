"""What people see of connectors, on either database: the latest of each kind, and counts of the time that is asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.store.connector_states import claim_look, finish_look, note_failure
from app.store.connector_views import ConnectorCounts, ConnectorsView, Standing, find_job, view_connectors
from app.store.database import Database
from app.store.migration import upgrade
from app.store.outbox import send_again
from tests.store.jobs import add_delivery, add_job

DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with closing(Database(store_url)) as database:
        upgrade(database)
        yield database


def view(database: Database, *connectors: str, limit: int = 50, refs: tuple[str, ...] = ()) -> ConnectorsView:
    return view_connectors(database, connectors or ("desk",), since_ms=NOW_MS - DAY_MS, limit=limit, refs=refs)


def test_a_connector_that_was_never_used_has_nothing_to_show(database: Database) -> None:
    nothing = ConnectorCounts({}, {"waiting": 0, "done": 0, "dead": 0}, 0, 0)

    assert view(database) == ConnectorsView(
        standings={}, counts={"desk": nothing}, odd=[], waiting=[], done=[], dead=[]
    )


def test_a_standing_says_how_the_helpdesk_answers_and_when_it_is_looked_at(database: Database) -> None:
    claim_look(database, "desk", now_ms=1_000, lease_ms=5_000, look_ms=5_000)
    finish_look(database, "desk", now_ms=2_000, looked_until_ms=1_000, next_look_ms=9_000)
    for _ in range(2):
        note_failure(
            database, "desk", now_ms=3_000, problem="answered 503", pause_ms=lambda n: 1_000 * n, trial_after=5
        )

    assert view(database).standings == {"desk": Standing(5_000, 2, "answered 503", 1_000, 9_000)}


def test_deliveries_and_jobs_are_counted_for_the_time_that_is_asked_and_what_is_left_for_all_time(
    database: Database,
) -> None:
    for days in (0.5, 0.1, 3):
        at_ms = round(NOW_MS - days * DAY_MS)
        add_delivery(database, at_ms=at_ms)
        for state in ("waiting", "done", "dead"):
            add_job(database, state, at_ms=at_ms)
    add_delivery(database, "review", at_ms=NOW_MS, connector="other")
    add_job(database, "dead", at_ms=NOW_MS, connector="other")

    counts = view(database, "desk", "other").counts

    assert counts["desk"] == ConnectorCounts({"classified": 2}, {"waiting": 2, "done": 2, "dead": 2}, 3, 3)
    assert counts["other"] == ConnectorCounts({"review": 1}, {"waiting": 0, "done": 0, "dead": 1}, 0, 1)


def test_rows_are_of_the_connectors_that_are_asked_the_newest_first_and_what_waits_the_oldest(
    database: Database,
) -> None:
    ids = {
        state: [add_job(database, state, at_ms=at_ms, connector=f"desk-{at_ms % 2}") for at_ms in range(1, 6)]
        for state in ("waiting", "done", "dead")
    }
    add_job(database, "dead", at_ms=9, connector="other")

    found = view(database, "desk-0", "desk-1", limit=2)

    assert [job.job_id for job in found.waiting] == ids["waiting"][:2]
    assert [job.job_id for job in found.done] == ids["done"][:-3:-1]
    assert [job.job_id for job in found.dead] == ids["dead"][:-3:-1]


def test_rows_may_be_those_of_a_ticket(database: Database) -> None:
    for number, ref in enumerate(("7", "8", "desk:7")):
        for state in ("waiting", "done", "dead"):
            add_job(database, state, at_ms=NOW_MS, ticket_ref=ref)
        add_delivery(database, "review", at_ms=NOW_MS + number, ticket_ref=ref)

    found = view(database, refs=("7", "desk:7"))

    for rows in (found.waiting, found.done, found.dead, found.odd):
        assert {row.ticket_ref for row in rows} == {"7", "desk:7"}
    assert found.counts == {}


def test_deliveries_that_nothing_could_be_done_with_are_those_of_the_time_that_is_asked(database: Database) -> None:
    add_delivery(database, "review", at_ms=NOW_MS - 2 * DAY_MS, problem="too old")
    add_delivery(database, "review", at_ms=NOW_MS - 2, problem="no id")
    add_delivery(database, "review", at_ms=NOW_MS - 1, ticket_ref="7")
    add_delivery(database, "known", at_ms=NOW_MS, ticket_ref="7")

    assert [(row.ticket_ref, row.problem) for row in view(database).odd] == [("7", None), (None, "no id")]


def test_a_job_is_found_however_it_stands(database: Database) -> None:
    job_id = add_job(database, "dead", at_ms=NOW_MS, result="answered 422")

    before = find_job(database, job_id)
    send_again(database, now_ms=NOW_MS, connector="desk", job_ids=[job_id])
    after = find_job(database, job_id)

    assert before is not None
    assert after is not None
    assert (before.state, before.result, after.state, after.n_attempts) == ("dead", "answered 422", "waiting", 1)
    assert find_job(database, "0" * 36) is None

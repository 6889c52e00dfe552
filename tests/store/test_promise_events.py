"""Audits are read in their order, each answer once, and a change of a promise is recorded once, whoever finds it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, text, update

from app.store.database import Database
from app.store.ids import milliseconds_of, new_id
from app.store.migration import upgrade
from app.store.promise import Change, HeadLabel
from app.store.promise_events import (
    Fingerprint,
    count_auto,
    fingerprint_of,
    read_audits,
    read_events,
    record_changes,
)
from app.store.tables import answer_counts, feedback, promise_events
from tests.feedback.judged import add_audits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.store.promise import Audit, PromiseEvent

DIGEST, OTHER = "0123456789ab", "ba9876543210"
HIGH = HeadLabel("priority", "High")
BROKEN = Change(of=HIGH, after=None, state="broken", n_audited=3, n_right=0, e_value=145.9)


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    upgrade(database)
    yield database
    database.close()


def audits_of(database: Database, digest: str = DIGEST) -> list[Audit]:
    with database.reading() as connection:
        return read_audits(connection, digest)


def events_of(database: Database) -> list[PromiseEvent]:
    with database.reading() as connection:
        return read_events(connection, DIGEST)


def fingerprint(database: Database) -> Fingerprint:
    with database.reading() as connection:
        return fingerprint_of(connection, DIGEST)


def take_back(database: Database, feedback_id: str) -> None:
    with database.writing() as connection:
        connection.execute(update(feedback).where(feedback.c.feedback_id == feedback_id).values(taken_back_ms=1))


def record(database: Database, *changes: Change) -> list[Change]:
    return record_changes(database, changes, model_version="1.0.0", model_digest=DIGEST)


def test_audits_are_read_in_the_order_in_which_they_were_judged(database: Database) -> None:
    rights = [True, False, False, True, False]
    add_audits(database, DIGEST, rights[:2])
    add_audits(database, OTHER, [False])
    add_audits(database, DIGEST, rights[2:], head="department", label="Sales")

    found = audits_of(database)

    assert [audit.is_right for audit in found] == rights
    assert [(audit.head, audit.label) for audit in found[1:3]] == [("priority", "High"), ("department", "Sales")]


def test_what_is_no_audit_does_not_count(database: Database) -> None:
    add_audits(database, DIGEST, [True])
    add_audits(database, DIGEST, [False], is_audit=False)

    assert [audit.is_right for audit in audits_of(database)] == [True]


def test_of_an_answer_that_was_judged_again_the_latest_judgement_counts_until_it_is_taken_back(
    database: Database,
) -> None:
    answered = new_id()
    add_audits(database, DIGEST, [True], prediction_id=answered)
    add_audits(database, DIGEST, [True])
    (latest,) = add_audits(database, DIGEST, [False], prediction_id=answered)

    assert [(audit.is_right, audit.prediction_id == answered) for audit in audits_of(database)] == [
        (True, False),
        (False, True),
    ]
    take_back(database, latest)
    assert [(audit.is_right, audit.prediction_id == answered) for audit in audits_of(database)] == [
        (True, True),
        (True, False),
    ]


def test_the_fingerprint_is_another_after_each_change_and_only_then(database: Database) -> None:
    seen = [fingerprint(database)]
    (feedback_id,) = add_audits(database, DIGEST, [True])
    seen.append(fingerprint(database))
    take_back(database, feedback_id)
    seen.append(fingerprint(database))
    record(database, BROKEN)
    seen.append(fingerprint(database))
    add_audits(database, OTHER, [True])
    add_audits(database, DIGEST, [True], is_audit=False)

    assert len(set(seen)) == len(seen)
    assert fingerprint(database) == seen[-1]


def test_the_fingerprint_is_read_from_indexes_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}"
    with closing(Database(url)) as database, database.reading() as connection:
        upgrade(database)
        plan = [
            row.detail
            for condition in (
                f"judgements WHERE model_digest = '{DIGEST}' AND judgements.is_audit",
                "feedback WHERE taken_back_ms IS NOT NULL",
                f"promise_events WHERE model_digest = '{DIGEST}'",
            )
            for row in connection.execute(text(f"EXPLAIN QUERY PLAN SELECT count(*) FROM {condition}"))  # noqa: S608
        ]

    assert len(plan) == 3
    assert all("USING COVERING INDEX" in step for step in plan)


def test_a_change_that_many_find_at_once_is_recorded_by_one_of_them(database: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        recorded = list(threads.map(lambda _: record(database, BROKEN), range(16)))

    assert sorted(map(len, recorded)) == [0] * 15 + [1]
    (event,) = events_of(database)
    assert (event.of, event.state, event.is_reset) == (HIGH, "broken", False)


def test_a_change_is_recorded_only_after_the_event_that_it_was_judged_by(database: Database) -> None:
    record(database, BROKEN)
    (event,) = events_of(database)

    assert record(database, Change(of=HIGH, after=None, state="kept")) == []
    assert record(database, Change(of=HIGH, after=event.event_id, state="kept")) != []


def test_a_reset_comes_after_an_event_of_a_clock_that_is_ahead(database: Database) -> None:
    ahead = f"{milliseconds_of(new_id()) + 60_000:012x}"
    event_id = f"{ahead[:8]}-{ahead[8:]}-7000-8000-000000000000"
    with database.writing() as connection:
        connection.execute(
            insert(promise_events).values(
                event_id=event_id,
                at_ms=0,
                model_version="1.0.0",
                model_digest=DIGEST,
                head=HIGH.head,
                label=HIGH.label,
                state="broken",
                is_reset=False,
                n_audited=0,
                n_right=0,
                e_value=1.0,
            )
        )

    record(database, Change(of=HIGH, after=None, state="unproven", is_reset=True))

    assert [event.state for event in events_of(database)] == ["broken", "unproven"]


def test_what_was_auto_is_summed_over_days(database: Database) -> None:
    rows = [
        {"day": day, "model_version": "1.0.0", "model_digest": DIGEST, "head": "priority", "label": label}
        | {"decision": decision, "n_answers": n_answers}
        for day, label, decision, n_answers in (
            (1, "High", "auto", 5),
            (2, "High", "auto", 7),
            (2, "High", "suggest", 100),
            (2, "Low", "auto", 1),
        )
    ]
    with database.writing() as connection:
        connection.execute(insert(answer_counts), rows)

    with database.reading() as connection:
        assert count_auto(connection, DIGEST) == {HIGH: 12, HeadLabel("priority", "Low"): 1}

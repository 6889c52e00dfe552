"""What is old is erased or deleted when its time has come, a little at a time, and no sooner."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from app.feedback.judging import judge
from app.store.database import Database
from app.store.erasure import erase_ticket
from app.store.feedback import record
from app.store.ids import milliseconds_of, new_id
from app.store.judgement import Remark
from app.store.migration import upgrade
from app.store.promise import Change, HeadLabel
from app.store.promise_events import record_changes
from app.store.retention import expire, expire_some
from app.store.store import Store
from app.store.tables import (
    answer_counts,
    answers,
    deliveries,
    erased_tickets,
    feedback,
    helpdesk_tickets,
    judgements,
    outbox,
    predictions,
    review_items,
)
from tests.postgres import Postgres
from tests.stored import LABELS, add_prediction, id_of, is_open, rows_of

DAY_MS = 86_400_000
NOW_MS = milliseconds_of(new_id())
HIGH = Remark(labels={"priority": "High"}, source="api")
CANARY = "canary-4f1d"


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    upgrade(database)
    yield database
    database.close()


def add_old(database: Database, days: float, **fields: object) -> str:
    return add_prediction(database, prediction_id=id_of(int(NOW_MS - days * DAY_MS)), **fields)  # type: ignore[arg-type]


def expire_all(database: Database, *, retention_days: int, now_ms: int = NOW_MS) -> int:
    n_all = 0
    while n_rows := expire_some(database, retention_days=retention_days, now_ms=now_ms):
        n_all += n_rows
    return n_all


def test_texts_go_after_the_retention_and_predictions_after_twice_that(database: Database) -> None:
    ages = {days: add_old(database, days) for days in (0, 9.9, 10.1, 19.9, 20.1)}

    assert expire_all(database, retention_days=10) == 4

    texts = {row["prediction_id"]: row["title"] for row in rows_of(database, predictions)}
    assert texts == {ages[0]: "a title", ages[9.9]: "a title", ages[10.1]: None, ages[19.9]: None}
    assert {row["customer_email"] for row in rows_of(database, predictions)} == {"mia@example.com", None}
    for table in (answers, review_items):
        assert {row["prediction_id"] for row in rows_of(database, table)} == set(texts)
    assert expire_all(database, retention_days=10) == 0


def test_judgements_stay_without_text_and_without_the_key_under_which_they_came(database: Database) -> None:
    own = replace(HIGH, title=CANARY, description=CANARY, idempotency_key="a" * 64, body_sha256="b" * 64)
    record(database, [own], judge=partial(judge, serving_labels=LABELS), keeps_text=True)

    assert expire_all(database, retention_days=10, now_ms=NOW_MS + 9 * DAY_MS) == 0
    assert expire_all(database, retention_days=10, now_ms=NOW_MS + 11 * DAY_MS) == 1

    (row,) = rows_of(database, feedback)
    gone = ("title", "description", "idempotency_key", "body_sha256", "kept_since_ms")
    assert [row[name] for name in gone] == [None] * len(gone)
    assert expire_all(database, retention_days=10, now_ms=NOW_MS + 99 * DAY_MS) == 0
    assert len(rows_of(database, judgements)) == 1


def test_a_text_that_a_judgement_took_over_is_as_old_as_its_prediction(database: Database) -> None:
    prediction_id = add_old(database, 9)
    judged = replace(HIGH, prediction_id=prediction_id)
    record(database, [judged], judge=partial(judge, serving_labels=LABELS), keeps_text=True)
    assert rows_of(database, feedback)[0]["title"] == "a title"

    expire_all(database, retention_days=10, now_ms=NOW_MS + 2 * DAY_MS)

    assert [row["title"] for row in rows_of(database, feedback)] == [None]


def test_nobody_is_asked_about_a_ticket_whose_text_went(database: Database) -> None:
    old, without_text = add_old(database, 11), add_old(database, 11, texts=(None, None, None))
    young = add_old(database, 9)

    expire_all(database, retention_days=10)

    assert not is_open(database, old)
    # With STORE_TEXT=none there never was one, and callers know the tickets by their ids.
    assert is_open(database, without_text)
    assert is_open(database, young)


def test_a_promise_that_changes_meanwhile_holds_nothing_up(postgres: Postgres) -> None:
    n_rows: list[int] = []

    def changes(database: Database) -> Iterator[Change]:
        # The change is being recorded by now.
        n_rows.append(expire_some(database, retention_days=10, now_ms=NOW_MS))
        yield Change(of=HeadLabel("priority", "High"), after=None, state="broken")

    with postgres.database() as url:
        database = Database(url)
        upgrade(database)
        add_old(database, 11)
        record_changes(database, changes(database), model_version="1.0.0", model_digest="0123456789ab")
        database.close()

    assert n_rows == [1]


def test_without_a_retention_everything_stays(database: Database) -> None:
    add_old(database, 10_000)

    assert expire_all(database, retention_days=0) == 0

    assert rows_of(database, predictions)[0]["title"] == "a title"


def test_how_many_answers_there_were_is_never_forgotten(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(
            answer_counts.insert().values(
                day=1, model_version="1", model_digest="0", head="h", label="l", decision="auto", n_answers=7
            )
        )

    expire_all(database, retention_days=1)

    assert [row["n_answers"] for row in rows_of(database, answer_counts)] == [7]


def test_no_transaction_touches_more_than_a_bounded_number_of_rows(database: Database) -> None:
    for _ in range(7):
        add_old(database, 15)

    touched = [expire_some(database, retention_days=10, now_ms=NOW_MS, max_rows=3) for _ in range(4)]

    assert touched == [3, 3, 1, 0]


def test_that_a_ticket_was_erased_is_remembered_for_a_week(database: Database) -> None:
    erase_ticket(database, "4711", now_ms=NOW_MS)

    expire_all(database, retention_days=0, now_ms=NOW_MS + 6 * DAY_MS)
    assert len(rows_of(database, erased_tickets)) == 1
    expire_all(database, retention_days=0, now_ms=NOW_MS + 8 * DAY_MS)
    assert rows_of(database, erased_tickets) == []


def add_of_helpdesks(database: Database, days: float) -> None:
    """Add a delivery, jobs of every state and the tickets that they are for, so many days ago."""
    then_ms = int(NOW_MS - days * DAY_MS)
    kept = {"connector": "desk", "is_closed": False, "heads": "{}", "looked_at_ms": then_ms}
    job = {"connector": "desk", "kind": "write", "content": "{}", "n_attempts": 1, "leased_until_ms": 0}
    with database.writing() as connection:
        received = {"connector": "desk", "content_key": f"{days}", "received_ms": then_ms, "outcome": "known"}
        connection.execute(deliveries.insert().values(received))
        connection.execute(helpdesk_tickets.insert().values(kept | {"ticket_ref": f"nothing to do {days}"}))
        for state in ("waiting", "done", "dead"):
            ref = f"{state} {days}"
            connection.execute(helpdesk_tickets.insert().values(kept | {"ticket_ref": ref}))
            finished_ms = None if state == "waiting" else then_ms
            of_state = {"job_id": new_id(), "state": state, "finished_ms": finished_ms, "ticket_ref": ref}
            connection.execute(outbox.insert().values(job | of_state | {"wanted_ms": then_ms, "due_ms": then_ms}))


AGES = [0.9, 1.1, 6.9, 7.1, 9.9, 10.1, 20.1]


@pytest.mark.parametrize(
    ("retention_days", "dead", "n_tickets"),
    [(10, [0.9, 1.1, 6.9, 7.1, 9.9], len(AGES) - 1), (0, AGES, len(AGES))],
)
def test_what_helpdesks_sent_goes_after_a_day_and_what_was_done_there_after_a_week(
    database: Database, retention_days: int, dead: list[float], n_tickets: int
) -> None:
    for days in AGES:
        add_of_helpdesks(database, days)

    expire_all(database, retention_days=retention_days)

    assert [row["content_key"] for row in rows_of(database, deliveries)] == ["0.9"]
    left: dict[str, list[float]] = {}
    for row in rows_of(database, outbox):
        state, days = row["ticket_ref"].split()
        left.setdefault(state, []).append(float(days))
    assert {state: sorted(of_state) for state, of_state in left.items()} == {
        "waiting": AGES,
        "done": AGES[:3],
        "dead": dead,
    }
    known = {row["ticket_ref"] for row in rows_of(database, helpdesk_tickets)}
    assert len([ref for ref in known if ref.startswith("nothing")]) == n_tickets
    # What is still to be done is done for a ticket that is known.
    assert {row["ticket_ref"] for row in rows_of(database, outbox) if row["state"] == "waiting"} <= known
    assert expire_all(database, retention_days=retention_days) == 0


def test_several_processes_at_once_do_it_once(database: Database) -> None:
    for _ in range(40):
        add_old(database, 15)
    counts: list[int] = []
    until = time.monotonic() + 20

    def expire_until_all_is_done() -> None:
        # On Postgres those who come second do nothing, and cannot tell that from nothing being left.
        while sum(counts) < 40 and time.monotonic() < until:
            counts.append(expire_some(database, retention_days=10, now_ms=NOW_MS, max_rows=3))

    threads = [threading.Thread(target=expire_until_all_is_done) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counts) == 40


def test_the_service_does_what_is_due_and_the_log_of_sqlite_keeps_nothing_of_it(store_url: str) -> None:
    async def scenario(database: Database) -> int:
        store = Store(Database(store_url))
        await store.start(seconds=30)
        add_old(database, 15, texts=(CANARY, CANARY, CANARY))
        try:
            return await expire(store, retention_days=10, now_ms=NOW_MS)
        finally:
            await store.close()

    database = Database(store_url)

    assert asyncio.run(scenario(database)) == 1

    assert [row["title"] for row in rows_of(database, predictions)] == [None]
    if database.path is not None:
        files = list(database.path.parent.glob(f"{database.path.name}*"))
        assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    database.close()

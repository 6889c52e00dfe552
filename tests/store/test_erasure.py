"""What was written in a ticket is erased from every row, and from the bytes of the files."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, text, update

from app.feedback.judging import judge
from app.store.database import Database
from app.store.erasure import Erased, erase_ticket, truncate_log
from app.store.feedback import record
from app.store.ids import milliseconds_of, new_id
from app.store.judgement import Recorded, Remark
from app.store.migration import upgrade
from app.store.prediction_records import write_records
from app.store.tables import erased_tickets, feedback, predictions, review_items
from tests.postgres import Postgres
from tests.store.records import record as record_of_answer
from tests.stored import LABELS, add_prediction, id_of, rows_of

CANARY = "canary-4f1d"
SAID = Remark(labels={"priority": "High"}, source="api", title=f"{CANARY} title", description=f"{CANARY} description")
NOW_MS = milliseconds_of(new_id())


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/store.db")
    upgrade(database)
    yield database
    database.close()


def keep(database: Database, *remarks: Remark) -> list[Recorded]:
    outcomes = record(database, remarks, judge=partial(judge, serving_labels=LABELS), keeps_text=True)
    return [outcome for outcome in outcomes if isinstance(outcome, Recorded)]


def file_bytes(database: Database) -> bytes:
    assert database.path is not None
    return b"".join(path.read_bytes() for path in database.path.parent.glob(f"{database.path.name}*"))


def canaries(ticket_id: str) -> tuple[str, str, str]:
    return (
        f"{CANARY} {ticket_id} title",
        f"{CANARY} {ticket_id} description " * 500,
        f"{CANARY}.{ticket_id}@example.com",
    )


def test_all_texts_and_addresses_of_a_ticket_are_erased_and_no_others(database: Database) -> None:
    for ticket_id in ("4711", "4711", "0815"):
        add_prediction(database, ticket_id=ticket_id, texts=canaries(ticket_id))
    keep(database, replace(SAID, ticket_id="4711"), replace(SAID, ticket_id="0815"))

    assert erase_ticket(database, "4711", now_ms=NOW_MS) == Erased(2, 1, is_gone=True)

    texts = {
        (row["ticket_id"], row["title"], row["description"], row.get("customer_email"), row.get("body_sha256"))
        for table in (predictions, feedback)
        for row in rows_of(database, table)
    }
    assert {of_ticket for of_ticket in texts if of_ticket[0] == "4711"} == {("4711", None, None, None, None)}
    assert {of_ticket[:2] for of_ticket in texts if of_ticket[0] == "0815"} == {
        ("0815", canaries("0815")[0]),
        ("0815", SAID.title),
    }


def test_what_was_said_of_a_ticket_without_a_prediction_is_erased_too(database: Database) -> None:
    keep(database, replace(SAID, ticket_id="4711"))

    assert erase_ticket(database, "4711", now_ms=NOW_MS) == Erased(0, 1, is_gone=True)

    assert rows_of(database, feedback)[0]["title"] is None


def test_an_erased_ticket_leaves_the_review_queue_and_its_judgements_stay(database: Database) -> None:
    kept_id = add_prediction(database, ticket_id="0815")
    add_prediction(database, ticket_id="4711")
    (kept,) = keep(database, replace(SAID, ticket_id="4711"))

    erase_ticket(database, "4711", now_ms=NOW_MS)

    assert [row["prediction_id"] for row in rows_of(database, review_items)] == [kept_id]
    assert [row["feedback_id"] for row in rows_of(database, feedback)] == [kept.feedback_id]


def test_erasing_again_and_erasing_what_is_not_there_is_no_error(database: Database) -> None:
    add_prediction(database, ticket_id="4711")

    results = [erase_ticket(database, ticket_id, now_ms=NOW_MS) for ticket_id in ("4711", "4711", "0815")]

    assert [result.n_predictions for result in results] == [1, 1, 0]
    assert {row["ticket_id"]: row["erased_until_ms"] > NOW_MS for row in rows_of(database, erased_tickets)} == {
        "4711": True,
        "0815": True,
    }


def test_a_repetition_after_the_erasure_gets_the_first_answer_and_brings_nothing_back(database: Database) -> None:
    said = replace(SAID, ticket_id="4711", idempotency_key="a" * 64, body_sha256="b" * 64)
    first = keep(database, said)
    erase_ticket(database, "4711", now_ms=NOW_MS)

    assert keep(database, said) == first
    assert [row["title"] for row in rows_of(database, feedback)] == [None]


def test_a_judgement_that_takes_the_text_over_meanwhile_does_not_bring_it_back(database: Database) -> None:
    for number in range(15):
        ticket_id = f"ticket {number}"
        prediction_id = add_prediction(database, ticket_id=ticket_id, texts=canaries(ticket_id))
        said = replace(SAID, prediction_id=prediction_id, title=None, description=None)
        judging = threading.Thread(target=keep, args=(database, said))
        judging.start()
        erase_ticket(database, ticket_id, now_ms=NOW_MS)
        judging.join()

    assert {row["title"] for row in rows_of(database, feedback)} == {None}
    assert len(rows_of(database, feedback)) == 15


def test_a_record_that_waits_for_a_writer_meanwhile_does_not_bring_the_text_back(database: Database) -> None:
    texts = dict(zip(("title", "description", "customer_email"), canaries("4711"), strict=True))
    before = record_of_answer(received_ms=NOW_MS, ticket_id="4711", worth=0.5, **texts)
    after = record_of_answer(received_ms=NOW_MS + 5_000, ticket_id="4711", worth=0.5, **texts)
    other = record_of_answer(received_ms=NOW_MS, ticket_id="0815", worth=0.5, **texts)

    erase_ticket(database, "4711", now_ms=NOW_MS)
    write_records(database, [before, after, other])

    kept = {row["prediction_id"]: row["title"] for row in rows_of(database, predictions)}
    assert kept == {
        before.prediction_id: None,
        after.prediction_id: texts["title"],
        other.prediction_id: texts["title"],
    }
    assert {row["prediction_id"] for row in rows_of(database, review_items)} == {
        after.prediction_id,
        other.prediction_id,
    }


def test_a_record_that_is_being_written_meanwhile_does_not_bring_the_text_back(database: Database) -> None:
    texts = dict(zip(("title", "description", "customer_email"), canaries("4711"), strict=True))
    records = [record_of_answer(received_ms=NOW_MS, ticket_id="4711", worth=0.5, **texts) for _ in range(40)]
    writing = threading.Thread(target=lambda: [write_records(database, [record]) for record in records])

    writing.start()
    results = [erase_ticket(database, "4711", now_ms=NOW_MS) for _ in range(3)]
    writing.join()

    assert all(result.is_gone for result in results)
    assert [row["title"] for row in rows_of(database, predictions)] == [None] * 40
    assert rows_of(database, review_items) == []


def test_no_byte_of_an_erased_ticket_is_in_the_files_whatever_they_went_through(sqlite_database: Database) -> None:
    database, choose = sqlite_database, random.Random(7)
    alive: list[str] = []
    ids = iter(range(10_000))
    # Rows that come, shrink and go make SQLite move others from page to page, and leave copies of them behind.
    for _ in range(40):
        with database.writing() as connection:
            for number in (next(ids) for _ in range(100)):
                identifier = id_of(NOW_MS + number)
                words = f"{CANARY} {number:05d} " * choose.choice([1, 3, 10, 30, 60, 120])
                connection.execute(insert(predictions), row_of(identifier, words))
                alive.append(identifier)
            for identifier in (alive.pop(0 if choose.random() < 0.8 else -1) for _ in range(80)):
                of_prediction = predictions.c.prediction_id == identifier
                if choose.random() < 0.5:
                    connection.execute(delete(predictions).where(of_prediction))
                else:
                    erased = {"title": None, "description": None, "customer_email": None}
                    connection.execute(update(predictions).where(of_prediction).values(erased))

    erase_ticket(database, "4711", now_ms=NOW_MS)

    assert CANARY.encode() not in file_bytes(database)


def row_of(prediction_id: str, words: str) -> dict[str, object]:
    return {
        "prediction_id": prediction_id,
        "ticket_id": "4711",
        "received_ms": milliseconds_of(prediction_id),
        "model_version": "1.0.0",
        "model_digest": "0123456789ab",
        "is_audit": False,
        "asked_chance": 1.0,
        "title": words[:40],
        "description": words,
        "customer_email": f"{CANARY}@example.com",
    }


def test_no_byte_of_an_erased_ticket_is_in_the_files_of_postgres_tables(postgres: Postgres) -> None:
    with postgres.database() as url:
        database = Database(url)
        upgrade(database)
        for number in range(50):
            add_prediction(database, ticket_id="4711", texts=(f"{CANARY} {number}", f"{CANARY} " * number, CANARY))
            add_prediction(database, ticket_id="0815")
        keep(database, replace(SAID, ticket_id="4711"))
        with database.autocommit() as connection:
            # What Postgres does by itself from time to time: samples of columns for its planner.
            connection.execute(text("ANALYZE"))
        assert CANARY.encode() in table_bytes(database)

        erase_ticket(database, "4711", now_ms=NOW_MS)

        assert CANARY.encode() not in table_bytes(database)
        database.close()


def table_bytes(database: Database) -> bytes:
    """Return the bytes of all files of the database, as they are on disk; the log is not among them."""
    with database.autocommit() as connection:
        connection.execute(text("CHECKPOINT"))
        directory = Path(connection.execute(text("SHOW data_directory")).scalar_one())
        oid = connection.execute(text("SELECT oid FROM pg_database WHERE datname = current_database()")).scalar_one()
    return b"".join(path.read_bytes() for path in (directory / "base" / str(oid)).iterdir())


def test_a_reader_of_before_the_erasure_is_waited_for(sqlite_database: Database) -> None:
    database = sqlite_database
    add_prediction(database, ticket_id="4711", texts=canaries("4711"))
    reader = sqlite3.connect(str(database.path), isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM predictions").fetchall()
    results: list[Erased] = []
    erasing = threading.Thread(target=lambda: results.append(erase_ticket(database, "4711", now_ms=NOW_MS)))

    erasing.start()
    while not erased_by_others(database):
        pass
    assert CANARY.encode() in file_bytes(database)
    reader.execute("COMMIT")
    erasing.join()

    assert results == [Erased(1, 0, is_gone=True)]
    assert CANARY.encode() not in file_bytes(database)
    reader.close()


def erased_by_others(database: Database) -> bool:
    with database.reading() as connection:
        return connection.execute(select(predictions.c.title)).scalar_one() is None


def test_a_log_that_is_in_use_for_too_long_is_said_to_be(sqlite_database: Database) -> None:
    database = sqlite_database
    reader = sqlite3.connect(str(database.path), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM predictions").fetchall()
    add_prediction(database)

    assert not truncate_log(database, seconds=0.1)

    reader.execute("COMMIT")
    assert truncate_log(database, seconds=0.1)
    reader.close()

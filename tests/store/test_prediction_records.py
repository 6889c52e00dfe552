"""Records of answers in the tables: taken apart by the database, all of a batch or none, and never twice."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import IntegrityError

from app.store.database import Database
from app.store.migration import upgrade
from app.store.prediction_records import write_records
from tests.store.records import HEAD, count, record, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = {"title": 'Quote " and \\ 東京', "description": "two\nlines \U0001f600", "customer_email": "ü@müller.example"}
DAY_MS = 86_400_000


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with closing(Database(store_url)) as database:
        upgrade(database)
        yield database


def test_every_member_of_a_record_is_in_its_column(database: Database) -> None:
    other = {"label": "Low", "confidence": 0.1}
    heads = {
        "priority": {"decision": "review", "reasons": ["ambiguous", "below_threshold"], "alternatives": [other]},
        'the "team" \\': {"label": 'A "B" ü', "confidence": 1e-06},
    }
    kept = record(worth=0.25, heads=heads, is_audit=True, asked_chance=1.0, ticket_id="Z-1", **TEXTS)
    bare = record()

    write_records(database, [kept, bare])

    first, second = rows(database, "predictions")
    document = json.loads(kept.content)
    assert {name: first[name] for name in TEXTS} == TEXTS
    assert {name: first[name] for name in first if name not in TEXTS} == {
        name: document[name] for name in first if name not in TEXTS
    }
    assert {second[name] for name in (*TEXTS, "ticket_id")} == {None}
    answers = {(answer["prediction_id"], answer["head"]): answer for answer in rows(database, "answers")}
    assert len(answers) == 3
    for head, changed in heads.items():
        expected = {**HEAD, **changed}
        answer = answers[kept.prediction_id, head]
        assert {name: answer[name] for name in ("label", "confidence", "decision")} == {
            name: expected[name] for name in ("label", "confidence", "decision")
        }
        assert json.loads(answer["reasons"]) == expected["reasons"]
        assert json.loads(answer["alternatives"]) == expected["alternatives"]
    (item,) = rows(database, "review_items")
    assert (item["prediction_id"], item["rank"], item["is_open"], item["reviewer"]) == (
        kept.prediction_id,
        -0.25,
        True,
        None,
    )


def test_answers_are_counted_by_day_model_head_label_and_decision(database: Database) -> None:
    day = 20_000
    records = [record(received_ms=day * DAY_MS + i) for i in range(3)]
    records += [
        record(received_ms=day * DAY_MS + DAY_MS - 1, heads={"priority": {"decision": "suggest"}, "team": {}}),
        record(received_ms=(day + 1) * DAY_MS),
        record(received_ms=day * DAY_MS, model_digest="other"),
    ]

    write_records(database, records[:2])
    write_records(database, records[2:])

    names = ("day", "model_digest", "head", "decision", "n_answers")
    assert {tuple(row[name] for name in names) for row in rows(database, "answer_counts")} == {
        (day, "0123456789ab", "priority", "auto", 3),
        (day, "0123456789ab", "priority", "suggest", 1),
        (day, "0123456789ab", "team", "auto", 1),
        (day + 1, "0123456789ab", "priority", "auto", 1),
        (day, "other", "priority", "auto", 1),
    }


def test_a_batch_that_is_there_is_not_written_again(database: Database) -> None:
    records = [record(worth=0.5) for _ in range(5)]
    write_records(database, records)
    before = {name: rows(database, name) for name in ("predictions", "answers", "review_items", "answer_counts")}

    write_records(database, records)

    assert {name: rows(database, name) for name in before} == before
    assert [row["n_answers"] for row in before["answer_counts"]] == [5]


def test_of_a_batch_with_a_record_that_is_refused_nothing_is_written(database: Database) -> None:
    refused = record(heads={"priority": {"decision": "guess"}})

    with pytest.raises(IntegrityError):
        write_records(database, [record(), refused, record()])

    assert [count(database, name) for name in ("predictions", "answers", "answer_counts")] == [0, 0, 0]

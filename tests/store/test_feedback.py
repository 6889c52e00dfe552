"""Judgements: kept once, closed and reopened items, the latest that counts, and several at once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.errors import ServiceError
from app.feedback.judging import judge
from app.store.database import Database
from app.store.feedback import are_written, record
from app.store.ids import new_id
from app.store.judgement import Recorded, Remark
from app.store.migration import upgrade
from app.store.tables import feedback, judgements
from app.store.taking_back import take_back
from tests.processes import ROOT
from tests.stored import LABELS, add_prediction, counting_label, is_open, rows_of

HIGH = Remark(labels={"priority": "High"}, source="api")
LOW = Remark(labels={"priority": "Low"}, source="api")
JUDGE = partial(judge, serving_labels=LABELS)
KEY, OTHER_KEY = "a" * 64, "b" * 64


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    upgrade(database)
    yield database
    database.close()


def keep(database: Database, *remarks: Remark, keeps_text: bool = True) -> list[Recorded]:
    outcomes = record(database, remarks, judge=JUDGE, keeps_text=keeps_text)
    assert all(isinstance(outcome, Recorded) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Recorded)]


def slugs(outcomes: Sequence[Recorded | ServiceError]) -> list[str]:
    return [outcome.kind.slug if isinstance(outcome, ServiceError) else "" for outcome in outcomes]


def test_the_latest_judgement_counts_and_taking_it_back_brings_the_one_before_back(database: Database) -> None:
    prediction_id = add_prediction(database)
    first, second = (
        keep(database, replace(remark, prediction_id=prediction_id))[0].feedback_id for remark in (HIGH, LOW)
    )
    assert counting_label(database, prediction_id, "priority") == "Low"

    assert take_back(database, second, now_ms=1, keeps_text=True)
    assert counting_label(database, prediction_id, "priority") == "High"

    assert take_back(database, first, now_ms=1, keeps_text=True)
    assert counting_label(database, prediction_id, "priority") is None
    assert len(rows_of(database, feedback)) == 2


def test_a_judgement_closes_the_review_item_until_the_last_one_is_taken_back(database: Database) -> None:
    prediction_id = add_prediction(database)
    with database.writing() as connection:
        connection.execute(text("UPDATE review_items SET reviewer = 'mia', leased_until_ms = 9"))
    first, second = (keep(database, replace(HIGH, prediction_id=prediction_id))[0].feedback_id for _ in range(2))
    assert not is_open(database, prediction_id)

    take_back(database, first, now_ms=1, keeps_text=True)
    assert not is_open(database, prediction_id)

    take_back(database, second, now_ms=1, keeps_text=True)
    assert is_open(database, prediction_id)


@pytest.mark.parametrize("keeps_text", [True, False])
def test_a_ticket_without_text_is_asked_about_again_only_where_none_is_kept(
    database: Database, *, keeps_text: bool
) -> None:
    prediction_id = add_prediction(database, texts=(None, None, None))
    (kept,) = keep(database, replace(HIGH, prediction_id=prediction_id), keeps_text=keeps_text)

    assert take_back(database, kept.feedback_id, now_ms=1, keeps_text=keeps_text)

    assert is_open(database, prediction_id) is not keeps_text


def test_taking_back_again_changes_nothing(database: Database) -> None:
    prediction_id = add_prediction(database)
    (kept,) = keep(database, replace(HIGH, prediction_id=prediction_id))
    take_back(database, kept.feedback_id, now_ms=1, keeps_text=True)
    with database.writing() as connection:
        connection.execute(text("UPDATE review_items SET leased_until_ms = 9"))

    assert take_back(database, kept.feedback_id, now_ms=2, keeps_text=True)

    assert rows_of(database, feedback)[0]["taken_back_ms"] == 1
    with database.reading() as connection:
        assert connection.execute(text("SELECT leased_until_ms FROM review_items")).scalar_one() == 9


def test_what_was_never_kept_cannot_be_taken_back(database: Database) -> None:
    assert not take_back(database, new_id(), now_ms=1, keeps_text=True)


def test_the_latest_prediction_of_a_ticket_is_the_one_meant(database: Database) -> None:
    add_prediction(database, ticket_id="4711")
    latest = add_prediction(database, ticket_id="4711", heads={"priority": ("Low", "auto")})
    add_prediction(database, ticket_id="0815")

    (kept,) = keep(database, replace(LOW, ticket_id="4711"))

    assert (kept.prediction_id, kept.agreed) == (latest, {"priority": True})
    assert rows_of(database, feedback)[0]["ticket_id"] == "4711"


def test_the_text_that_comes_along_is_kept_else_that_of_the_prediction(database: Database) -> None:
    prediction_id = add_prediction(database, ticket_id="4711")
    own = replace(HIGH, title="another title", description="")

    keep(database, replace(HIGH, prediction_id=prediction_id), replace(own, ticket_id="4711"), own)

    rows = rows_of(database, feedback)
    assert [(row["title"], row["description"]) for row in rows] == [
        ("a title", "a description"),
        ("another title", ""),
        ("another title", ""),
    ]
    assert all(row["kept_since_ms"] <= row["received_ms"] for row in rows)


def test_no_text_is_kept_where_none_shall_be(database: Database) -> None:
    prediction_id = add_prediction(database)

    keep(database, replace(HIGH, prediction_id=prediction_id), replace(HIGH, title="a"), keeps_text=False)

    assert [(row["title"], row["kept_since_ms"]) for row in rows_of(database, feedback)] == [(None, None)] * 2


def test_an_unknown_prediction_is_refused_unless_the_text_comes_along_in_the_end(database: Database) -> None:
    with_text = replace(HIGH, ticket_id="4711", title="a title", description="")
    remarks = [replace(HIGH, prediction_id=new_id()), replace(HIGH, ticket_id="4711"), with_text]

    assert slugs(record(database, remarks, judge=JUDGE, keeps_text=True, is_last=False)) == ["unknown_prediction"] * 3
    assert not are_written(database, remarks)
    assert slugs(record(database, remarks, judge=JUDGE, keeps_text=True)) == ["unknown_prediction"] * 2 + [""]
    (row,) = rows_of(database, feedback)
    assert (row["prediction_id"], row["ticket_id"], row["title"]) == (None, "4711", "a title")


def test_one_bad_remark_loses_none_of_the_others(database: Database) -> None:
    prediction_id = add_prediction(database)
    good = replace(HIGH, prediction_id=prediction_id)
    bad = [
        replace(good, labels={"priority": "Blocker"}),
        replace(good, labels={"x": "High"}),
        replace(HIGH, ticket_id="?"),
    ]

    outcomes = record(database, [good, *bad, good], judge=JUDGE, keeps_text=True)

    assert slugs(outcomes) == ["", "unknown_label", "validation_failed", "unknown_prediction", ""]
    assert len(rows_of(database, feedback)) == 2


REMARKS = st.lists(
    st.builds(
        Remark,
        labels=st.dictionaries(
            st.sampled_from(["priority", "department", "x"]), st.sampled_from(["High", "Low", "Sales", "?"]), min_size=1
        ),
        source=st.sampled_from(["api", "review", "helpdesk"]),
        ticket_id=st.sampled_from(["1", "2", "3", None]),
        title=st.sampled_from([None, "a title"]),
        allow_new_labels=st.booleans(),
        idempotency_key=st.none() | st.sampled_from([KEY, OTHER_KEY]),
        body_sha256=st.sampled_from(["c" * 64, "d" * 64]),
    ).map(lambda remark: remark if remark.ticket_id else replace(remark, title="a title")),
    min_size=1,
    max_size=6,
    unique_by=lambda remark: remark.idempotency_key or object(),
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(remarks=REMARKS)
def test_a_batch_is_kept_and_answered_as_one_by_one(database: Database, remarks: list[Remark]) -> None:
    results = []
    for batches in ([remarks], [[remark] for remark in remarks]):
        with database.writing() as connection:
            for table in ("judgements", "feedback", "review_items", "answers", "predictions"):
                connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names of tables
        for ticket_id in ("1", "2"):
            add_prediction(database, ticket_id=ticket_id, heads={"priority": ("High", "auto")}, is_audit=True)
        outcomes = [outcome for batch in batches for outcome in record(database, batch, judge=JUDGE, keeps_text=True)]
        agreements = [outcome.agreed if isinstance(outcome, Recorded) else outcome.errors for outcome in outcomes]
        kept = [(row["ticket_id"], row["title"], row["source"]) for row in in_order(rows_of(database, feedback))]
        judged = [(row["head"], row["label"], row["is_audit"]) for row in in_order(rows_of(database, judgements))]
        results.append((slugs(outcomes), agreements, kept, judged))

    assert results[0] == results[1]


def in_order(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(rows, key=lambda row: (str(row["feedback_id"]), str(row.get("head"))))


def test_a_repetition_gets_the_first_answer_and_is_kept_once(database: Database) -> None:
    add_prediction(database, ticket_id="4711")
    said = replace(HIGH, ticket_id="4711", idempotency_key=KEY, body_sha256="c" * 64)
    (first,) = keep(database, said)
    add_prediction(database, ticket_id="4711", heads={"priority": ("Low", "auto")})

    assert keep(database, said) == [first]

    assert slugs(record(database, [replace(said, body_sha256="d" * 64)], judge=JUDGE, keeps_text=True)) == [
        "idempotency_mismatch"
    ]
    assert len(rows_of(database, feedback)) == len(rows_of(database, judgements)) == 1


def test_of_20_repetitions_at_once_in_two_processes_one_is_kept(database: Database, store_url: str) -> None:
    prediction_id = add_prediction(database)
    program = f"""
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from app.feedback.judging import judge
from app.store.database import Database
from app.store.feedback import record
from app.store.judgement import Remark
database = Database({store_url!r})
remark = Remark(labels={{"priority": "High"}}, source="api", prediction_id={prediction_id!r}, idempotency_key={KEY!r})
rules = partial(judge, serving_labels={LABELS!r})
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(10) as pool:
    outcomes = pool.map(lambda _: record(database, [remark], judge=rules, keeps_text=True), range(10))
    print(*(outcome[0].feedback_id for outcome in outcomes))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [answer for process in processes for answer in process.communicate(timeout=60)[0].split()]

    (row,) = rows_of(database, feedback)
    assert answers == [row["feedback_id"]] * 20
    assert len(rows_of(database, judgements)) == 1


def test_batches_that_judge_the_same_tickets_in_other_orders_do_not_block_each_other(database: Database) -> None:
    prediction_ids = [add_prediction(database) for _ in range(30)]
    remarks = [replace(HIGH, prediction_id=prediction_id) for prediction_id in prediction_ids]
    orders = [remarks, remarks[::-1], remarks[15:] + remarks[:15], remarks[::-2] + remarks[::2]]

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda order: record(database, order, judge=JUDGE, keeps_text=True), orders * 5))

    assert not any(slug for outcome in outcomes for slug in slugs(outcome))
    assert not any(is_open(database, prediction_id) for prediction_id in prediction_ids)


def test_judging_while_the_only_other_judgement_is_taken_back_leaves_the_item_closed(database: Database) -> None:
    for _ in range(20):
        prediction_id = add_prediction(database)
        said = replace(HIGH, prediction_id=prediction_id)
        (first,) = keep(database, said)
        with ThreadPoolExecutor(2) as pool:
            both = [
                pool.submit(keep, database, said),
                pool.submit(take_back, database, first.feedback_id, now_ms=1, keeps_text=True),
            ]
            for one in both:
                one.result()
        assert not is_open(database, prediction_id)

"""The queue's order, its pages and its leases, on both databases."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, event, insert, text, update

from app.store.database import Database
from app.store.ids import new_id
from app.store.migration import upgrade
from app.store.review_queue import LEASE_MS, Filters, Page, claim_items, review_page, skip_item
from app.store.tables import feedback, predictions, review_items
from tests.review_items import Item, put_in_queue

NOW_MS = 1_800_000_000_000
ALL = Filters()


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    database = Database(store_url)
    upgrade(database)
    yield database
    database.close()


def ids_of(page: Page | Sequence[object]) -> list[str]:
    return [item.prediction_id for item in (page.items if isinstance(page, Page) else page)]


def pages(database: Database, **asked: object) -> list[str]:
    """Return the ids of all pages, one after the other."""
    found: list[str] = []
    after = None
    for _ in range(1000):
        page = review_page(database, after=after, **{"filters": ALL, **asked})
        found += ids_of(page)
        after = page.end
        if after is None:
            return found
    raise AssertionError("the pages have no end")


def judge(database: Database, *prediction_ids: str) -> None:
    rows = [
        {"feedback_id": new_id(), "prediction_id": prediction_id, "received_ms": 0, "source": "review"}
        for prediction_id in prediction_ids
    ]
    are_judged = review_items.c.prediction_id.in_(prediction_ids)
    with database.writing() as connection:
        connection.execute(insert(feedback), rows)
        connection.execute(update(review_items).where(are_judged).values(is_open=False))


def test_what_is_worth_most_comes_first_and_of_equals_the_oldest(database: Database) -> None:
    ids = put_in_queue(database, [Item(rank) for rank in (-0.1, -0.9, -0.5, -0.9)])

    assert ids_of(review_page(database, filters=ALL)) == [ids[1], ids[3], ids[2], ids[0]]
    assert ids_of(review_page(database, filters=ALL, order="newest")) == ids[::-1]
    assert ids_of(review_page(database, filters=ALL, order="oldest")) == ids


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ranks=st.lists(st.sampled_from([-0.9, -0.5, 0.0, 0.5]) | st.floats(-1, 3), max_size=12),
    limit=st.integers(1, 5),
    order=st.sampled_from(["value", "newest", "oldest"]),
)
def test_pages_have_every_item_once_and_in_order(
    database: Database, ranks: list[float], limit: int, order: str
) -> None:
    with database.writing() as connection:
        connection.execute(delete(predictions))
    ids = put_in_queue(database, [Item(rank) for rank in ranks]) if ranks else []

    by_value = [one for _, one in sorted(zip(ranks, ids, strict=True))]
    expected = {"value": by_value, "newest": ids[::-1], "oldest": ids}[order]
    assert pages(database, limit=limit, order=order) == expected


def test_a_page_goes_on_where_the_last_one_ended_though_others_judge(database: Database) -> None:
    ids = put_in_queue(database, [Item(-rank / 10) for rank in range(9)])
    first = {order: review_page(database, filters=ALL, order=order, limit=3) for order in ("value", "newest", "oldest")}

    judge(database, *ids_of(first["value"]), ids[0], ids[4])

    left = {order: review_page(database, filters=ALL, order=order, after=page.end) for order, page in first.items()}
    assert {order: ids_of(page) for order, page in left.items()} == {
        "value": [ids[5], ids[3], ids[2], ids[1]],
        "newest": [ids[5], ids[3], ids[2], ids[1]],
        "oldest": [ids[3], ids[5]],
    }


def test_an_audit_is_shown_without_its_answer_until_it_is_judged(database: Database) -> None:
    audit, asked = put_in_queue(
        database, [Item(is_audit=True, heads={"priority": ("High", "auto"), "department": ("Sales", "review")}), Item()]
    )
    shown = {item.prediction_id: item for item in review_page(database, filters=ALL).items}
    assert (shown[audit].is_audit, shown[audit].predictions) == (True, None)
    assert shown[asked].predictions == {
        "priority": {
            "label": "High",
            "confidence": 0.5,
            "decision": "suggest",
            "reasons": ["low_confidence"],
            "alternatives": [{"label": "Low", "confidence": 0.25}],
        },
        "department": {
            "label": "Sales",
            "confidence": 0.5,
            "decision": "auto",
            "reasons": [],
            "alternatives": [{"label": "Low", "confidence": 0.25}],
        },
    }

    judge(database, audit)

    (judged,) = review_page(database, filters=ALL, state="judged").items
    assert judged.predictions is not None
    assert judged.predictions["priority"]["label"] == "High"


def test_no_filter_says_anything_about_an_audit_that_is_not_judged(database: Database) -> None:
    (audit,) = put_in_queue(
        database, [Item(is_audit=True, heads={"priority": ("High", "auto"), "department": ("Sales", "review")})]
    )

    for filters in (
        Filters(head="priority"),
        Filters(label="High"),
        Filters(label="Low"),
        Filters(decision="auto"),
        Filters(decision="review"),
        Filters(head="priority", label="High", decision="auto"),
    ):
        assert ids_of(review_page(database, filters=filters)) == []
    assert ids_of(claim_items(database, reviewer="mia", count=1, now_ms=NOW_MS)) == [audit]


def test_filters_ask_for_one_answer_that_fits_all_of_them(database: Database) -> None:
    high, low, odd = put_in_queue(
        database,
        [
            Item(heads={"priority": ("High", "suggest"), "department": ("Sales", "auto")}),
            Item(heads={"priority": ("Low", "review"), "department": ("Sales", "suggest")}),
            Item(heads={"urgency": ("High", "review")}),
        ],
    )

    def found(**asked: str) -> list[str]:
        return pages(database, filters=Filters(**asked), order="oldest", limit=1)

    assert found(label="High") == [high, odd]
    assert found(head="priority", label="High") == [high]
    assert found(decision="suggest") == [high, low]
    assert found(head="department", decision="suggest") == [low]
    assert found(head="priority") == [high, low]
    assert found(label="Sales", decision="review") == []
    assert found(head="x' OR 1=1 --") == []


def test_what_was_closed_without_a_judgement_is_neither_open_nor_judged(database: Database) -> None:
    put_in_queue(database, [Item(is_open=False)])

    assert pages(database) == []
    assert pages(database, state="judged") == []


def test_an_item_without_a_text_is_there_all_the_same(database: Database) -> None:
    put_in_queue(database, [Item(title=None, ticket_id="T-1")])

    (item,) = claim_items(database, reviewer="mia", count=5, now_ms=NOW_MS)

    assert (item.ticket_id, item.title, item.description) == ("T-1", None, None)


def test_a_reviewer_gets_new_items_each_time_and_another_reviewer_others(database: Database) -> None:
    ids = put_in_queue(database, [Item(-rank / 10) for rank in range(5, 0, -1)])

    given = [
        ids_of(claim_items(database, reviewer=reviewer, count=2, now_ms=NOW_MS)) for reviewer in ("mia", "leo", "mia")
    ]

    assert given == [ids[:2], ids[2:4], ids[4:]]
    assert claim_items(database, reviewer="leo", count=2, now_ms=NOW_MS) == []


def test_a_lease_that_has_ended_is_given_out_again(database: Database) -> None:
    put_in_queue(database, [Item()])
    first = claim_items(database, reviewer="mia", count=1, now_ms=NOW_MS)

    assert claim_items(database, reviewer="leo", count=1, now_ms=NOW_MS + LEASE_MS - 1) == []
    assert claim_items(database, reviewer="leo", count=1, now_ms=NOW_MS + LEASE_MS) == first


def test_a_skipped_item_goes_to_the_end_and_is_free_again(database: Database) -> None:
    best, middle, worst = put_in_queue(database, [Item(-1.0), Item(-0.2), Item(0.0)])
    claim_items(database, reviewer="mia", count=3, now_ms=NOW_MS)

    assert skip_item(database, middle, reviewer="mia")
    assert pages(database) == [best, worst, middle]
    assert skip_item(database, best, reviewer="mia")
    assert pages(database) == [worst, middle, best]
    assert skip_item(database, best, reviewer="mia")

    assert ids_of(claim_items(database, reviewer="leo", count=9, now_ms=NOW_MS)) == [middle, best]
    (newest,) = put_in_queue(database, [Item(0.0)])
    assert pages(database) == [worst, newest, middle, best]


def test_what_somebody_else_works_on_stays_theirs_when_it_is_skipped(database: Database) -> None:
    (item,) = put_in_queue(database, [Item()])
    claim_items(database, reviewer="mia", count=1, now_ms=NOW_MS)

    assert skip_item(database, item, reviewer="leo")

    assert claim_items(database, reviewer="leo", count=1, now_ms=NOW_MS) == []


def test_what_was_never_in_the_queue_cannot_be_skipped(database: Database) -> None:
    assert not skip_item(database, new_id(), reviewer="mia")


def test_twenty_reviewers_at_once_get_every_item_once(database: Database) -> None:
    n_items, n_reviewers = 5_000, 20
    expected = put_in_queue(database, [Item(-(number % 97) / 97) for number in range(n_items)])
    start = threading.Barrier(n_reviewers)

    def review(name: str) -> list[str]:
        mine: list[str] = []
        start.wait()
        while given := ids_of(claim_items(database, reviewer=name, count=10, now_ms=NOW_MS)):
            mine += given
        return mine

    with ThreadPoolExecutor(n_reviewers) as threads:
        claimed = list(threads.map(review, [f"reviewer-{number}" for number in range(n_reviewers)]))

    assert sorted(one for mine in claimed for one in mine) == sorted(expected)
    with database.reading() as connection:
        rows = connection.execute(text("SELECT prediction_id, reviewer FROM review_items")).all()
    assert {row.prediction_id: row.reviewer for row in rows} == {
        one: f"reviewer-{number}" for number, mine in enumerate(claimed) for one in mine
    }


def _plans(database: Database, work: Callable[[], object]) -> list[str]:
    """Return how the database does each statement of ``work`` that reads the queue in an order."""
    statements: list[tuple[str, object]] = []

    def remember(_: object, __: object, statement: str, parameters: object, *___: object) -> None:
        if "ORDER BY" in statement:
            statements.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", remember)
    try:
        work()
    finally:
        event.remove(Engine, "before_cursor_execute", remember)
    explain = "EXPLAIN QUERY PLAN" if database.kind == "sqlite" else "EXPLAIN"
    with database.reading() as connection:
        plans = [connection.exec_driver_sql(f"{explain} {sql}", parameters).all() for sql, parameters in statements]
    return ["\n".join(str(row[-1]) for row in plan) for plan in plans]


def test_no_page_and_no_claim_reads_or_sorts_the_whole_queue(database: Database) -> None:
    ids = put_in_queue(database, [Item(-(number % 97) / 97) for number in range(4_000)])
    judge(database, *ids[::4])
    with database.writing() as connection:
        connection.execute(text("ANALYZE"))

    def by_value() -> object:
        end = review_page(database, filters=ALL, limit=50).end
        return review_page(database, filters=Filters(label="High"), limit=50, after=end)

    works = {
        "ix_review_items_open": [by_value, lambda: claim_items(database, reviewer="mia", count=10, now_ms=NOW_MS)],
        "ix_review_items_open_by_time": [
            lambda: review_page(database, filters=ALL, order="newest"),
            lambda: review_page(database, filters=ALL, order="oldest"),
        ],
        "ix_review_items_closed_by_time": [lambda: review_page(database, filters=ALL, state="judged")],
    }
    for index, asked in works.items():
        plans = [plan for work in asked for plan in _plans(database, work)]
        assert len(plans) >= len(asked)
        for plan in plans:
            assert re.search(rf"\b{index}\b", plan), plan
            assert not re.search(r"TEMP B-TREE|Sort|Seq Scan|SCAN review_items(?! USING)", plan), plan

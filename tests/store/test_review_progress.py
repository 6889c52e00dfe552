"""What was reviewed today, what waits, and what a reviewer said last, on both databases."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from app.store.database import Database
from app.store.feedback import record
from app.store.ids import milliseconds_of
from app.store.judgement import Remark
from app.store.migration import upgrade
from app.store.review_progress import Progress, last_judgements, read_progress
from app.store.taking_back import take_back
from tests.review_items import Item, put_in_queue
from tests.store.desk import JUDGE, Reviewer


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with contextlib.closing(Database(store_url)) as database:
        upgrade(database)
        yield database


def test_an_empty_store_has_nothing_to_tell(database: Database) -> None:
    assert read_progress(database, "mia", since_ms=0) == Progress(0, 0, 0, 0, None)
    assert last_judgements(database, "mia", since_ms=0) == []


def test_what_people_read_is_counted_apart_from_what_nobody_read(database: Database) -> None:
    ids = put_in_queue(database, [Item() for _ in range(8)])
    mia, leo, nobody = Reviewer(database), Reviewer(database, "leo"), Reviewer(database, None)
    said = [mia.judge(ids[0]), mia.judge(ids[1]), leo.judge(ids[2]), nobody.judge(ids[3])]
    take_back(database, said[0], now_ms=1, keeps_text=True)
    for item, source, together in ((ids[4], "helpdesk", False), (ids[5], "review", True)):
        remark = Remark({"priority": "High"}, source, prediction_id=item, reviewer="mia", accepted_together=together)
        record(database, [remark], judge=JUDGE, keeps_text=True)

    assert read_progress(database, "mia", since_ms=0) == Progress(1, 3, 1, 3, milliseconds_of(ids[0]))
    assert read_progress(database, None, since_ms=0) == Progress(1, 3, 1, 3, milliseconds_of(ids[0]))
    later = milliseconds_of(said[-1]) + 60_000
    assert read_progress(database, "mia", since_ms=later) == Progress(0, 0, 0, 3, milliseconds_of(ids[0]))


def test_the_last_ten_judgements_are_a_reviewers_own_and_may_still_be_taken_back(database: Database) -> None:
    ids = put_in_queue(database, [Item(ticket_id=f"T-{number}") for number in range(14)])
    mia, leo = Reviewer(database), Reviewer(database, "leo")
    said = [mia.judge(item) for item in ids[:12]]
    leo.judge(ids[12])
    mia.take_back(said[-1])

    last = last_judgements(database, "mia", since_ms=0)

    assert [one.feedback_id for one in last] == said[1:11][::-1]
    assert (last[0].prediction_id, last[0].ticket_id, last[0].title) == (ids[10], "T-10", "Server is down")
    assert last[0].labels == {"priority": "High"}
    assert last_judgements(database, "mia", since_ms=milliseconds_of(said[-1]) + 60_000) == []

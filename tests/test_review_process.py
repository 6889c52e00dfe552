"""Twenty reviewers at two worker processes: every item of the queue is given to exactly one of them."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from app.keys import hash_key
from app.store.database import Database
from app.store.migration import upgrade
from tests.conftest import StartProcess
from tests.review_items import Item, put_in_queue

N_ITEMS = 5_000
REVIEWERS = tuple(f"reviewer-{number}" for number in range(20))
# Twice as many as everybody needs, so that a service that gives out items for ever fails the test.
MOST_CLAIMS = 2 * N_ITEMS // 25


@pytest.mark.slow
def test_twenty_reviewers_at_two_workers_get_every_item_once(start_process: StartProcess, store_url: str) -> None:
    database = Database(store_url)
    upgrade(database)
    expected = put_in_queue(database, [Item(-(number % 97) / 97) for number in range(N_ITEMS)])
    database.close()
    keys = ",".join(f"{name}:{hash_key(name)}" for name in REVIEWERS)
    service = start_process("--workers", "2", STORE_URL=store_url, REVIEWER_API_KEYS=keys)

    def review(name: str) -> list[str]:
        mine: list[str] = []
        # A connection for each claim, so that both workers are asked by everybody.
        headers = {"X-API-Key": name, "Connection": "close"}
        with httpx.Client(base_url=service.base_url, headers=headers, timeout=30) as client:
            for _ in range(MOST_CLAIMS):
                answer = client.post("/review/claim", json={"count": 25})
                assert answer.status_code == 200, answer.text
                given = [item["prediction_id"] for item in answer.json()["items"]]
                mine += given
                if not given:
                    return mine
        raise AssertionError(f"{name} was given items for ever")

    with ThreadPoolExecutor(len(REVIEWERS)) as threads:
        claimed = list(threads.map(review, REVIEWERS))

    counts = Counter(one for mine in claimed for one in mine)
    assert set(counts.values()) == {1}
    assert sorted(counts) == sorted(expected)
    assert service.stop() == 0

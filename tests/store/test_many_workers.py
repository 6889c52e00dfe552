"""Several workers on one file of SQLite: every answer is kept, and nobody who writes beside them finds it locked."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import insert

from app.store.database import Database
from app.store.ids import new_id
from app.store.tables import feedback
from tests.store.records import count, rows, wait_for_count

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartProcess

N_CLIENTS, N_BATCHES, N_TICKETS = 4, 50, 100
N_ANSWERS = N_CLIENTS * N_BATCHES * N_TICKETS
SECONDS = 60


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [2, 4])
def test_no_answer_and_no_judgement_is_lost_between_workers(
    start_process: StartProcess, tmp_path: Path, n_workers: int
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    service = start_process("--workers", str(n_workers), STORE_URL=url, AUDIT_SHARE="0.5")
    is_over = threading.Event()
    tickets = [{"title": f"server down {i}", "ticket_id": str(i)} for i in range(N_TICKETS)]

    def classify(_: int) -> list[str]:
        ids = []
        with httpx.Client(base_url=service.base_url, timeout=SECONDS) as client:
            for _ in range(N_BATCHES):
                answer = client.post("/classify/batch", json={"tickets": tickets})
                assert answer.status_code == 200, answer.text
                ids += [result["prediction_id"] for result in answer.json()["results"]]
        return ids

    def judge(database: Database) -> list[str]:
        ids = []
        while not is_over.wait(0.005):
            ids.append(new_id())
            with database.writing() as connection:
                connection.execute(insert(feedback).values(feedback_id=ids[-1], received_ms=0, source="api"))
        return ids

    with closing(Database(url)) as database, ThreadPoolExecutor(N_CLIENTS + 1) as threads:
        judging = threads.submit(judge, database)
        try:
            ids = [one for of_client in threads.map(classify, range(N_CLIENTS)) for one in of_client]
            wait_for_count(database, "predictions", N_ANSWERS)
        finally:
            is_over.set()
        assert sorted(ids) == [row["prediction_id"] for row in rows(database, "predictions")]
        assert count(database, "answers") == 2 * N_ANSWERS
        assert sum(row["n_answers"] for row in rows(database, "answer_counts")) == 2 * N_ANSWERS
        assert judging.result() == [row["feedback_id"] for row in rows(database, "feedback")]
    assert 'reason="queue_full"} 0.0' in httpx.get(f"{service.base_url}/metrics").text
    assert service.stop() == 0
    assert "locked" not in service.log()
    assert "cannot be used" not in service.log()

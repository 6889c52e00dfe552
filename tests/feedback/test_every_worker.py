"""What is withdrawn, is so on every worker of every replica, also of those that start while the store is away."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Final

import httpx
import psutil
import pytest

from app.keys import hash_key
from app.serving.registry import LoadedModel
from app.store.database import Database
from tests.feedback.judged import add_audits
from tests.in_process import TICKET
from tests.postgres import Postgres, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.conftest import StartProcess
    from tests.processes import ServiceProcess

pytestmark = pytest.mark.slow

ADMIN_KEY = "the-admin's-key"
_WITHIN_SECONDS: Final = 10.0
_WORKERS: Final = 2
# Each on a connection of its own: that a worker answers none of them, while the others answer all, is out of question.
_N_ASKED: Final = 40


@pytest.fixture
def start_replica(start_process: StartProcess, promising_dir: Path) -> Callable[[str], ServiceProcess]:
    def start(store_url: str) -> ServiceProcess:
        return start_process(
            "--workers",
            str(_WORKERS),
            MODELS_BASE_DIR=str(promising_dir),
            STORE_URL=store_url,
            ADMIN_API_KEYS=hash_key(ADMIN_KEY),
        )

    return start


def decisions(replicas: Sequence[ServiceProcess]) -> set[str]:
    """Return what so many answers of each replica said of the priority."""
    found = set()
    with httpx.Client(timeout=10, limits=httpx.Limits(max_keepalive_connections=0)) as client:
        for replica in replicas:
            for _ in range(_N_ASKED):
                answer = client.post(f"{replica.base_url}/classify", json=dict(TICKET)).json()
                found.add(answer["predictions"]["priority"]["decision"])
    return found


def seconds_until(replicas: Sequence[ServiceProcess], decision: str) -> float:
    started = time.monotonic()
    while (found := decisions(replicas)) != {decision}:
        assert time.monotonic() - started < 2 * _WITHIN_SECONDS, found
    return time.monotonic() - started


def break_promise(database: Database, models: Path, replica: ServiceProcess) -> None:
    answer = httpx.post(f"{replica.base_url}/classify", json=dict(TICKET), timeout=10).json()
    digest = LoadedModel.load(models / "v1.0.0").model_digest
    add_audits(database, digest, [False] * 20, label=answer["predicted_priority"])


def test_a_broken_promise_is_withdrawn_everywhere_in_ten_seconds_and_told_once(
    start_replica: Callable[[str], ServiceProcess], promising_dir: Path, store_url: str, database: Database
) -> None:
    replicas = [start_replica(store_url), start_replica(store_url)]
    assert decisions(replicas) == {"auto"}

    break_promise(database, promising_dir, replicas[0])

    assert seconds_until(replicas, "suggest") < _WITHIN_SECONDS
    told = [
        record
        for replica in replicas
        for record in replica.log_records()
        if record["message"] == "a promised precision is broken"
    ]
    assert [(record["level"], record["head"]) for record in told] == [("WARNING", "priority")]
    reset = httpx.post(f"{replicas[1].base_url}/model/promises/reset", headers={"X-API-Key": ADMIN_KEY}, timeout=10)
    assert reset.status_code == 200
    assert seconds_until(replicas, "auto") < _WITHIN_SECONDS
    # A replica that comes later knows it from the start.
    break_promise(database, promising_dir, replicas[0])
    assert seconds_until(replicas, "suggest") < _WITHIN_SECONDS
    assert decisions([start_replica(store_url)]) == {"suggest"}


@pytest.fixture
def cluster() -> Iterator[Postgres]:
    """Not the one that other tests share: it is stopped."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Postgres() as postgres:
        yield postgres


def worker_pids(replica: ServiceProcess) -> set[int]:
    return {child.pid for child in psutil.Process(replica.process.pid).children()}


def test_while_the_store_is_away_what_was_withdrawn_stays_so_also_on_workers_that_replace_others(
    start_replica: Callable[[str], ServiceProcess], promising_dir: Path, cluster: Postgres
) -> None:
    with cluster.database() as url:
        replica = start_replica(url)
        database = Database(url)
        break_promise(database, promising_dir, replica)
        database.close()
        seconds_until([replica], "suggest")

        cluster.stop()
        replaced = worker_pids(replica)
        for pid in replaced:
            os.kill(pid, signal.SIGKILL)
        replica.wait_for(lambda: len(worker_pids(replica) - replaced) == _WORKERS)
        replica.wait_until_live()

        assert decisions([replica]) == {"suggest"}
        answer = httpx.get(f"{replica.base_url}/model/promises", timeout=10)
        assert (answer.status_code, answer.json()["error"]) == (503, "store_unavailable")
        cluster.start()
        replica.wait_for(lambda: httpx.get(f"{replica.base_url}/model/promises", timeout=10).status_code == 200)
        assert decisions([replica]) == {"suggest"}

"""The service as processes whose store is away: it classifies, ends in its time, and finds the store again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.in_process import TICKET
from tests.postgres import Postgres, missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import StartProcess
    from tests.processes import ServiceProcess

pytestmark = pytest.mark.slow

# What docs/operations.md promises after draining, for which nobody waits here.
_END_SECONDS = 15


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    """Not the one that other tests share: these leave it no peace."""
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def url(cluster: Postgres) -> Iterator[str]:
    with cluster.database() as url:
        yield url


def store_status(service: ServiceProcess) -> str:
    # A new connection each time, so that both workers are asked.
    status: str = httpx.get(f"{service.base_url}/version", timeout=10).json()["store"]
    return status


def classify(service: ServiceProcess) -> int:
    return httpx.post(f"{service.base_url}/classify", json=dict(TICKET), timeout=10).status_code


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_service_starts_classifies_and_ends_while_postgres_is_frozen(
    workers: str, cluster: Postgres, url: str, start_process: StartProcess
) -> None:
    cluster.freeze()
    try:
        service = start_process("--workers", workers, STORE_URL=url)
        assert [classify(service) for _ in range(20)] == [200] * 20
        assert store_status(service) == "unreachable"
        asked_at = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - asked_at < _END_SECONDS
    finally:
        cluster.resume()


def test_the_service_ends_when_postgres_freezes_under_it(
    cluster: Postgres, url: str, start_process: StartProcess
) -> None:
    service = start_process("--workers", "2", STORE_URL=url)
    service.wait_for(lambda: store_status(service) == "postgresql")
    cluster.freeze()
    try:
        assert [classify(service) for _ in range(20)] == [200] * 20
        asked_at = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - asked_at < _END_SECONDS
    finally:
        cluster.resume()


def test_a_service_that_started_without_postgres_finds_it(
    cluster: Postgres, url: str, start_process: StartProcess
) -> None:
    cluster.stop()
    try:
        service = start_process("--workers", "2", STORE_URL=url)
        assert classify(service) == 200
        assert store_status(service) == "unreachable"
    finally:
        cluster.start()

    service.wait_for(lambda: {store_status(service) for _ in range(10)} == {"postgresql"})


def test_the_first_start_says_once_that_tables_were_made_and_nothing_of_how(
    tmp_path: Path, start_process: StartProcess
) -> None:
    service = start_process("--workers", "2", STORE_URL=f"sqlite:///{tmp_path / 'store.db'}")
    service.wait_for(lambda: {store_status(service) for _ in range(10)} == {"sqlite"})

    said = [record for record in service.log_records() if record["logger"].startswith(("alembic", "app.store"))]
    assert [record["message"] for record in said] == ["the tables of the store were made or changed"]

"""The Postgres of the tests' own does what tests of faults ask of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.postgres import Postgres, missing

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def cluster() -> Iterator[Postgres]:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def url(cluster: Postgres) -> Iterator[str]:
    with cluster.database() as url:
        yield url


def write(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (number integer)")
        connection.execute("INSERT INTO kept VALUES (7)")


def read(url: str) -> list[tuple[int, ...]]:
    with psycopg.connect(url, connect_timeout=5) as connection:
        return connection.execute("SELECT number FROM kept").fetchall()


def test_each_database_is_empty(cluster: Postgres, url: str) -> None:
    write(url)

    with cluster.database() as another, pytest.raises(psycopg.errors.UndefinedTable):
        read(another)


def test_what_was_answered_is_there_after_a_kill(cluster: Postgres, url: str) -> None:
    write(url)

    cluster.kill()
    with pytest.raises(psycopg.OperationalError):
        read(url)
    cluster.start()

    assert read(url) == [(7,)]


def test_it_stops_with_clients_connected_and_starts_again(cluster: Postgres, url: str) -> None:
    write(url)
    with psycopg.connect(url) as connected:
        cluster.restart()

        with pytest.raises(psycopg.OperationalError):
            connected.execute("SELECT 1")
    assert read(url) == [(7,)]


def test_frozen_it_answers_nobody_and_goes_on_where_it_was(cluster: Postgres, url: str) -> None:
    write(url)
    with psycopg.connect(url) as connected:
        cluster.freeze()
        try:
            # A socket that listens accepts in the kernel, so only the time-out of the answer ends this.
            with pytest.raises(psycopg.errors.ConnectionTimeout):
                psycopg.connect(url, connect_timeout=2)
        finally:
            cluster.resume()

        assert connected.execute("SELECT number FROM kept").fetchall() == [(7,)]


def test_it_can_be_ended_while_it_is_frozen() -> None:
    if (reason := missing()) is not None:
        pytest.skip(reason)
    with Postgres() as postgres:
        postgres.freeze()

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(postgres.url("postgres"), connect_timeout=5)


def test_an_empty_store_is_one_of_either_database(store_url: str) -> None:
    assert urlsplit(store_url).scheme in {"sqlite", "postgresql"}

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from app.store.database import Database
from app.store.migration import upgrade
from app.store.shared_secrets import shared_secret


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with closing(Database(store_url)) as database:
        upgrade(database)
        yield database


def test_who_asks_for_a_secret_at_the_same_time_gets_the_same(database: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        secrets = set(threads.map(lambda _: shared_secret(database, "console_sessions"), range(32)))

    (secret,) = secrets
    assert len(secret) == 32


def test_secrets_of_other_names_are_others(database: Database) -> None:
    assert shared_secret(database, "one") != shared_secret(database, "another")

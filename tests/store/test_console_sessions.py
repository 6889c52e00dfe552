from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.store.console_sessions import end_session, has_ended
from app.store.database import Database
from app.store.migration import upgrade

SESSION = "0123456789abcdef" * 2


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    with closing(Database(store_url)) as database:
        upgrade(database)
        yield database


def test_a_session_is_over_once_it_was_ended_however_often(database: Database) -> None:
    assert not has_ended(database, SESSION)

    for _ in range(2):
        end_session(database, SESSION, expires_ms=2_000, now_ms=1_000)

    assert has_ended(database, SESSION)
    assert not has_ended(database, "f" * 32)


def test_a_session_that_has_expired_is_forgotten_when_the_next_one_ends(database: Database) -> None:
    end_session(database, SESSION, expires_ms=2_000, now_ms=1_000)

    end_session(database, "f" * 32, expires_ms=9_000, now_ms=2_000)

    assert not has_ended(database, SESSION)
    assert has_ended(database, "f" * 32)

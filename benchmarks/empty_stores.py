"""Stores to measure with: a SQLite file in a temporary directory, or a database of a Postgres of one's own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.postgres import Postgres

STORES = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True)
class EmptyStore:
    url: str
    postgres: Postgres | None


@contextmanager
def empty_store(kind: str) -> Iterator[EmptyStore]:
    """Make one of ``STORES``, and remove it at the end."""
    if kind == "postgresql":
        with Postgres() as postgres, postgres.database() as url:
            yield EmptyStore(url, postgres)
    else:
        with tempfile.TemporaryDirectory() as directory:
            yield EmptyStore(f"sqlite:///{directory}/store.db", None)

"""A store that is there already, for commands that read it beside the service and must not make one by mistake."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from app.config import STORE_URLS, is_store_url
from app.store.database import Database, StoreUnavailableError
from app.store.migration import is_current

if TYPE_CHECKING:
    from collections.abc import Iterator


class NoStoreError(Exception):
    """There is no store to read; the message is one line that says what to do, without the URL's password."""


@contextmanager
def existing_store(url: str) -> Iterator[Database]:
    """Yield the database of ``url``; raise ``NoStoreError``, or ``StoreUnavailableError`` when it does not answer."""
    if not is_store_url(url):
        raise NoStoreError(f"the URL of the store is none of {STORE_URLS}")
    if url == "off":
        raise NoStoreError("STORE_URL is off, so there is no store: give the URL of one")
    try:
        database = Database(url)
    except ModuleNotFoundError as error:
        raise NoStoreError(
            f"the store needs the package {error.name}: pip install -r requirements-postgres.txt"
        ) from error
    try:
        if database.path is not None and not database.path.is_file():
            raise NoStoreError(f'there is no store at "{database.path}": give the STORE_URL of the service')
        if not is_current(database):
            raise NoStoreError(
                "the store does not have the tables of this release: run python -m app.store upgrade with its STORE_URL"
            )
        yield database
    except StoreUnavailableError as error:
        raise StoreUnavailableError(f"the store cannot be used: {error}") from None
    finally:
        database.close()

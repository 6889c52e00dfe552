"""Secrets that all workers and replicas share, and nobody else knows: made by the first that needs them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from sqlalchemy import select

from app.store.insertion import insert_new
from app.store.tables import service_secrets

if TYPE_CHECKING:
    from app.store.database import Database

_SECRET_BYTES: Final = 32


def shared_secret(database: Database, name: str) -> bytes:
    """Return the secret of this name, which never changes; raise ``StoreUnavailableError``."""
    ask = select(service_secrets.c.value).where(service_secrets.c.name == name)
    with database.reading() as connection:
        value = connection.execute(ask).scalar_one_or_none()
    if value is None:
        with database.writing() as connection:
            made = {"name": name, "value": secrets.token_hex(_SECRET_BYTES)}
            connection.execute(insert_new(database.kind, service_secrets).values(made))
            value = connection.execute(ask).scalar_one()
    return bytes.fromhex(value)

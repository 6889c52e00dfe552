from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.store.database import Database
from app.store.migration import upgrade
from tests.feedback.judged import write_promising

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import WriteModel


@pytest.fixture
def promising_dir(tmp_path: Path, write_model: WriteModel) -> Path:
    """A models directory whose v1.0.0 promises a precision of 0.95 for both heads."""
    write_promising(write_model, tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    """The database of the store, beside the service, with its tables."""
    database = Database(store_url)
    upgrade(database)
    yield database
    database.close()

"""What every test of a connector starts with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartService
from tests.connectors.connected import StartConnected, connecting


@pytest.fixture
def start_connected(
    start_service: StartService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StartConnected]:
    """Start the service in this process with a connector called ``desk``."""
    with connecting(start_service, tmp_path, monkeypatch) as start:
        yield start

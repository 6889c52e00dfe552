"""The command that kills the service between deliveries and what is written back: a few rounds of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import connector_kills
from benchmarks.results import read_result
from tests.postgres import missing

# What a killed process was at is left alone until its lease ends.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


@pytest.mark.parametrize("store", connector_kills.STORES)
def test_whoever_is_killed_every_ticket_is_written_once_and_none_is_lost(store: str, tmp_path: Path) -> None:
    if store == "postgresql" and (reason := missing()) is not None:
        pytest.skip(reason)

    assert connector_kills.main(["--rounds", "5", "--store", store, "--keep", str(tmp_path)]) == 0

    figures = read_result(tmp_path / "connector_kills.json").measured[store]
    assert figures["kills"] == 5
    assert figures["tickets"] >= 10
    assert figures["jobs_cut_off"] > 0
    faults = ("lost", "not_as_answered", "written_twice", "noted_twice", "classified_twice", "jobs_left")
    assert [figures[name] for name in faults] == [0] * len(faults)

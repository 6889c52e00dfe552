"""The commands that take the store away: a few rounds of each, which fail when a judgement or a ticket is lost."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from benchmarks import store_faults, store_kills
from benchmarks.results import read_result
from benchmarks.store_faults import FAULTS
from tests.postgres import missing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def skip_without(*, postgres: bool = False, mounts: bool = False) -> None:
    if postgres and (reason := missing()) is not None:
        pytest.skip(reason)
    private = ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",))]
    if mounts and subprocess.run([*private, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine does not allow mounts of one's own (unshare --mount)")


@pytest.mark.parametrize("store", store_kills.STORES)
def test_whoever_is_killed_no_acknowledged_judgement_is_lost(store: str, tmp_path: Path) -> None:
    skip_without(postgres=store == "postgresql")

    assert store_kills.main(["--rounds", "6", "--store", store, "--keep", str(tmp_path)]) == 0

    figures = read_result(tmp_path / "store_kills.json").measured[store]
    assert sum(figures["kills"].values()) == 6
    assert figures["acknowledged"] >= 12
    assert figures["lost"] == 0


@pytest.mark.parametrize("name", FAULTS)
def test_a_store_that_is_away_costs_no_ticket_and_comes_back(name: str, tmp_path: Path) -> None:
    skip_without(postgres=name.startswith("Postgres"), mounts="full" in name or "read-only" in name)

    assert store_faults.main(["--rounds", "1", "--seconds", "4", "--only", name, "--keep", str(tmp_path)]) == 0

    figures = read_result(tmp_path / "store_faults.json").measured["faults"][name]
    assert figures["classified"] > 1000
    assert figures["server_errors"] == figures["refusals_without_retry_after"] == 0
    assert figures["other_statuses"] == []

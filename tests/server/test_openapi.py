"""Requests made from the OpenAPI document, valid and not: every answer is one that the document describes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.processes import ServiceProcess

N_CASES = 5
SEED = 7


@pytest.mark.slow
def test_every_answer_is_one_that_the_document_describes(server: ServiceProcess, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.base_url}/openapi.json", "--checks", "all"]
    limits = ["--max-examples", str(N_CASES), "--seed", str(SEED), "--phases", "coverage,fuzzing"]

    result = subprocess.run([*command, *limits], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110)

    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]

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
SECONDS = 400
# What the model has for heads and labels, and what came under a key before, no schema can say.
CONFIGURATION = """
[[operations]]
include-name = "POST /feedback"

[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]

[[operations]]
include-name = "POST /explain"

[operations.checks]
positive_data_acceptance.expected-statuses = ["2xx", "422"]
"""


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 10)
def test_every_answer_is_one_that_the_document_describes(server: ServiceProcess, tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION, encoding="utf-8")
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.base_url}/openapi.json", "--checks", "all"]
    limits = ["--max-examples", str(N_CASES), "--seed", str(SEED), "--phases", "coverage,fuzzing"]

    result = subprocess.run(
        [*command, *limits], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=SECONDS
    )

    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]

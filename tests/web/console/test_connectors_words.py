from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.connectors.connector import Connector
from app.connectors.connector_file import read_connectors
from app.store.connector_views import OutboxJob, Standing
from app.web.console.connectors_words import ShownJob, duration, jobs_in_words
from tests.store.jobs import CONTENT

NOW_MS = 1_000_000
JOB = OutboxJob("0" * 36, "desk", "7", "write", CONTENT, "waiting", 1, NOW_MS, 0, None, None)


@pytest.fixture
def connector(tmp_path: Path) -> Connector:
    path = tmp_path / "connectors.toml"
    path.write_text('[desk]\ntype = "generic"\nsecret_env = "SECRET"\nlabels.priority.High = "2"\n', encoding="utf-8")
    (connector,) = read_connectors(path, {"SECRET": "a secret of the helpdesk"})
    return connector


def said(connector: Connector, job: OutboxJob, *, paused_until_ms: int = 0) -> ShownJob:
    standings = {"desk": Standing(paused_until_ms, 0, None, None, 0)}
    (shown,) = jobs_in_words([job], connectors=[connector], standings=standings, now_ms=NOW_MS)
    return shown


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(-5, "1 s"), (0, "1 s"), (1_999, "1 s"), (59_999, "59 s"), (250_000, "4 min"), (7_200_000, "2 h"), (9e7, "1 d")],
)
def test_a_duration_is_said_in_its_largest_unit(milliseconds: float, words: str) -> None:
    assert duration(int(milliseconds)).replace("\u00a0", " ") == words


def test_what_is_to_be_written_is_said_in_the_words_of_the_helpdesk(connector: Connector) -> None:
    assert said(connector, JOB).what == ["set priority to 2", "suggest Sales for department"]
    assert said(connector, replace(JOB, kind="classify", content="{}")).what == ["fetch the ticket, to be classified"]


def test_the_next_attempt_is_when_it_is_due_and_the_helpdesk_may_be_asked(connector: Connector) -> None:
    assert said(connector, JOB).when == "as soon as it is its turn"
    assert said(connector, JOB, paused_until_ms=NOW_MS + 5_000).when == "in 5\u00a0s"
    assert said(connector, replace(JOB, due_ms=NOW_MS + 9_000), paused_until_ms=NOW_MS + 5_000).when == "in 9\u00a0s"
    assert said(connector, replace(JOB, leased_until_ms=NOW_MS + 1)).when == "under way"
    assert said(connector, replace(JOB, state="done")).when == ""


def test_a_job_of_a_connector_that_is_gone_is_left_out(connector: Connector) -> None:
    assert jobs_in_words([replace(JOB, connector="old")], connectors=[connector], standings={}, now_ms=NOW_MS) == []

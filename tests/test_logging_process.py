"""The log of the real process, and of failures on a ticket's way."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.logging_utils import MAX_LINE_BYTES
from tests.in_process import TICKET

if TYPE_CHECKING:
    from tests.conftest import StartProcess, StartService
    from tests.processes import ServiceProcess

FIELDS = {"level", "logger", "message", "time", "request_id"}
CANARY = "canary-4711"


def send_raw(process: ServiceProcess, content: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(process.base_url.rsplit(":", 1)[1])), timeout=10) as connection:
        connection.sendall(content)
        while connection.recv(65_536):
            pass


def worker_pids(process: ServiceProcess) -> list[int]:
    starts = [re.search(r"Started server process \[(\d+)\]", record["message"]) for record in process.log_records()]
    return [int(found[1]) for found in starts if found]


def check_lines(process: ServiceProcess) -> list[dict[str, Any]]:
    content = process.log_path.read_bytes()
    assert content.endswith(b"\n")
    for line in content.splitlines(keepends=True):
        assert len(line) <= MAX_LINE_BYTES
        assert set(json.loads(line)) >= FIELDS
    return process.log_records()


def test_workers_and_their_parent_write_json_whatever_happens_to_them(start_process: StartProcess) -> None:
    # Warnings of libraries come before the log is set up, and at the end of the process.
    process = start_process("--workers", "2", DRAIN_SECONDS="0", LOG_LEVEL="debug", PYTHONWARNINGS="always")
    process.wait_for(lambda: len(worker_pids(process)) == 2)

    os.kill(worker_pids(process)[0], signal.SIGKILL)
    process.process.send_signal(signal.SIGHUP)
    process.wait_for(lambda: len(worker_pids(process)) == 3)
    send_raw(process, b"\x16\x03\x01 what is this\r\n\r\n")
    httpx.get(f"{process.base_url}/{'%F0%9F%98%80' * 500}")
    assert process.stop() == 0

    records = check_lines(process)
    assert "a worker died and is replaced" in {record["message"] for record in records}
    (long,) = [record for record in records if len(record.get("path", "")) > 100]
    assert long["path"] == "/" + "\U0001f600" * 255


def test_every_answer_has_one_line_wherever_it_was_made(start_process: StartProcess) -> None:
    process = start_process("--workers", "2", DRAIN_SECONDS="0", MAX_BODY_BYTES="1000", RATE_LIMIT_REQUESTS="60")
    with httpx.Client(base_url=process.base_url) as client:
        answers = [
            client.request(method, path, headers={"X-Request-ID": f"id-{i}-{j}"}, content=content)
            for i, (method, path) in enumerate(
                [("GET", "/"), ("POST", "/classify"), ("HEAD", "/health"), ("DELETE", "/classify"), ("GET", "/nope")]
            )
            for j, content in enumerate([b"", b"{", b"x" * 2_000, json.dumps(dict(TICKET)).encode()])
        ]
    process.stop()

    lines = {
        record["request_id"]: record
        for record in check_lines(process)
        if record["message"] == "request completed" and record["request_id"].startswith("id-")
    }
    assert len(lines) == len([r for r in process.log_records() if str(r["request_id"]).startswith("id-")])
    assert {key: record["status_code"] for key, record in lines.items()} == {
        answer.headers["x-request-id"]: answer.status_code for answer in answers
    }
    assert {answer.status_code for answer in answers} >= {200, 404, 405, 413, 415}


@dataclass(frozen=True)
class _FailingClassifier:
    """Quotes the ticket in its errors, as parsers do."""

    def predict(self, title: str, description: str) -> None:
        try:
            {}[description]
        except KeyError as error:
            raise ValueError(title, description) from error

    def predict_batch(self, titles: list[str], descriptions: list[str]) -> None:
        self.predict(titles[0], descriptions[0])


@dataclass(frozen=True)
class _FailingModel:
    classifier: _FailingClassifier
    version: str
    loaded_at: datetime


@dataclass(frozen=True)
class _FailingRegistry:
    current: _FailingModel


@pytest.mark.parametrize("structured", [True, False])
def test_a_canary_in_a_ticket_shows_nowhere_when_its_classification_fails(
    start_service: StartService,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    *,
    structured: bool,
) -> None:
    service = start_service(structured_logs=structured)
    # The client of this test logs addresses with their queries.
    caplog.set_level(logging.WARNING, logger="httpx")
    service.state["registry"] = _FailingRegistry(_FailingModel(_FailingClassifier(), "1.0.0", datetime.now(UTC)))
    ticket = {"title": CANARY, "description": f"{CANARY} " * 500, "customer_email": f"{CANARY}@example.com"}
    headers = {
        "X-API-Key": CANARY, "Authorization": f"Bearer {CANARY}", "Cookie": CANARY, "User-Agent": CANARY,
        "X-Request-ID": f"{CANARY} {CANARY}", "Referer": CANARY, "X-Forwarded-For": CANARY, f"X-{CANARY}": CANARY,
    }  # fmt: skip

    answers = [
        service.classify(ticket, headers=headers, path=f"/classify?{CANARY}={CANARY}"),
        service.classify({"tickets": [ticket] * 3}, headers=headers, path="/classify/batch"),
    ]
    invalid = ({**ticket, CANARY: CANARY}, {CANARY: CANARY}, [CANARY], CANARY, {**ticket, "title": [CANARY]})
    answers += [service.classify_bytes(json.dumps(body).encode(), headers=headers) for body in invalid]

    output = capsys.readouterr()
    assert [answer.status_code for answer in answers] == [500, 500, 422, 422, 422, 422, 422]
    assert CANARY not in output.out + output.err
    assert all(CANARY not in answer.text for answer in answers)
    assert output.out.count("builtins.ValueError") == 2
    assert output.out.count("builtins.KeyError") == 2
    assert output.err == ""

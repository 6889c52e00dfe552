"""``python -m app`` and ``uvicorn app.main:app`` as processes: start, port, signals, exit codes and raw connections."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.in_process import TICKET
from tests.processes import ROOT, clean_environment, free_port

if TYPE_CHECKING:
    from tests.conftest import StartProcess
    from tests.processes import ServiceProcess


def run(*command: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=clean_environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def exchange(process: ServiceProcess, request: bytes) -> bytes:
    """Send bytes, and return everything until the server closes."""
    with socket.create_connection(("127.0.0.1", int(process.base_url.rsplit(":", 1)[1])), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer


MISSPELT = "API_KEY is not a setting and has no effect: is API_KEYS meant?"


def warnings_of(process: ServiceProcess) -> list[str]:
    return [record["message"] for record in process.log_records() if record["level"] == "WARNING"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_open_address_without_a_key_and_a_misspelt_setting_are_each_told_once(
    start_process: StartProcess, workers: str
) -> None:
    process = start_process("--host", "0.0.0.0", "--workers", workers, API_KEY="secret")  # noqa: S104 - that is the case
    port = process.base_url.rpartition(":")[2]
    assert process.stop() == 0

    open_address = f'no key is asked on "0.0.0.0" port {port}: everybody who reaches it may classify'
    told = warnings_of(process)
    assert [message for message in told if "setting" in message] == [MISSPELT]
    assert [message.partition(";")[0] for message in told if "no key" in message] == [open_address]


@pytest.mark.parametrize(
    ("host", "variable"),
    [("0.0.0.0", "API_KEYS"), ("0.0.0.0", "REVIEWER_API_KEYS"), ("127.0.0.1", "MODEL_VERSION")],  # noqa: S104
)
def test_a_key_or_a_loopback_address_is_nothing_to_warn_of(
    start_process: StartProcess, host: str, variable: str
) -> None:
    values = {"API_KEYS": "0" * 64, "REVIEWER_API_KEYS": f"mia:{'0' * 64}", "MODEL_VERSION": "1.0.0"}
    process = start_process("--host", host, **{variable: values[variable]})
    assert process.stop() == 0

    assert warnings_of(process) == []


def test_a_misspelt_setting_is_told_under_another_server_too(start_process: StartProcess) -> None:
    process = start_process(command=("-m", "uvicorn", "app.main:app"), API_KEY="secret")
    process.stop()

    assert process.log().count(MISSPELT) == 1


def test_the_service_answers_and_ends_with_0_on_sigterm(start_process: StartProcess) -> None:
    process = start_process()

    answer = httpx.post(f"{process.base_url}/classify", json=dict(TICKET), headers={"X-Request-ID": "my-id"})
    exit_code = process.stop()

    assert answer.status_code == 200
    assert answer.json()["model_version"] == "1.0.0"
    assert answer.headers["x-request-id"] == "my-id"
    assert answer.headers["ratelimit-policy"] == '"default";q=1000000;w=60'
    assert "server" not in answer.headers
    assert exit_code == 0
    records = process.log_records()
    assert {"uvicorn.error", "app.serving.registry", "request"} <= {record["logger"] for record in records}
    assert [r["path"] for r in records if r["logger"] == "request" and r["request_id"] == "my-id"] == ["/classify"]


def test_host_and_port_come_from_the_environment_too(models_dir: Path) -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "app"],
        cwd=ROOT,
        env=clean_environment(HOST="127.0.0.1", PORT=str(port), MODELS_BASE_DIR=str(models_dir)),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        messages = []
        for line in process.stdout:
            messages.append(json.loads(line)["message"])
            if f"running on http://127.0.0.1:{port}" in messages[-1]:
                break
        process.terminate()
        process.stdout.read()

    assert "running on" in messages[-1]
    assert process.returncode == 0


def test_the_committed_model_answers_the_first_request(start_process: StartProcess) -> None:
    process = start_process(MODELS_BASE_DIR=str(ROOT / "models"))

    answer = httpx.post(f"{process.base_url}/classify", json=dict(TICKET)).json()

    assert (answer["predicted_priority"], answer["predicted_department"]) == ("Urgent", "Tech Support")
    assert httpx.get(f"{process.base_url}/version").json()["degraded"] is False


def test_two_workers_answer_and_end_together(start_process: StartProcess) -> None:
    process = start_process("--workers", "2")

    codes = [httpx.post(f"{process.base_url}/classify", json=dict(TICKET)).status_code for _ in range(10)]

    assert codes == [200] * 10
    assert process.stop() == 0
    pids = [r["message"] for r in process.log_records() if r["message"].startswith("Started server process")]
    assert len(set(pids)) == 2


def test_without_a_model_it_starts_and_is_not_ready(start_process: StartProcess, tmp_path: Path) -> None:
    process = start_process(MODELS_BASE_DIR=str(tmp_path))

    answers = {
        path: httpx.get(f"{process.base_url}{path}").status_code
        for path in ("/health/live", "/health/ready", "/version", "/model/status", "/metrics")
    }

    assert answers == {
        "/health/live": 200,
        "/health/ready": 503,
        "/version": 200,
        "/model/status": 200,
        "/metrics": 200,
    }
    assert httpx.post(f"{process.base_url}/classify", json=dict(TICKET)).json()["error"] == "model_not_loaded"


def test_a_port_that_is_taken_ends_with_1() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("-m", "app", "--port", str(taken.getsockname()[1]))

    assert result.returncode == 1
    assert "address already in use" in result.stdout


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port", "x"], ["--workers", "0"], ["--nope"], ["extra"]])
def test_bad_usage_ends_with_2(arguments: list[str]) -> None:
    result = run("-m", "app", *arguments)

    assert result.returncode == 2
    assert arguments[-1] in result.stderr


def test_help_ends_with_0() -> None:
    result = run("-m", "app", "--help")

    assert result.returncode == 0
    assert "--workers" in result.stdout


@pytest.mark.parametrize(
    "command",
    [["-m", "app"], ["-m", "app", "--workers", "2"], ["-m", "uvicorn", "app.main:app"], ["-m", "uvicorn", "main:app"]],
)
def test_a_malformed_setting_ends_the_start_with_2_and_one_line(command: list[str]) -> None:
    result = run(*command, RATE_LIMIT_REQUESTS="none")

    assert result.returncode == 2
    assert result.stderr.splitlines() == ['RATE_LIMIT_REQUESTS "none" is not a whole number from 1 to 1000000']


@pytest.mark.parametrize("application", ["app.main:app", "main:app"])
def test_plain_uvicorn_serves_the_same_with_the_same_logs(start_process: StartProcess, application: str) -> None:
    process = start_process(command=("-m", "uvicorn", application))

    answers = [
        httpx.post(f"{process.base_url}/classify", json=dict(TICKET), headers={"X-Forwarded-For": "198.51.100.7"})
        for _ in range(2)
    ]
    process.stop()

    assert [answer.status_code for answer in answers] == [200, 200]
    # The forwarded address is not believed, so both requests are counted for the same client.
    assert answers[1].headers["ratelimit"].startswith('"default";r=999998;')
    application_lines = [line for line in process.log().splitlines() if line.startswith("{")]
    assert [json.loads(line)["path"] for line in application_lines if '"request completed"' in line].count(
        "/classify"
    ) == 2


def test_a_body_declared_beyond_the_limit_is_refused_without_waiting_for_it(start_process: StartProcess) -> None:
    process = start_process()

    answer = exchange(
        process,
        b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999999\r\n\r\n",
    )

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in answer
    assert b"x-request-id: " in answer.lower()


def test_a_chunked_body_is_refused_at_the_limit(start_process: StartProcess) -> None:
    process = start_process(MAX_BODY_BYTES="1000")
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

    answer = exchange(process, head + b"3e9\r\n" + b" " * 1001 + b"\r\n")

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"body_too_large"' in answer


def test_two_lengths_at_once_are_refused(start_process: StartProcess) -> None:
    process = start_process()
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"

    assert exchange(process, head).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"canary\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /classify HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http_is_answered_in_the_one_error_shape(start_process: StartProcess, request_bytes: bytes) -> None:
    process = start_process()

    head, _, body = exchange(process, request_bytes).partition(b"\r\n\r\n")
    process.stop()

    content = json.loads(body)
    assert head.startswith(b"HTTP/1.1 400 ")
    assert set(content) == {"detail", "code", "error", "request_id"}
    assert content["code"] == "HTTP_400"
    assert f"x-request-id: {content['request_id']}".encode() in head.lower()
    lines = [r for r in process.log_records() if r["logger"] == "request" and r["request_id"] == content["request_id"]]
    assert [line["status_code"] for line in lines] == [400]


def test_a_client_that_leaves_in_the_middle_of_its_body_is_no_failure(start_process: StartProcess) -> None:
    process = start_process()
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n"

    with socket.create_connection(("127.0.0.1", int(process.base_url.rsplit(":", 1)[1])), timeout=10) as connection:
        connection.sendall(head + b'{"title": "ser')
    answer = httpx.post(f"{process.base_url}/classify", json=dict(TICKET))
    exit_code = process.stop()

    assert answer.status_code == 200
    assert exit_code == 0
    assert {record["level"] for record in process.log_records()} == {"INFO"}
    assert [r["status_code"] for r in process.log_records() if r.get("path") == "/classify"] == [200]


def test_head_has_the_headers_of_get_and_no_body(start_process: StartProcess) -> None:
    process = start_process()

    answer = exchange(process, b"HEAD /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"x-request-id: " in head
    assert body == b""


def test_a_canary_in_every_place_of_a_request_never_reaches_the_log(start_process: StartProcess) -> None:
    process = start_process()
    headers = {"X-API-Key": "canary", "Authorization": "Bearer canary", "Cookie": "canary", "User-Agent": "canary"}
    bodies = (
        {"title": "canary", "description": "canary", "customer_email": "canary@example.com"},
        {"title": "canary", "description": "canary", "customer_email": "canary"},
        {"canary": "canary"},
        ["canary"],
    )

    for body in bodies:
        httpx.post(f"{process.base_url}/classify?canary=canary", json=body, headers=headers)
    httpx.post(f"{process.base_url}/classify", content=b'{"canary', headers={"Content-Type": "application/json"})
    exchange(process, b"canary canary canary\r\n\r\n")
    process.stop()

    assert len([r for r in process.log_records() if r["logger"] == "request" and r["path"] == "/classify"]) == 5
    assert "canary" not in process.log()

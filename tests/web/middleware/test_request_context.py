from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import StreamingResponse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from tests.conftest import Service, StartService

ERROR_KEYS = {"detail", "code", "error", "request_id"}


@pytest.fixture
def failing(service: Service) -> Service:
    async def fail() -> None:
        message = "canary-in-message"
        raise RuntimeError(message)

    service.app.add_api_route("/fail", fail, methods=["GET"])
    return service


def log_lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def requests_of(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["logger"] == "request"]


@pytest.mark.parametrize("request_id", ["a", "A-Z.0_9", "x" * 128])
def test_an_id_of_valid_form_is_kept(service: Service, request_id: str) -> None:
    assert service.get("/", headers={"X-Request-ID": request_id}).headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a b", "ä", 'a"b', "a,b", "../x"])
def test_another_id_is_replaced(service: Service, request_id: str) -> None:
    sent = service.get("/nope", headers={"X-Request-ID": request_id.encode()})

    assert sent.headers["x-request-id"] != request_id
    assert len(sent.headers["x-request-id"]) == 32
    assert sent.json()["request_id"] == sent.headers["x-request-id"]


def test_every_answer_has_an_id_of_its_own(service: Service) -> None:
    ids = {service.get("/").headers.get_list("x-request-id")[0] for _ in range(20)}

    assert len(ids) == 20


def test_every_answer_has_one_log_line(failing: Service, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [
        failing.get("/"),
        failing.get("/nope?secret=canary"),
        failing.get("/classify"),
        failing.classify(),
        failing.classify({}),
        failing.get("/fail"),
    ]

    lines = requests_of(log_lines(capsys))
    assert [line["status_code"] for line in lines] == [200, 404, 405, 200, 422, 500]
    assert [line["request_id"] for line in lines] == [answer.headers["x-request-id"] for answer in answers]
    assert [line["path"] for line in lines] == ["/", "/nope", "/classify", "/classify", "/classify", "/fail"]
    for line in lines:
        assert line["message"] == "request completed"
        assert line["level"] == "INFO"
        assert line["latency_ms"] > 0
        assert isinstance(line["time"], int)
        assert set(line) - {"error"} == {
            "level", "logger", "message", "time", "request_id", "path", "method", "status_code", "latency_ms",
        }  # fmt: skip


def test_a_failure_is_answered_and_logged_with_its_place_but_not_its_message(
    failing: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    response = failing.get("/fail")

    lines = log_lines(capsys)
    tracebacks = [line for line in lines if "traceback" in line]
    assert response.status_code == 500
    assert set(response.json()) == ERROR_KEYS
    assert response.json()["error"] == "internal_error"
    assert response.json()["request_id"] == response.headers["x-request-id"] == tracebacks[0]["request_id"]
    assert "builtins.RuntimeError" in tracebacks[0]["traceback"]
    assert "in fail" in tracebacks[0]["traceback"]
    assert "canary" not in json.dumps(lines) + response.text


def test_an_answer_that_fails_half_way_is_logged_with_the_status_it_began_with(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError

    async def answer(_: Request) -> StreamingResponse:
        return StreamingResponse(half())

    service.app.add_route("/half/way", answer)
    # The client asserts that an answer is complete, and this one is not.
    with contextlib.suppress(AssertionError):
        service.get("/half/way")

    lines = log_lines(capsys)
    assert [line["status_code"] for line in requests_of(lines)] == [200]
    assert any("RuntimeError" in line.get("traceback", "") for line in lines)


def test_a_long_path_is_cut_in_the_log(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.get("/" + "\U0001f600" * 2_000)

    (line,) = [line for line in capsys.readouterr().out.splitlines() if '"request"' in line]
    assert len(json.loads(line)["path"]) == 256
    assert len(line) < 4096


def test_readable_logs_have_the_same_facts(start_service: StartService, capsys: pytest.CaptureFixture[str]) -> None:
    service = start_service(structured_logs=False)
    capsys.readouterr()

    request_id = service.get("/nope").headers["x-request-id"]

    (line,) = [line for line in capsys.readouterr().out.splitlines() if " request [" in line]
    assert f"[{request_id}] GET '/nope' 404" in line


def test_the_level_silences_request_lines(start_service: StartService, capsys: pytest.CaptureFixture[str]) -> None:
    service = start_service(log_level="WARNING")
    service.get("/")

    assert requests_of(log_lines(capsys)) == []

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.logging_utils import (
    MAX_LINE_BYTES,
    JsonFormatter,
    RequestLog,
    StdoutHandler,
    configure_logging,
    describe_exception,
    request_id_var,
)

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def configured() -> None:
    configure_logging("INFO", structured=True)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("name", ["anything", "app.serving.registry", "uvicorn", "uvicorn.error", "asyncio", "httpx"])
def test_every_logger_writes_one_json_object_a_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger(name).warning("a %s with\na line break", "message", extra={"port": 8000})

    (line,) = lines(capsys)
    assert isinstance(line.pop("time"), int)
    assert line == {
        "level": "WARNING",
        "logger": name,
        "message": "a message with\na line break",
        "request_id": None,
        "port": 8000,
    }


def test_configuring_again_does_not_double_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", structured=True)
    logging.getLogger("anything").info("once")

    assert len(lines(capsys)) == 1


def test_lines_within_a_request_have_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    token = request_id_var.set("the-id")
    logging.getLogger("anything").info("inside")
    request_id_var.reset(token)

    assert lines(capsys)[0]["request_id"] == "the-id"


def test_warnings_are_logged() -> None:
    program = """
import warnings
from app.logging_utils import configure_logging
configure_logging("INFO", structured=True)
warnings.warn("take care")
"""
    output = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)

    (line,) = output.stdout.splitlines()
    assert json.loads(line)["logger"] == "py.warnings"
    assert "take care" in json.loads(line)["message"]
    assert output.stderr == b""


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("ERROR", structured=True)
    logging.getLogger("anything").warning("not worth it")
    logging.getLogger("anything").error("worth it")

    assert [line["message"] for line in lines(capsys)] == ["worth it"]


def test_readable_lines_have_the_traceback_below(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", structured=False)
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("anything").exception("failed", extra={"step": "one"})

    output = capsys.readouterr().out.splitlines()
    assert output[0].endswith("ERROR    anything [-] failed step=one")
    assert output[1] == "builtins.ZeroDivisionError"
    assert output[2].endswith("in test_readable_lines_have_the_traceback_below")


def test_a_traceback_is_part_of_the_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        _ = 1 // 0
    except ZeroDivisionError:
        logging.getLogger("anything").exception("failed")

    (line,) = lines(capsys)
    assert str(line["traceback"]).startswith("builtins.ZeroDivisionError\n")
    assert "in test_a_traceback_is_part_of_the_one_line" in str(line["traceback"])
    assert "exc_info" not in line


@given(
    message=st.text(max_size=6_000) | st.just("\U0001f600" * 20_000),
    extra=st.dictionaries(st.sampled_from(["path", "reason", "other"]), st.text(max_size=5_000) | st.integers()),
)
def test_no_line_is_longer_than_four_kilobytes(message: str, extra: dict[str, object]) -> None:
    record = logging.makeLogRecord({"name": "any", "msg": message, "levelname": "INFO", **extra})

    line = JsonFormatter().format(record)

    assert len(line.encode()) + 1 <= MAX_LINE_BYTES == 4096
    assert "\n" not in line
    assert json.loads(line)["logger"] == "any"


def test_a_deep_traceback_keeps_its_first_and_last_lines(capsys: pytest.CaptureFixture[str]) -> None:
    def deep(n: int) -> None:
        if n == 0:
            raise ValueError("canary")
        try:
            deep(n - 1)
        except ValueError as error:
            raise LookupError from error

    try:
        deep(200)
    except LookupError:
        logging.getLogger("anything").exception("failed")

    output = capsys.readouterr().out
    traceback = json.loads(output)["traceback"]
    assert len(output.encode()) <= 4096
    assert traceback.startswith("builtins.LookupError\n")
    assert traceback.endswith("in deep\n")
    assert traceback.count("builtins.ValueError") == 1
    assert "canary" not in output


def test_a_described_exception_has_types_and_places_but_no_messages() -> None:
    try:
        try:
            _ = {}["canary"]
        except KeyError as cause:
            raise RuntimeError("canary") from cause
    except RuntimeError as error:
        description = describe_exception(error)

    assert "builtins.RuntimeError" in description
    assert "caused by\nbuiltins.KeyError" in description
    assert __file__ in description
    assert "canary" not in description


def test_an_error_of_the_system_keeps_what_the_system_says() -> None:
    try:
        Path("/nonexistent/canary").read_bytes()
    except OSError as error:
        description = describe_exception(error)

    assert description.startswith("builtins.FileNotFoundError [2] No such file or directory\n")
    assert "canary" not in description


def test_a_log_call_with_arguments_that_do_not_fit_is_still_one_line() -> None:
    result = run_program("import logging\nlogging.getLogger('any').warning('%d tickets', 'canary')")

    (line,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert line["level"] == "ERROR"
    assert line["message"] == "a log call in <string>:4 failed with TypeError"
    assert "canary" not in result.stdout + result.stderr


def test_many_small_fields_do_not_make_a_long_line(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("anything").warning("many", extra={f"field{i}": i for i in range(2_000)})

    (line,) = lines(capsys)
    assert set(line) == {"level", "logger", "message", "time", "request_id"}
    assert line["message"] == "many"


@given(
    path=st.text(max_size=2_000),
    method=st.text(st.characters(codec="ascii", categories=["Lu"]), min_size=1, max_size=300),
    request_id=st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True),
    status=st.integers(100, 599),
    error=st.none() | st.sampled_from(["not_found", "internal_error"]),
)
def test_the_line_of_a_request_is_what_the_formatter_would_have_made(
    path: str, method: str, request_id: str, status: int, error: str | None
) -> None:
    handler = StdoutHandler()
    handler.setFormatter(JsonFormatter())
    with contextlib.redirect_stdout(io.StringIO()) as output:
        RequestLog(handler).completed(
            request_id=request_id, method=method, path=path, status_code=status, latency_ms=1.5, error=error
        )
    line = output.getvalue()
    direct = json.loads(line)
    extra = {
        "request_id": request_id,
        "path": path[:256],
        "method": method[:32],
        "status_code": status,
        "latency_ms": 1.5,
        **({} if error is None else {"error": error}),
    }
    record = logging.makeLogRecord(
        {"name": "request", "levelname": "INFO", "msg": "request completed", "created": direct["time"] / 1000, **extra}
    )
    formatted = json.loads(JsonFormatter().format(record))

    assert list(direct) == list(formatted)
    assert abs(direct.pop("time") - formatted.pop("time")) <= 1
    assert direct == formatted
    assert line.endswith("}\n")
    assert line.count("\n") == 1
    assert len(line.encode()) <= MAX_LINE_BYTES


def run_program(program: str) -> subprocess.CompletedProcess[str]:
    prologue = "from app.logging_utils import configure_logging\nconfigure_logging('INFO', structured=True)\n"
    return subprocess.run(
        [sys.executable, "-c", prologue + program], cwd=ROOT, capture_output=True, check=False, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("raise RuntimeError('canary')", "uncaught exception"),
        (
            (
                "import threading\ndef fail(): raise RuntimeError('canary')\n"
                "thread = threading.Thread(target=fail); thread.start(); thread.join()"
            ),
            "uncaught exception in a thread",
        ),
        (
            "class Failing:\n    def __del__(self): raise RuntimeError('canary')\nFailing()",
            "an exception that could not be raised",
        ),
        (
            (
                "import asyncio\nfrom app.logging_utils import log_loop_error\n"
                "async def fail(): raise RuntimeError('canary')\n"
                "async def main():\n"
                "    asyncio.get_running_loop().set_exception_handler(log_loop_error)\n"
                "    task = asyncio.create_task(fail()); await asyncio.sleep(0.01); del task\n"
                "asyncio.run(main())"
            ),
            "Task exception was never retrieved",
        ),
        (
            (
                "import logging\ntry: raise RuntimeError('canary')\n"
                "except RuntimeError: logging.getLogger('asyncio').exception('failed')"
            ),
            "failed",
        ),
    ],
)
def test_what_nobody_catches_is_one_json_line_without_its_message(program: str, message: str) -> None:
    result = run_program(program)

    (line,) = result.stdout.splitlines()
    record = json.loads(line)
    assert record["message"] == message
    assert record["traceback"].startswith("builtins.RuntimeError\n")
    assert result.stderr == ""
    assert "canary" not in result.stdout


def test_a_line_is_there_even_when_the_process_is_killed_at_once() -> None:
    result = run_program(
        "import logging, os, signal\nlogging.getLogger('any').info('last')\nos.kill(os.getpid(), signal.SIGKILL)"
    )

    assert [json.loads(line)["message"] for line in result.stdout.splitlines()] == ["last"]


def test_lines_of_several_processes_do_not_mix(tmp_path: Path) -> None:
    program = (
        "from app.logging_utils import configure_logging\nimport logging\n"
        "configure_logging('INFO', structured=True)\n"
        "for i in range(500): logging.getLogger('any').info('x' * 3000, extra={'i': i})"
    )
    path = tmp_path / "log"
    with path.open("ab") as log:
        running = [subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=log) for _ in range(2)]
        assert [process.wait(60) for process in running] == [0, 0]

    assert sorted(json.loads(line)["i"] for line in path.read_text().splitlines()) == sorted([*range(500)] * 2)


def test_a_log_that_cannot_be_written_fails_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def write(self, _: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    handler = configure_logging("INFO", structured=True)
    monkeypatch.setattr("sys.stdout", Broken())

    handler.write_line("a line\n")


class Writes:
    """An output that keeps each write by itself."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def write(self, text: str) -> int:
        self.texts.append(text)
        return len(text)

    def flush(self) -> None:
        return


def complete(log: RequestLog, number: int) -> None:
    log.completed(
        request_id=f"id-{number}", method="POST", path="/classify", status_code=200, latency_ms=1, error=None,
        may_wait=True,
    )  # fmt: skip


def ids(texts: list[str]) -> list[object]:
    return [json.loads(line)["request_id"] for text in texts for line in text.splitlines()]


def test_request_lines_of_one_turn_are_few_writes_none_longer_than_a_pipe_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    writes = Writes()
    log = RequestLog(configure_logging("INFO", structured=True))
    monkeypatch.setattr("sys.stdout", writes)

    async def complete_all() -> None:
        for number in range(100):
            complete(log, number)
        assert writes.texts == []
        await asyncio.sleep(0)

    asyncio.run(complete_all())

    assert ids(writes.texts) == [f"id-{number}" for number in range(100)]
    assert len(writes.texts) < 10
    assert all(text.endswith("\n") and len(text) <= MAX_LINE_BYTES for text in writes.texts)


def test_another_line_comes_after_the_request_lines_that_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    writes = Writes()
    log = RequestLog(configure_logging("INFO", structured=True))
    monkeypatch.setattr("sys.stdout", writes)

    async def complete_and_fail() -> None:
        complete(log, 1)
        logging.getLogger("anything").error("failed")
        assert len(writes.texts) == 2

    asyncio.run(complete_and_fail())

    assert ids(writes.texts) == ["id-1", None]


def test_a_request_line_without_a_loop_waits_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    complete(RequestLog(configure_logging("INFO", structured=True)), 1)

    assert len(lines(capsys)) == 1


def test_lines_that_wait_are_written_when_the_process_ends() -> None:
    result = run_program(
        """
import asyncio, sys
from app.logging_utils import RequestLog, configure_logging
log = RequestLog(configure_logging("INFO", structured=True))
async def end():
    log.completed(request_id="last", method="GET", path="/", status_code=200, latency_ms=1, error=None, may_wait=True)
    sys.exit(0)
asyncio.run(end())
"""
    )

    assert [json.loads(line)["request_id"] for line in result.stdout.splitlines()] == ["last"]

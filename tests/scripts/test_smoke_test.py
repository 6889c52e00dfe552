from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from scripts import smoke_test
from tests.conftest import StartProcess
from tests.processes import free_port
from tests.scripts.conftest import RunScript, ScriptedService

CHECKS = ("liveness", "readiness", "version", "classification")


def test_a_healthy_service_passes_every_check(base_url: str, run_script: RunScript, tmp_path: Path) -> None:
    done = run_script("smoke_test", "--base-url", base_url, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    verdicts = [line.split()[:2] for line in done.stdout.splitlines()]
    assert verdicts == [*(["PASS", name] for name in CHECKS), ["all", "4"]]


def test_show_json_prints_the_answers(base_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke_test.main(["--base-url", f"{base_url}/", "--show-json"]) == 0
    output = capsys.readouterr().out
    assert '"status": "alive"' in output
    assert '"predicted_priority": "' in output


def test_a_service_without_a_model_is_alive_and_fails_the_rest(
    start_process: StartProcess, tmp_path: Path, run_script: RunScript
) -> None:
    service = start_process(MODELS_BASE_DIR=str(tmp_path))

    done = run_script("smoke_test", "--base-url", service.base_url)

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["PASS", "FAIL", "FAIL", "FAIL", "3"]
    assert "503" in lines[1]


def test_nothing_listening_is_said_in_one_line_a_check(run_script: RunScript) -> None:
    done = run_script("smoke_test", "--base-url", f"http://127.0.0.1:{free_port()}")

    assert done.returncode == 1
    assert done.stdout.count("does not answer") == len(CHECKS)
    assert "Traceback" not in done.stdout + done.stderr


def test_an_answer_with_an_impossible_confidence_fails(capsys: pytest.CaptureFixture[str]) -> None:
    body = {"predictions": {"priority": {"label": "High", "confidence": 1.5}}, "model_version": "1.0.0"}
    with ScriptedService([(200, {}, body)]) as service:
        assert smoke_test.main(["--base-url", service.base_url]) == 1
    assert "priority has the confidence 1.5, expected 0 to 1" in capsys.readouterr().out


def test_the_api_key_comes_from_the_option_or_the_environment(
    start_process: StartProcess, run_script: RunScript
) -> None:
    service = start_process(API_KEYS=hashlib.sha256(b"secret-key").hexdigest())

    without = run_script("smoke_test", "--base-url", service.base_url)
    by_variable = run_script("smoke_test", "--base-url", service.base_url, API_KEY="secret-key")
    by_option = run_script("smoke_test", "--base-url", service.base_url, "--api-key", "secret-key")

    assert (without.returncode, by_variable.returncode, by_option.returncode) == (1, 0, 0)
    assert "401" in without.stdout


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://example.com", "http://", "http://[::1"])
def test_what_is_not_a_url_ends_with_exit_code_2(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        smoke_test.main(["--base-url", url])
    assert exit_info.value.code == 2
    assert url in capsys.readouterr().err


def test_a_key_that_no_header_can_carry_is_refused_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        smoke_test.main(["--api-key", "sécret\nkey"])
    assert exit_info.value.code == 2
    assert "cret" not in capsys.readouterr().err

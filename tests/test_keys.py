from __future__ import annotations

import hashlib
import io
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from app.config import Settings
from app.keys import hash_key, main
from tests.conftest import StartProcess
from tests.in_process import TICKET
from tests.processes import ROOT


@dataclass
class Ended:
    code: int
    out: str
    err: str


HashOf = Callable[[bytes], Ended]


@pytest.fixture
def hash_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> HashOf:
    def run(given: bytes) -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = main(["--hash"])
        return Ended(code, *capsys.readouterr())

    return run


def make_key(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    assert main([]) == 0
    found = re.fullmatch(r"key:  (\S+)\nhash: ([0-9a-f]{64})\n", capsys.readouterr().out)
    assert found is not None
    return found[1], found[2]


def test_a_made_key_has_256_random_bits_and_comes_with_its_hash(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [make_key(capsys) for _ in range(100)]

    assert len({key for key, _ in pairs}) == 100
    for key, key_hash in pairs:
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}", key)
        assert key_hash == hashlib.sha256(key.encode()).hexdigest()


def test_how_to_use_both_is_told_beside_what_scripts_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0

    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    for word in ("X-API-Key", "Authorization: Bearer", "API_KEYS", "REVIEWER_API_KEYS", "ADMIN_API_KEYS"):
        assert word in captured.err


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_given_key_is_hashed_without_its_line_break(hash_of: HashOf, end: bytes) -> None:
    assert hash_of(b"my-own-key" + end) == Ended(0, f"{hashlib.sha256(b'my-own-key').hexdigest()}\n", "")


@pytest.mark.parametrize(
    "given", [b"", b"\n", b"se cret", b" secret", b"secret\t", "geheimtür".encode(), b"secret" * 999]
)
def test_a_key_that_no_header_can_carry_ends_with_exit_code_2(hash_of: HashOf, given: bytes) -> None:
    ended = hash_of(given)

    assert (ended.code, ended.out) == (2, "")
    assert "visible ASCII characters" in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not given.strip() or given.strip().decode() not in ended.err


def test_a_reviewers_key_comes_in_the_form_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--reviewer", "mia.w"]) == 0
    made = re.fullmatch(r"key:  (\S+)\nhash: (\S+)\n", capsys.readouterr().out)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"own-key\n")))
    assert main(["--reviewer", "leo", "--hash"]) == 0
    of_own = capsys.readouterr().out.strip()

    assert made
    keys = Settings(_env_file=None, reviewer_api_keys=f"{made[2]},{of_own}").reviewers
    assert keys == {hash_key(made[1]): "mia.w", hash_key("own-key"): "leo"}


@pytest.mark.parametrize("name", ["", "mia w", "mia:w", "mia,w", "m" * 65, "jürgen", "mia\n"])
def test_a_name_that_the_setting_cannot_hold_ends_with_exit_code_2(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--reviewer", name])

    assert ended.value.code == 2
    assert "is not 1 to 64 letters" in capsys.readouterr().err


def test_bad_usage_ends_with_exit_code_2() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--make-it-short"])

    assert ended.value.code == 2


def test_the_command_runs_and_reads_from_a_pipe() -> None:
    command = [sys.executable, "-m", "app.keys", "--hash"]
    ended = subprocess.run(command, cwd=ROOT, input=b"key\n", capture_output=True, check=True)

    assert ended.stdout.decode() == f"{hashlib.sha256(b'key').hexdigest()}\n"


def places_for(key: str) -> list[dict[str, str]]:
    """Return the headers in which a key may come; ``X-Request-ID`` is not one of them, as logs are found by it."""
    values = {"X-API-Key": key, "Api-Key": key, "Cookie": f"key={key}", "User-Agent": key, "Referer": f"http://{key}/"}
    authorizations = (f"Bearer {key}", f"bearer {key}", f"Basic {key}", key)
    return [
        {"X-API-Key": "wrong", "Authorization": f"Bearer {key}"},
        *({name: value} for name, value in values.items()),
        *({"Authorization": value} for value in authorizations),
        {"X-Forwarded-For": key, "Proxy-Authorization": f"Bearer {key}", key: key},
    ]


def test_keys_are_in_no_log_wherever_a_caller_puts_them(
    start_process: StartProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    (caller_key, caller_hash), (admin_key, admin_hash) = make_key(capsys), make_key(capsys)
    service = start_process(
        API_KEYS=caller_hash, ADMIN_API_KEYS=admin_hash, LOG_LEVEL="DEBUG", DRAIN_SECONDS="0", RATE_LIMIT_REQUESTS="40"
    )
    keys = (caller_key, admin_key, "canary-key-that-nobody-accepts")

    with httpx.Client(base_url=service.base_url) as client:
        answered = {
            client.post(path, headers=headers, json=dict(TICKET)).status_code
            for key in keys
            for headers in places_for(key)
            for path in ("/classify", "/model/reload", "/nowhere", f"/classify?api_key={key}&{key}")
        }
    service.stop()

    assert answered >= {200, 401, 403, 404, 429}
    log = service.log()
    assert log.count('"request completed"') >= len(keys) * len(places_for("")) * 4
    for secret in (*keys, caller_hash, admin_hash):
        assert secret not in log

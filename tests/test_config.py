from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import EXIT_BAD_SETTING, Settings, load_settings, warn_of_misspelt_settings

ROOT = Path(__file__).parent.parent
KEY_HASHES = [hashlib.sha256(key).hexdigest() for key in (b"first", b"second")]
NAMES = {name.upper() for name in Settings.model_fields}
CONTRACT_DEFAULTS = {
    "MODEL_VERSION": "1.0.0",
    "MODELS_BASE_DIR": "models",
    "VALIDATION_SPLIT": "0.2",
    "RANDOM_SEED": "42",
    "ENABLE_EVAL": "true",
    "RATE_LIMIT_REQUESTS": "100",
    "RATE_LIMIT_WINDOW_SEC": "60",
    "RATE_LIMIT_STORAGE": "memory://",
    "TRUSTED_PROXIES": "",
    "MAX_BODY_BYTES": "65536",
    "LOG_LEVEL": "INFO",
    "STRUCTURED_LOGS": "true",
    "CORS_ALLOW_ORIGINS": "",
    "API_KEYS": "",
    "HOST": "127.0.0.1",
    "PORT": "8000",
    "WORKERS": "1",
    "BATCH_MAX_TICKETS": "100",
    "DOCS_ENABLED": "true",
}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def example_values() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return dict(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_defaults_are_those_that_are_promised() -> None:
    settings = Settings()

    assert {name: as_text(getattr(settings, name.lower())) for name in CONTRACT_DEFAULTS} == CONTRACT_DEFAULTS


def test_the_example_file_has_every_setting_with_its_default() -> None:
    settings = Settings()

    assert example_values() == {name: as_text(getattr(settings, name.lower())) for name in NAMES}


def test_the_example_file_is_a_valid_env_file_that_pins_no_version(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes((ROOT / ".env.example").read_bytes())

    assert load_settings() == Settings(_env_file=None)
    assert load_settings().pinned_version is None


def test_the_reference_has_a_row_for_every_setting_with_its_default() -> None:
    settings = Settings()
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")

    rows = dict(re.findall(r"^\| `([A-Z][A-Z_]+)` \| (.*?) \|", text, re.MULTILINE))

    assert {name: rows.get(name, "no row").strip("`") for name in NAMES} == {
        name: as_text(getattr(settings, name.lower())) or "empty" for name in NAMES
    }


def test_every_setting_has_a_line_of_help() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nWORKERS=3\n")
    monkeypatch.setenv("PORT", "9002")

    settings = load_settings()

    assert (settings.port, settings.workers) == (9002, 3)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    monkeypatch.setenv("MODEL_VERSION", "")

    assert load_settings() == Settings(_env_file=None)
    assert load_settings().pinned_version is None


def test_a_version_pins_only_when_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().pinned_version is None
    monkeypatch.setenv("MODEL_VERSION", "v1.10.0-rc.1")
    assert load_settings().pinned_version == "1.10.0-rc.1"


@pytest.mark.parametrize(
    "text", [",".join(KEY_HASHES), f' {KEY_HASHES[0].upper()} , "" ,{KEY_HASHES[1]}'.replace('"" ,', "")]
)
def test_a_list_is_comma_separated_text(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("API_KEYS", text)

    assert load_settings().api_keys == tuple(KEY_HASHES)


def test_shares_of_labels_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_SHARES", '{"priority": {"Low": 0.9, "High": 0.1}}')

    assert load_settings().label_shares == {"priority": {"Low": 0.9, "High": 0.1}}


def test_a_list_may_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGINS", '["https://a.example", "https://b.example:8443"]')

    assert load_settings().cors_allow_origins == ("https://a.example", "https://b.example:8443")


def test_proxies_are_addresses_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUSTED_PROXIES", "10.0.0.0/8,192.168.0.1,fd00::/8")

    assert load_settings().trusted_proxies == tuple(
        ipaddress.ip_network(network) for network in ("10.0.0.0/8", "192.168.0.1/32", "fd00::/8")
    )


@pytest.mark.parametrize(
    "url",
    ["off", "sqlite:///var/a.db", "sqlite:////srv/a.db", "postgresql://mia:secret@db:5432/tickets?sslmode=require"],
)
def test_a_store_is_a_file_a_server_or_off(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("STORE_URL", url)

    assert load_settings().store_url == url


def test_a_reviewer_may_have_two_keys_while_one_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWER_API_KEYS", f"mia.w:{KEY_HASHES[0].upper()}, mia.w:{KEY_HASHES[1]}")

    assert load_settings().reviewers == dict.fromkeys(KEY_HASHES, "mia.w")


def test_log_levels_are_case_insensitive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "warning")

    assert load_settings().log_level == "WARNING"


MALFORMED = {
    "LABEL_SHARES": ["{", "[]", '{"priority": 1}', '{"priority": {"Low": 0.2}}', '{"priority": {"Low": 1, "High": 0}}'],
    "MODEL_VERSION": ["1.x", "1.0", "latest", "1.0.0.0", "../1.0.0", "01.0.0"],
    "VALIDATION_SPLIT": ["0", "1", "nan", "inf", "-0.2", "half"],
    "RANDOM_SEED": ["-1", "1.5", "seed", "4294967296"],
    "ENABLE_EVAL": ["maybe", "2"],
    "PORT": ["65536", "-1", "http"],
    "WORKERS": ["0", "65", "two"],
    "BATCH_MAX_TICKETS": ["0", "x"],
    "DOCS_ENABLED": ["on!"],
    "RATE_LIMIT_REQUESTS": ["0", "-5", "many", "1e3"],
    "RATE_LIMIT_WINDOW_SEC": ["0", "86401", "a minute"],
    "TRUSTED_PROXIES": ["proxy.example", "10.0.0.0/33", "10.0.0.1/8", "[1"],
    "MAX_BODY_BYTES": ["0", "64k", "16777217"],
    "LOG_LEVEL": ["verbose", "10"],
    "STRUCTURED_LOGS": ["json"],
    "STORE_TEXT": ["some", "Review"],
    "STORE_RETENTION_DAYS": ["-1", "90d"],
    "AUDIT_SHARE": ["-0.1", "1.1", "5%", "nan"],
    "PROMISE_ALPHA": ["0", "0.6"],
    "PROMISE_KEEPER": ["on"],
    "CORS_ALLOW_ORIGINS": ["desk.example.com", "https://a.example/path", "javascript:x", "[1]"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in MALFORMED.items() for value in values])
def test_a_malformed_setting_ends_the_start_with_one_line_that_quotes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        load_settings()

    assert ended.value.code == EXIT_BAD_SETTING == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{name} {json.dumps(value)} is ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEYS", "canary-key"),
        ("API_KEYS", f"{KEY_HASHES[0]},canary"),
        ("RATE_LIMIT_STORAGE", "memcached://:canary@host"),
        ("RATE_LIMIT_STORAGE", "redis://:canary@host:99999"),
        ("REVIEWER_API_KEYS", "canary"),
        ("REVIEWER_API_KEYS", f"mia canary:{KEY_HASHES[0]}"),
        ("STORE_URL", "mysql://canary:canary@host/name"),
        ("STORE_URL", "sqlite://canary.db"),
        ("STORE_URL", "sqlite:///var/"),
        ("STORE_URL", "postgresql://canary:canary@host:99999/name"),
        ("STORE_URL", "postgresql://canary:canary@host"),
    ],
)
def test_a_malformed_secret_is_named_but_not_quoted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        load_settings()

    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith(f"{name} is ")
    assert error.count("\n") == 1
    assert "canary" not in error


def test_a_malformed_value_of_the_env_file_is_quoted_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".env").write_text("PORT=eighty\n")

    with pytest.raises(SystemExit):
        load_settings()

    assert capsys.readouterr().err == 'PORT "eighty" is not a whole number from 0 to 65535\n'


def test_all_malformed_settings_are_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PORT", "x")
    monkeypatch.setenv("WORKERS", "y")

    with pytest.raises(SystemExit):
        load_settings()

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert 'PORT "x"' in error
    assert 'WORKERS "y"' in error


@pytest.mark.parametrize("command", [["-m", "app"], ["-m", "uvicorn", "app.main:app", "--port", "0"]])
def test_servers_do_not_start_with_a_malformed_setting(monkeypatch: pytest.MonkeyPatch, command: list[str]) -> None:
    monkeypatch.setenv("MAX_BODY_BYTES", "64k")

    result = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )

    assert result.returncode == 2
    assert result.stderr.splitlines() == ['MAX_BODY_BYTES "64k" is not a whole number from 1 to 16777216']


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("API_KEY", "API_KEYS"),
        ("api_key", "API_KEYS"),
        ("ADMIN_API_KEY", "ADMIN_API_KEYS"),
        ("RATE_LIMIT_REQUEST", "RATE_LIMIT_REQUESTS"),
        ("RATELIMIT_WINDOW_SEC", "RATE_LIMIT_WINDOW_SEC"),
        ("CORS_ALLOWED_ORIGINS", "CORS_ALLOW_ORIGINS"),
        ("REVIEWER_KEYS", "REVIEWER_API_KEYS"),
        ("REVIEWERS_API_KEYS", "REVIEWER_API_KEYS"),
        ("ADMIN_KEYS", "ADMIN_API_KEYS"),
        ("STORE_URI", "STORE_URL"),
        ("STORE_DAYS", "STORE_RETENTION_DAYS"),
        ("AUDIT_SHARES", "AUDIT_SHARE"),
        ("PROMISES_KEEPER", "PROMISE_KEEPER"),
    ],
)
@pytest.mark.parametrize("place", ["environment", ".env"])
def test_a_misspelt_setting_is_named_with_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, place: str, name: str, meant: str
) -> None:
    if place == ".env":
        (tmp_path / ".env").write_text(f"{name}=secret\n")
    else:
        monkeypatch.setenv(name, "secret")

    warn_of_misspelt_settings()

    assert [record.getMessage() for record in caplog.records] == [
        f"{name.upper()} is not a setting and has no effect: is {meant} meant?"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "HOSTNAME",
            "PORT_80_TCP",
            "LOGLEVEL",
            "HOST_NAME",
            "WORKER",
            "PATH",
            "GPG_KEY",
            "APP_KEY",
            "API_KEY_OF_OTHERS",
        ),
        *("OPENAI_API_KEY", "KUBERNETES_SERVICE_PORT", "MODELS_SERVICE_PORT", "METRICS_PORT", "PYTHON_VERSION"),
        *("TICKET_CLASSIFIER_SERVICE_HOST", "TICKET_CLASSIFIER_PORT_80_TCP_ADDR", "REDIS_SERVICE_PORT", "LOG_FORMAT"),
    ],
)
def test_variables_of_other_programs_are_no_misspelt_settings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    monkeypatch.setenv(name, "x")

    warn_of_misspelt_settings()

    assert caplog.records == []


def test_settings_are_no_misspelt_settings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "x")

    warn_of_misspelt_settings()

    assert caplog.records == []

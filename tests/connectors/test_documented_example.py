"""The worked example of ``type = "generic"`` in docs/connectors.md works as it is written there."""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from app.connectors.connector import Connector
from app.connectors.connector_file import read_connectors
from app.connectors.sighting import Delivery

SECRET = "whsec_" + base64.b64encode(bytes(range(3, 35))).decode()
PAGE = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("\n### generic\n")[2].partition("\n### ")[0]


def block(language: str, n: int = 0) -> str:
    """Return the n-th example in a language."""
    found: str = re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)[n]
    return found


def connector(tmp_path: Path, *, shape: str = "") -> Connector:
    (tmp_path / "connectors.toml").write_text(block("toml") + shape, encoding="utf-8")
    environment = {"ACME_SECRET": SECRET, "ACME_TOKEN": "the-token-of-the-api"}
    (found,) = read_connectors(tmp_path / "connectors.toml", environment)
    return found


def delivery(body: bytes, headers: dict[str, str]) -> Delivery:
    now_ms = time.time_ns() // 1_000_000
    return Delivery(body=body, headers=headers, method="POST", target="/hooks/acme", address="", received_ms=now_ms)


def test_what_is_signed_in_python_as_the_page_says_is_let_in_and_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_SECRET", SECRET)
    names: dict[str, Any] = {
        "base64": base64,
        "hmac": hmac,
        "os": os,
        "time": time,
        "uuid": uuid,
        "body": block("json").encode(),
    }
    exec(block("python"), names)  # noqa: S102 - it is ours
    acme = connector(tmp_path)
    signed = delivery(names["body"], names["headers"])

    assert acme.helpdesk.is_authentic(signed, acme.secrets)
    (sighting,) = acme.helpdesk.read(signed)
    assert (sighting.ref, sighting.title, sighting.actor, sighting.is_closed) == ("1001", "Server down", "mia", False)
    assert sighting.values == {"priority": None, "department": None}
    assert sighting.changed_ms == 1_769_860_800_000


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl is installed")
def test_what_is_signed_in_a_shell_as_the_page_says_is_let_in(tmp_path: Path) -> None:
    (tmp_path / "ticket.json").write_text(block("json"), encoding="utf-8")
    script = "curl() { for word; do printf '%s\\0' \"$word\"; done; }\n" + block("bash")
    environment = {"PATH": os.environ["PATH"], "ACME_SECRET": SECRET}
    answer = subprocess.run(["sh", "-eu", "-c", script], cwd=tmp_path, env=environment, capture_output=True, check=True)
    words = answer.stdout.decode().split("\0")[:-1]

    headers = dict(word.split(": ", 1) for word in words if word.startswith("webhook-"))
    signed = delivery(words[-1].encode(), headers)
    acme = connector(tmp_path)
    assert acme.helpdesk.is_authentic(signed, acme.secrets)
    assert json.loads(signed.body)["id"] == "1001"


def test_json_of_another_shape_is_read_by_the_pointers_of_the_page(tmp_path: Path) -> None:
    acme = connector(tmp_path, shape=block("toml", 1))
    ticket = {"number": 7, "subject": "Down", "comments": [{"body": "All of it"}], "team": {"name": "Billing"}}

    (sighting,) = acme.helpdesk.read(delivery(json.dumps({"ticket": ticket}).encode(), {}))

    assert (sighting.ref, sighting.title, sighting.description) == ("7", "Down", "All of it")
    assert sighting.values == {"team": "Billing"}
    assert acme.helpdesk.options.fields["team"] == "team_name"

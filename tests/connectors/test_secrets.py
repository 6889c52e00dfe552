"""Secrets of webhooks and tokens of APIs are in no log, error, metric, page, row or file, whatever goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from app.connectors.__main__ import main
from app.store.database import Database
from app.store.tables import outbox
from tests.conftest import StartProcess
from tests.connectors.connected import SURE, UNSURE
from tests.connectors.servers.dialect import running
from tests.connectors.servers.generic import Generic
from tests.connectors.servers.raw import answer, make_certificate, raw_server
from tests.processes import free_port
from tests.stored import rows_of
from tests.test_privacy import contents_of, files_of

SECRET, OLD_SECRET, TOKEN, GUESS = "canary-secret", "canary-old-secret", "canary-token", "canary-guess"
TABLE = """
[{name}]
type = "generic"
signature = "{signature}"
secret_env = "DESK_SECRET,OLD_SECRET"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
on_suggest = "note"
calls_per_minute = 100000
api = {{read = "/tickets/{{id}}", write = "/tickets/{{id}}", note = "/tickets/{{id}}/notes", check = "/check"}}
"""
ECHO = f"<html>authorization: Bearer {TOKEN}, {SECRET}</html>".encode()
# What is in trouble answers, in HTTP or not.
TROUBLES = {
    "html": answer(ECHO, "200 OK", Content_Type="text/html"),
    "failing": answer(ECHO, "500 Internal Server Error"),
    "refusing": answer(json.dumps({"error": f"Bearer {TOKEN} may not"}).encode(), "422 Unprocessable"),
    "unauthorized": answer(ECHO, "401 Unauthorized", WWW_Authenticate=f"Bearer {TOKEN}"),
    "busy": answer(ECHO, "429 Too Many Requests", Retry_After=TOKEN),
    "moved": answer(b"", "302 Found", Location=f"https://127.0.0.1:1/{TOKEN}"),
    "garbage": ECHO,
    "header": f"HTTP/1.1 200 OK\r\n{TOKEN}\r\n\r\n".encode(),
    "chunked": f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{TOKEN}\r\n".encode(),
    "odd": answer(json.dumps({"id": {TOKEN: TOKEN}}).encode()),
    "other": answer(json.dumps({"id": TOKEN}).encode()),
    "silent": b"",
}


@pytest.fixture
def connectors(tmp_path: Path) -> Iterator[list[str]]:
    with ExitStack() as stack:
        helpdesk = Generic(token=TOKEN)
        for ref, text in (("1", SURE), ("2", UNSURE)):
            helpdesk.create(ref, **text)
        _, tls = make_certificate(tmp_path)
        urls = {
            "well": stack.enter_context(running(helpdesk)),
            "away": f"http://127.0.0.1:{free_port()}",
            "self-signed": f"https://{stack.enter_context(raw_server(tls=tls)).address}",
            "no-tls": f"https://{stack.enter_context(raw_server()).address}",
        }
        urls |= {name: f"http://{stack.enter_context(raw_server(piece)).address}" for name, piece in TROUBLES.items()}
        tables = [TABLE.format(name=name, url=url, signature="secret") for name, url in urls.items()]
        tables += [
            TABLE.format(name=f"signed-{signature}", url=urls["well"], signature=signature)
            for signature in ("standard-webhooks", "hub-sha256")
        ]
        path = tmp_path / "connectors.toml"
        path.write_text("\n".join(tables), encoding="utf-8")
        yield list(urls)


def deliver_everything(client: httpx.Client, names: list[str]) -> list[httpx.Response]:
    """Deliver rightly and wrongly, with canaries in every place that secrets can stand in."""
    answers = []
    for name in names:
        for body in ({"id": "1", **SURE}, {"id": "2", **UNSURE}, {"id": "3"}):
            answers.append(client.post(f"/hooks/{name}", json=body, headers={"X-Webhook-Secret": SECRET}))
            assert answers[-1].status_code == 200, answers[-1].text
    wrong: list[dict[str, str]] = [
        {"X-Webhook-Secret": GUESS},
        {"Authorization": f"Bearer {GUESS}"},
        {"Authorization": f"Basic {GUESS}"},
        {"X-Hub-Signature-256": f"sha256={GUESS}"},
        {"webhook-id": GUESS, "webhook-timestamp": str(int(time.time())), "webhook-signature": f"v1,{GUESS}"},
    ]
    for name in ("well", "signed-standard-webhooks", "signed-hub-sha256", GUESS):
        for headers in wrong:
            answers.append(client.post(f"/hooks/{name}?secret={GUESS}", content=GUESS, headers=headers))
            assert answers[-1].status_code in {401, 404}
    odd = {"X-Webhook-Secret": OLD_SECRET}
    answers += [client.post("/hooks/well", content=content, headers=odd) for content in (SECRET, "[", '{"id": {}}')]
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("structured", ["true", "false"])
def test_canaries_of_secrets_and_tokens_are_nowhere(
    start_process: StartProcess, store_url: str, tmp_path: Path, connectors: list[str], structured: str
) -> None:
    environment = {"DESK_SECRET": SECRET, "OLD_SECRET": OLD_SECRET, "DESK_TOKEN": TOKEN}
    process = start_process(
        STORE_URL=store_url,
        CONNECTORS_FILE=str(tmp_path / "connectors.toml"),
        LOG_LEVEL="DEBUG",
        STRUCTURED_LOGS=structured,
        STORE_TEXT="all",
        **environment,
    )
    with closing(Database(store_url)) as database:
        with httpx.Client(base_url=process.base_url, timeout=60) as client:
            answers = deliver_everything(client, connectors)
            process.wait_for(lambda: tried(database) >= set(connectors), seconds=60)
            pages = [client.get(path) for path in ("/metrics", "/console/connectors", "/version", "/openapi.json")]
        said = {
            "answers": "".join(answer.text + str(answer.headers) for answer in answers),
            "pages": "".join(page.text for page in pages),
            "store": contents_of(database),
            **{name: content.decode("latin-1") for name, content in files_of(database).items()},
        }
    process.stop()

    said["log"] = process.log()
    assert [name for name, text in said.items() if "canary" in text] == []
    assert [page.status_code for page in pages] == [200] * len(pages)


def tried(database: Database) -> set[str]:
    """Return the connectors of which something was tried, and what came of it is known."""
    return {row["connector"] for row in rows_of(database, outbox) if row["result"] is not None}


# Where what answers speaks no TLS, asyncio leaves the connection to be collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_command_that_checks_connectors_shows_none_of_them(
    models_dir: Path,
    tmp_path: Path,
    connectors: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment = {
        "DESK_SECRET": SECRET,
        "OLD_SECRET": OLD_SECRET,
        "DESK_TOKEN": TOKEN,
        "CONNECTORS_FILE": str(tmp_path / "connectors.toml"),
        "MODELS_BASE_DIR": str(models_dir),
        "STORE_URL": f"sqlite:///{tmp_path / 'store.db'}",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    assert main(["check"]) == 1

    printed = capsys.readouterr()
    assert all(name in printed.out for name in connectors)
    assert "canary" not in printed.out + printed.err

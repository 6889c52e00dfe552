"""``python -m app.connectors``, as an operator types it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.connectors.__main__ import main
from app.store.database import Database
from app.store.helpdesk_tickets import HelpdeskTicket, NewJob, Step, Steps, advance
from app.store.migration import upgrade
from app.store.outbox import Ending, Terms, claim, finish
from tests.connectors.connected import SECRET, SURE, TOKEN
from tests.connectors.servers.dialect import running
from tests.connectors.servers.generic import Generic
from tests.processes import free_port

TABLE = """
[desk]
type = "generic"
secret_env = "DESK_SECRET"
api_url = "{url}"
api_token_env = "DESK_TOKEN"
write = ["priority", "department"]
api = {{read = "/tickets/{{id}}", write = "/tickets/{{id}}", check = "/tickets/1"}}
[desk.labels.department]
Billing = "Accounts"
"""
TERMS = Terms(lease_ms=90_000, interval_ms=0, trial_after=5)


@pytest.fixture
def settings(tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Set what the command reads from the environment, with a file of connectors of the given text."""

    def write(text: str) -> None:
        path = tmp_path / "connectors.toml"
        path.write_text(text, encoding="utf-8")
        for name, value in {
            "CONNECTORS_FILE": str(path),
            "DESK_SECRET": SECRET,
            "DESK_TOKEN": TOKEN,
            "MODELS_BASE_DIR": str(models_dir),
            "STORE_URL": f"sqlite:///{tmp_path / 'store.db'}",
        }.items():
            monkeypatch.setenv(name, value)

    monkeypatch.chdir(tmp_path)
    return write


def test_a_connector_whose_api_answers_passes(
    settings: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    helpdesk = Generic(token=TOKEN)
    helpdesk.create("1")
    with running(helpdesk) as url:
        settings(TABLE.format(url=url))

        assert main(["check"]) == 0

    said = capsys.readouterr().out
    assert "Billing -> Accounts" in said
    assert "FAIL" not in said
    assert SECRET not in said
    assert TOKEN not in said


def test_a_connector_whose_token_is_not_accepted_fails(
    settings: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with running(Generic(token="another")) as url:
        settings(TABLE.format(url=url))

        assert main(["check"]) == 1

    assert "FAIL  API: GET /tickets/1: answered 401; is DESK_TOKEN right?" in capsys.readouterr().out


def test_an_address_with_nothing_behind_it_is_not_blamed_on_the_token(
    settings: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with running(Generic(token=TOKEN)) as url:
        settings(TABLE.format(url=f"{url}/elsewhere"))

        assert main(["check"]) == 1

    assert "FAIL  API: GET /tickets/1: answered 404; is api_url right?" in capsys.readouterr().out


def test_an_address_that_cannot_be_reached_is_said_to_be_the_likely_mistake(
    settings: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    settings(TABLE.format(url=f"http://127.0.0.1:{free_port()}"))

    assert main(["check"]) == 1

    said = "ConnectError: All connection attempts failed; is api_url right, and can it be reached from here? It is http"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("written", "instead", "said"),
    [
        ('write = "/tickets/{id}", ', "", "FAIL  api.write is missing, without which nothing can be written"),
        ('read = "/tickets/{id}", ', "", "FAIL  api.read is missing"),
        ("[desk.labels", 'on_suggest = "note"\n[desk.labels', "FAIL  api.note is missing"),
        ("Billing =", "Biling =", 'FAIL  labels.department: the model has no label "Biling": is "Billing" meant?'),
        ("labels.department", "labels.team", "FAIL  labels.team: the model has no such head; it has department, p"),
    ],
)
def test_what_a_table_lacks_or_misspells_fails_before_a_ticket_comes(
    settings: Callable[[str], None], capsys: pytest.CaptureFixture[str], written: str, instead: str, said: str
) -> None:
    helpdesk = Generic(token=TOKEN)
    helpdesk.create("1")
    with running(helpdesk) as url:
        table = TABLE.format(url=url)
        assert written in table
        settings(table.replace(written, instead))

        assert main(["check"]) == 1

    assert said in capsys.readouterr().out


def test_labels_that_only_people_use_may_have_words(
    settings: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    helpdesk = Generic(token=TOKEN)
    helpdesk.create("1")
    with running(helpdesk) as url:
        settings(TABLE.format(url=url) + 'Legal = "Lawyers"\n')

        assert main(["check"]) == 0, capsys.readouterr().out


def test_a_file_without_a_table_is_said_to_have_none(
    settings: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    settings("")

    assert main(["check"]) == 2
    assert "has no table, so there are no connectors" in capsys.readouterr().err


def test_without_a_model_it_is_said_how_to_get_one(
    settings: Callable[[str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings(TABLE.format(url="http://127.0.0.1:9"))
    monkeypatch.setenv("MODELS_BASE_DIR", str(tmp_path / "none"))

    assert main(["check"]) == 1
    assert "train one, or set MODELS_BASE_DIR or MODEL_VERSION" in capsys.readouterr().err


def test_a_delivery_is_rehearsed_without_a_store_or_a_helpdesk(
    settings: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings(TABLE.format(url="http://127.0.0.1:9"))
    delivery = tmp_path / "delivery.json"
    delivery.write_text(json.dumps({"id": 7, **SURE, "priority": None}), encoding="utf-8")

    assert main(["dry-run", str(delivery)]) == 0

    said = capsys.readouterr().out
    assert "would set priority to High" in said
    assert "would set department to Accounts" in said
    assert not (tmp_path / "store.db").exists()


def test_a_file_that_is_no_delivery_is_said_to_be_none(
    settings: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings(TABLE.format(url="http://127.0.0.1:9"))
    (tmp_path / "delivery.json").write_text("{}", encoding="utf-8")

    assert main(["dry-run", "delivery.json"]) == 1
    assert "the ticket's id (pointers.id, now /id) is missing" in capsys.readouterr().err


def test_what_was_given_up_is_tried_again_on_demand(
    settings: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings(TABLE.format(url="http://127.0.0.1:9"))
    with closing(Database(f"sqlite:///{tmp_path / 'store.db'}")) as database:
        upgrade(database)
        give_up_one_job(database)
        assert main(["list"]) == 0
        listed = capsys.readouterr().out
        assert "waiting: 0, given up: 1" in listed
        assert "ticket 7: answered 422" in listed
        assert "python -m app.connectors send-again tries again what was given up" in listed

        assert main(["send-again"]) == 0

        again = claim(database, "desk", TERMS, now_ms=time.time_ns() // 1_000_000).job
        assert again is not None
        assert (again.ticket_ref, again.n_attempts) == ("7", 2)
    assert capsys.readouterr().out == "1 are tried again for a day from now on\n"
    assert main(["send-again"]) == 0
    assert capsys.readouterr().out == "nothing is given up; list shows what waits\n"
    assert main(["send-again", "--job", "another"]) == 1
    assert capsys.readouterr().err == "none of the jobs that were named is given up; list shows those that are\n"


def give_up_one_job(database: Database) -> None:
    def decide(_: HelpdeskTicket | None) -> Step:
        return Step(HelpdeskTicket(), "queued", job=NewJob("classify", "{}"))

    steps = Steps(connector="desk", decide={"7": decide}, judge=lambda *_: (), keeps_text=False, now_ms=1_000)
    advance(database, steps)
    job = claim(database, "desk", TERMS, now_ms=2_000).job
    assert job is not None
    finish(database, job, Ending(state="dead", result="answered 422"), now_ms=3_000)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["check", "--connector", "disk"], '"disk" is no table of'),
        (["send-again"], "there is no store at"),
        (["dry-run", "nowhere.json"], '"nowhere.json" cannot be read'),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    settings: Callable[[str], None], capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    settings(TABLE.format(url="http://127.0.0.1:9"))

    assert main(arguments) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_without_a_file_of_connectors_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CONNECTORS_FILE", raising=False)

    assert main(["check"]) == 2
    assert "CONNECTORS_FILE is not set" in capsys.readouterr().err

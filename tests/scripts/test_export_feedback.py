"""``scripts/export_feedback.py``: what people judged, as files that others read, from either database."""

from __future__ import annotations

import contextlib
import csv
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.training.intake.labelled_tickets import Intake, read_tickets
from tests.scripts.conftest import RunScript
from tests.store.judged import JudgedStore, Said


@pytest.fixture
def store(store_url: str) -> Iterator[JudgedStore]:
    with contextlib.closing(JudgedStore(store_url)) as store:
        said = {"priority": Said("Low", 0.71, "suggest"), "department": Said("Tech", 0.9)}
        one = store.predict(said, title="=cmd|' /C calc'!A0", description="Straße\n„kaputt“", ticket_id="T-1")
        store.judge(
            {"priority": "High", "department": "Tech"}, prediction_id=one, said=said, ticket_id="T-1",
            title="=cmd|' /C calc'!A0", description="Straße\n„kaputt“", reviewer="mia",
        )  # fmt: skip
        store.judge({"priority": "Low"}, title="brought along", ticket_id="T-2", source="helpdesk")
        store.judge({"priority": "Low"}, ticket_id="no text")
        yield store


def test_csv_has_one_row_a_ticket_and_nothing_that_a_spreadsheet_would_run(
    store: JudgedStore, run_script: RunScript, tmp_path: Path
) -> None:
    done = run_script("export_feedback", store.url, "-o", tmp_path / "judged.csv")

    assert done.returncode == 0, done.stderr
    assert "wrote 2 judged tickets" in done.stdout
    with (tmp_path / "judged.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["title"], first["description"]) == ("'=cmd|' /C calc'!A0", "Straße\n„kaputt“")
    assert (first["priority"], first["priority_answered"], first["priority_confidence"]) == ("High", "Low", "0.7100")
    assert (second["ticket_id"], second["priority"], second["department"]) == ("T-2", "Low", "")
    assert stat.S_IMODE((tmp_path / "judged.csv").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["judged.csv", "judged.jsonl"])
def test_what_is_exported_can_be_trained_on(store: JudgedStore, run_here: RunScript, tmp_path: Path, name: str) -> None:
    assert run_here("export_feedback", store.url, "-o", tmp_path / name).returncode == 0

    tickets = read_tickets(tmp_path / name, Intake(for_training=False, column_map={"id": "ticket_id"}))

    assert tickets.labels == {"priority": ["High", "Low"], "department": ["Tech", ""]}
    assert tickets.ids == ["T-1", "T-2"]


def test_json_lines_have_the_texts_as_they_are_and_what_was_answered(
    store: JudgedStore, run_here: RunScript, tmp_path: Path
) -> None:
    assert run_here("export_feedback", "-o", tmp_path / "x.jsonl", STORE_URL=store.url).returncode == 0

    first, _ = map(json.loads, (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines())

    assert first["title"] == "=cmd|' /C calc'!A0"
    assert first["judgements"]["priority"] == {
        "answered": "Low", "confidence": 0.71, "decision": "suggest", "model_version": "1.0.0", "source": "review",
        "reviewer": "mia", "is_audit": False,
    }  # fmt: skip


def test_label_studio_gets_tasks_with_annotations_and_predictions(
    store: JudgedStore, run_here: RunScript, tmp_path: Path
) -> None:
    assert run_here("export_feedback", store.url, "-o", tmp_path / "tasks.json").returncode == 0

    first, second = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))

    def choice(head: str, label: str) -> dict[str, object]:
        return {"from_name": head, "to_name": "text", "type": "choices", "value": {"choices": [label]}}

    assert first["data"]["text"] == "=cmd|' /C calc'!A0\n\nStraße\n„kaputt“"
    assert first["annotations"] == [{"result": [choice("department", "Tech"), choice("priority", "High")]}]
    assert first["predictions"] == [
        {"model_version": "1.0.0", "result": [choice("department", "Tech"), choice("priority", "Low")]}
    ]
    assert second["predictions"] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("off", "-o", "x.csv"), "STORE_URL is off"),
        (("sqlite:///nowhere.db", "-o", "x.csv"), 'there is no store at "nowhere.db"'),
        (("off", "-o", "x.txt"), "has no suffix of a format"),
        (("off", "-o", "nowhere/x.csv"), "expected a file in a directory that exists"),
    ],
)
def test_mistakes_end_with_exit_code_2(
    run_here: RunScript, tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    done = run_here("export_feedback", *arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert expected in done.stderr


def test_a_store_without_judged_tickets_writes_nothing(store_url: str, run_here: RunScript, tmp_path: Path) -> None:
    JudgedStore(store_url).close()

    done = run_here("export_feedback", store_url, "-o", tmp_path / "x.csv")

    assert done.returncode == 2
    assert "no judged ticket" in done.stderr
    assert list(tmp_path.glob("*x.csv*")) == []

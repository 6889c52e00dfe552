"""``train.py --feedback``: what people said of the service's answers goes into the next model."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from app.models.classifier import TicketClassifier
from tests.processes import free_port
from tests.store.judged import JudgedStore, Said
from tests.training.conftest import ROOT, RunTrain, write_csv


@pytest.fixture
def store(store_url: str) -> Iterator[JudgedStore]:
    with contextlib.closing(JudgedStore(store_url)) as store:
        yield store


def judge_all(store: JudgedStore, records: Sequence[dict[str, str]], **labels: str) -> None:
    """Judge each of ``records`` as it is labelled, or as ``labels`` say."""
    said = {head: Said("Low") for head in ("priority", "department")}
    for i, record in enumerate(records):
        text = {"title": record["title"], "description": record["description"]}
        prediction_id = store.predict(said, ticket_id=f"T-{i}", **text)
        given = {head: record[head] for head in said} | labels
        store.judge(given, prediction_id=prediction_id, said=said, ticket_id=f"T-{i}", **text)


@pytest.mark.slow
def test_judged_tickets_alone_make_a_model(
    store: JudgedStore, records: list[dict[str, str]], tmp_path: Path, run_train: RunTrain
) -> None:
    judge_all(store, records)
    manifests = set()

    for version in ("1.0.0", "1.0.0"):
        done = run_train("--feedback", store.url, "--version", version, "--force")
        assert done.returncode == 0, done.stderr
        manifests.add((tmp_path / "models" / "v1.0.0" / "manifest.json").read_bytes())

    directory = tmp_path / "models" / "v1.0.0"
    metadata = json.loads((directory / "model_metadata.json").read_text())
    n_texts = len({f"{r['title']}\n{r['description']}" for r in records})
    assert metadata["feedback"] == {"n_tickets": n_texts, "n_in_data": 0}
    assert metadata["split"]["n_tickets"] == n_texts
    assert TicketClassifier.load(directory).heads == ("priority", "department")
    assert len(manifests) == 1
    assert "--data FILE --feedback" in (directory / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_added_to_a_file_they_correct_it_and_teach_a_new_label(
    store: JudgedStore, records: list[dict[str, str]], tmp_path: Path, run_train: RunTrain
) -> None:
    data = write_csv(tmp_path / "tickets.csv", records)
    judge_all(store, records[:1], priority="Low")
    wanderhof = [
        {**records[i], "title": f"Wanderhof {letter}", "description": f"wanderhof quillberg {letter} please"}
        for i, letter in enumerate("abcdefghijkl")
    ]
    judge_all(store, wanderhof, department="Travel")

    done = run_train("--data", data, "--feedback", store.url, "--version", "1.1.0")

    assert done.returncode == 0, done.stderr
    assert "people judged 13 tickets, 1 of which are in the file too" in done.stderr
    directory = tmp_path / "models" / "v1.1.0"
    assert json.loads((directory / "model_metadata.json").read_text())["feedback"] == {"n_tickets": 13, "n_in_data": 1}
    travel = TicketClassifier.load(directory).predict("Wanderhof", "wanderhof quillberg").heads["department"]
    assert travel.label == "Travel"


def test_beside_descriptions_of_labels_they_are_what_the_model_learns_from(
    store: JudgedStore, records: list[dict[str, str]], tmp_path: Path, run_train: RunTrain
) -> None:
    labels_toml = tmp_path / "labels.toml"
    departments = sorted({record["department"] for record in records})
    labels_toml.write_text("".join(f'[department."{name}"]\n' for name in [*departments, "Travel"]), encoding="utf-8")
    judge_all(store, [{**records[0], "title": "Wanderhof", "description": "wanderhof quillberg"}], department="Travel")

    done = run_train("--labels", labels_toml, "--feedback", store.url)

    assert done.returncode == 0, done.stderr
    directory = tmp_path / "models" / "v1.0.0"
    metadata = json.loads((directory / "model_metadata.json").read_text())
    assert metadata["feedback"] == {"n_tickets": 1, "n_in_data": 0}
    answer = TicketClassifier.load(directory).predict("", "quillberg").heads["department"]
    assert answer.label == "Travel"
    assert answer.decision != "auto", "nothing was measured yet"


def test_the_store_of_the_settings_is_read_when_no_other_is_named(
    records: list[dict[str, str]], tmp_path: Path
) -> None:
    with contextlib.closing(JudgedStore(f"sqlite:///{tmp_path / 'store.db'}")) as store:
        judge_all(store, records)

        done = _train("--feedback", "--models-dir", str(tmp_path / "models"), STORE_URL=store.url)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "models" / "v1.0.0" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://x:hunter2@localhost/y", "--feedback: the URL of the store is none of sqlite:///FILE"),
        ("off", "--feedback: STORE_URL is off"),
        ("sqlite:///nowhere/store.db", '--feedback: there is no store at "nowhere/store.db"'),
    ],
)
def test_without_a_store_one_line_says_what_to_do(url: str, expected: str, tmp_path: Path) -> None:
    done = _train("--feedback", url, "--models-dir", str(tmp_path))

    assert done.returncode == 2
    assert expected in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr


def test_a_store_without_judged_tickets_is_told_so(store: JudgedStore, tmp_path: Path) -> None:
    done = _train("--feedback", store.url, "--models-dir", str(tmp_path))

    assert done.returncode == 2
    assert "the store has no judged ticket with its text" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_store_that_does_not_answer_fails(tmp_path: Path) -> None:
    done = _train("--feedback", f"postgresql://a:hunter2@127.0.0.1:{free_port()}/x", "--models-dir", str(tmp_path))

    assert done.returncode == 1
    assert "--feedback: the store cannot be used" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr


def _train(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "train.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

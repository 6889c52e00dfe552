"""``python train.py``: what it writes, that the served model is the scikit-learn one, and that nothing is half done."""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.models.artifacts import verify, write_version
from app.models.classifier import TicketClassifier
from app.models.features import join_fields
from app.training.intake.labelled_tickets import Tickets, read_tickets
from app.training.pipeline import TrainingOptions, train
from tests.training.conftest import ROOT, RunTrain, write_csv

FILES = {
    "model.json", "vocabulary.txt", "idf.npy", "weights.npy", "self_test.json", "reference.json", "manifest.json",
    "priority_model.joblib", "priority_vectorizer.joblib", "department_model.joblib", "department_vectorizer.joblib",
    "metrics.json", "model_metadata.json", "report.html",
}  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """What ``train.py`` said, and what it wrote."""

    stdout: str
    stderr: str
    directory: Path


TEXT = st.text() | st.lists(
    st.sampled_from(["Invoice", "is", "WRONG", "server", "down", "quote", "please", "ﬁle", "é", "ß", "<b>", "1234"])
).map(" ".join)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train once on the two default heads, from the command line."""
    models = tmp_path_factory.mktemp("models")
    done = subprocess.run(
        [sys.executable, "train.py", "--rows", "240", "--version", "3.1.4", "--models-dir", str(models)],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return models / "v3.1.4"


def test_a_version_has_every_file_and_verifies(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} >= FILES
    assert set(verify(trained).files) == {path.name for path in trained.iterdir()} - {"manifest.json"}
    assert TicketClassifier.load(trained).version == "3.1.4"


def test_metrics_and_metadata_say_what_the_documents_promise(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text())
    metadata = json.loads((trained / "model_metadata.json").read_text())
    assert set(metrics) == {"priority", "department"}
    for head, figures in metrics.items():
        assert set(figures["summary"]) >= {"accuracy", "macro_f1", "weighted_f1"}
        assert set(figures) >= {"per_class", "confusion_matrix", "calibration", "operating_points", "baselines"}
        assert metadata[f"{head}_macro_f1"] == figures["summary"]["macro_f1"]
        counts = np.array(figures["confusion_matrix"]["counts"])
        assert counts.trace() / counts.sum() == pytest.approx(figures["summary"]["accuracy"])
    assert metadata["version"] == "3.1.4"
    assert metadata["split"]["n_train"] + metadata["split"]["n_validation"] == metadata["split"]["n_tickets"] == 240
    assert set(metadata) >= {"trained_at", "data_sha256", "label_distributions", "libraries", "seed"}


def test_the_joblib_parts_agree_with_the_classifier_on_any_text(trained: Path) -> None:
    classifier = TicketClassifier.load(trained)
    parts = {
        head: (joblib.load(trained / f"{head}_vectorizer.joblib"), joblib.load(trained / f"{head}_model.joblib"))
        for head in classifier.heads
    }

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
    def agree(tickets: list[tuple[str, str]]) -> None:
        titles, descriptions = [title for title, _ in tickets], [text for _, text in tickets]
        served = classifier.predict_proba(titles, descriptions)
        for head, (vectorizer, model) in parts.items():
            expected = model.predict_proba(vectorizer.transform([join_fields(*ticket) for ticket in tickets]))
            np.testing.assert_allclose(served[head], expected, rtol=0, atol=1e-9)
            assert classifier.labels(head) == tuple(model.classes_)

    agree()


@pytest.mark.slow
def test_the_same_data_and_seed_give_the_same_bytes(tickets_csv: Path, tmp_path: Path, run_train: RunTrain) -> None:
    manifests = set()
    for _ in range(2):
        done = run_train("--data", tickets_csv, "--version", "1.0.0", "--force")
        assert done.returncode == 0, done.stderr
        manifests.add((tmp_path / "models" / "v1.0.0" / "manifest.json").read_bytes())
    assert len(manifests) == 1


def test_an_existing_version_is_kept_without_force(tickets_csv: Path, tmp_path: Path, run_train: RunTrain) -> None:
    existing = tmp_path / "models" / "v1.0.0"
    existing.mkdir(parents=True)
    done = run_train("--data", tickets_csv, "--version", "1.0.0")
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert list(existing.iterdir()) == []


def test_any_columns_and_labels_train_without_touching_code(tmp_path: Path, run_train: RunTrain) -> None:
    words = {"Störung": "kaputt ausgefallen fehler", "Rechnung": "zahlung betrag mahnung", "日本": "注文 配送 返品"}
    rng = random.Random(3)
    records = [
        {"Betreff": rng.choice(words[label].split()), "Team": label, "Stufe": rng.choice(["1", "2", "3", "4", "5"])}
        for label in words
        for _ in range(40)
    ]
    data = write_csv(tmp_path / "tickets.csv", records)
    done = run_train(
        "--data", data, "--version", "0.2.0", "--targets", "team,stufe",
        "--map", "title=Betreff", "--map", "team=Team", "--map", "stufe=Stufe",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    classifier = TicketClassifier.load(tmp_path / "models" / "v0.2.0")
    assert classifier.heads == ("team", "stufe")
    assert set(classifier.labels("team")) == set(words)
    assert classifier.predict("Mahnung", "").heads["team"].label == "Rechnung"


@pytest.mark.skipif(find_spec("cleanlab") is not None, reason="cleanlab is installed")
def test_a_package_that_is_not_installed_is_missed_before_anything_is_read(tmp_path: Path, run_train: RunTrain) -> None:
    done = run_train("--data", tmp_path / "nowhere.csv", "--version", "1.0.0", "--label-errors", "cleanlab")

    assert done.returncode == 2
    assert 'pip install "cleanlab' in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def trained_on_an_export(tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, str]]) -> Trained:
    """Train on tickets with ids, numbers and addresses, some of which are in the evaluation file, too."""
    directory = tmp_path_factory.mktemp("export")
    export = [
        {
            "Ticket ID": f"ACME-{number}",
            **record,
            "description": f"{record['description']} Call 0171555 or write to wanderhof.anna@quillberg.example.",
        }
        for number, record in enumerate(records)
    ]
    new = [
        {**record, "title": f"{word} gate", "description": f"The {word} lamp of gate {word} blinks {word}"}
        for word, record in zip(("red", "blue", "green", "white"), records, strict=False)
    ]
    nearly = [{**record, "description": f"{record['description']} Thanks."} for record in export[3:5]]
    evaluation = [*export[:3], *nearly, *({"Ticket ID": "", **record} for record in new)]
    done = subprocess.run(
        [
            sys.executable, "train.py", "--version", "1.0.0", "--models-dir", str(directory),
            "--data", str(write_csv(directory / "export.csv", export)), "--map", "id=Ticket ID",
            "--eval-data", str(write_csv(directory / "eval.csv", evaluation)),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Trained(done.stdout, done.stderr, directory / "v1.0.0")


def test_an_evaluation_file_that_overlaps_the_training_file_is_told_on_stderr_and_in_the_pages(
    trained_on_an_export: Trained,
) -> None:
    overlap = json.loads((trained_on_an_export.directory / "metrics.json").read_text())["priority"]["eval_data"][
        "overlap"
    ]
    sentence = (
        "Of its 9 tickets, 5 are in the training file too, 3 with the same text and 2 with nearly the same: "
        "the figures on it flatter."
    )

    assert overlap == {"tickets_checked": 9, "texts": 3, "near_duplicates": 2}
    assert sentence in trained_on_an_export.stderr
    assert sentence in (trained_on_an_export.directory / "report.html").read_text()
    assert sentence in (trained_on_an_export.directory / "MODEL_CARD.md").read_text()


def test_the_pages_name_tickets_as_their_owner_knows_them(trained_on_an_export: Trained) -> None:
    listed = (trained_on_an_export.directory / "label_errors.csv").read_text().splitlines()

    assert listed[0].startswith("row,id,head,")
    for row in csv.DictReader(listed):
        assert row["id"] == f"ACME-{int(row['row']) - 2}"
    assert re.search(
        r">ticket id</th>.*>\d+</th><td>ACME-\d+</td>", (trained_on_an_export.directory / "report.html").read_text()
    )


def test_no_number_and_no_address_is_in_a_version_but_where_tickets_are_quoted(trained_on_an_export: Trained) -> None:
    quoting = {"report.html", "label_errors.csv"}
    vectorizers = [joblib.load(path) for path in trained_on_an_export.directory.glob("*_vectorizer.joblib")]

    for path in trained_on_an_export.directory.iterdir():
        if path.name not in quoting and path.suffix != ".joblib":
            assert not re.search(rb"0171555|wanderhof|quillberg", path.read_bytes()), path.name
    for vectorizer in vectorizers:
        terms = " ".join(vectorizer.get_feature_names_out())
        assert not re.search("0171555|wanderhof|quillberg", terms)


def test_the_command_says_where_the_words_of_the_tickets_are(trained_on_an_export: Trained) -> None:
    said = trained_on_an_export.stdout.splitlines()[-1]

    for path in trained_on_an_export.directory.iterdir():
        has_words = path.name in {"vocabulary.txt", "self_test.json", "report.html", "label_errors.csv"}
        assert (path.name in said) == (has_words or path.name.endswith("_vectorizer.joblib")), path.name


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("step", ["keeping similar tickets together", "fitting on all tickets", "measuring"])
def test_killed_at_work_training_leaves_the_version_that_was_there(
    trained: Path, tickets_csv: Path, tmp_path: Path, step: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(trained, models / "v3.1.4")
    command = [sys.executable, "train.py", "--data", str(tickets_csv), "--version", "3.1.4", "--force"]
    with subprocess.Popen(
        [*command, "--models-dir", str(models)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any(line.strip() == step for line in process.stderr)
        process.kill()

    assert process.returncode == -signal.SIGKILL
    assert TicketClassifier.load(models / "v3.1.4").metadata == TicketClassifier.load(trained).metadata
    assert [path.name for path in models.iterdir()] == ["v3.1.4"]


@pytest.fixture(scope="module")
def real_tickets() -> Tickets:
    directory = os.environ.get("TICKET_DATA_DIR")
    if directory is None:
        pytest.skip("TICKET_DATA_DIR names no directory with it-tickets-train.csv")
    return read_tickets(Path(directory) / "it-tickets-train.csv")


@pytest.mark.slow
def test_on_real_tickets_the_parts_agree_one_by_one_and_as_a_batch(real_tickets: Tickets, tmp_path: Path) -> None:
    files = train(_slice(real_tickets, 0, 4000), TrainingOptions(version="0.1.0", trained_at="", evaluate=False))
    write_version(tmp_path / "v0.1.0", files)
    classifier = TicketClassifier.load(tmp_path / "v0.1.0")
    unseen = _slice(real_tickets, 4000, 6000)
    vectorizer, model = (
        joblib.load(tmp_path / "v0.1.0" / f"department_{part}.joblib") for part in ("vectorizer", "model")
    )
    expected = model.predict_proba(
        vectorizer.transform([join_fields(*ticket) for ticket in zip(unseen.titles, unseen.descriptions, strict=True)])
    )
    batch = classifier.predict_proba(unseen.titles, unseen.descriptions)["department"]
    one_by_one = [
        classifier.predict_proba([title], [description])["department"][0]
        for title, description in zip(unseen.titles, unseen.descriptions, strict=True)
    ]
    np.testing.assert_allclose(batch, expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(one_by_one, expected, rtol=0, atol=1e-9)


def _slice(tickets: Tickets, start: int, stop: int) -> Tickets:
    return Tickets(
        titles=tickets.titles[start:stop],
        descriptions=tickets.descriptions[start:stop],
        labels={head: labels[start:stop] for head, labels in tickets.labels.items()},
        groups=None,
        sha256=tickets.sha256,
        notes=(),
    )

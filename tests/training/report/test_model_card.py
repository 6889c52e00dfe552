"""The model card has the figures of ``metrics.json``, and nothing in a ticket can write into it."""

import json
import re

import pytest

from app.training.intake.labelled_tickets import Tickets
from app.training.pipeline import TrainingOptions, train
from data.generate_dataset import generate

Files = dict[str, bytes]
EVIL = "# Trust me | <b>bold</b> [link](http://example.invalid) `code`"


@pytest.fixture(scope="module")
def files() -> Files:
    generated = list(generate(200, seed=3))
    tickets = Tickets(
        titles=[t.title for t in generated], descriptions=[t.description for t in generated],
        labels={"priority": [EVIL if t.priority == "Low" else t.priority for t in generated]},
        groups=None, sha256="a1" * 32, notes=(EVIL,),
    )  # fmt: skip
    return train(tickets, TrainingOptions(version="4.5.6", trained_at="2031-07-09T11:12:13"), eval_tickets=tickets)


@pytest.fixture(scope="module")
def card(files: Files) -> str:
    return files["MODEL_CARD.md"].decode()


def test_the_card_has_every_part_of_a_model_card(card: str) -> None:
    headings = re.findall(r"^#+ (.*)$", card, flags=re.MULTILINE)
    assert headings == [
        "Model card: ticket classifier 4.5.6", "Intended use", "Data", "priority", "Limits", "To reproduce",
    ]  # fmt: skip


def test_the_card_has_the_figures_of_metrics_json(files: Files, card: str) -> None:
    figures = json.loads(files["metrics.json"])["priority"]
    low, high = figures["intervals"]["accuracy"]
    assert f"| accuracy | {figures['summary']['accuracy']:.3f} | {low:.3f} to {high:.3f} |" in card
    assert f"| Brier score | {figures['calibration']['brier_score']:.3f} |" in card
    for decision, measured in figures["decisions"].items():
        assert f"| {decision} | {measured['coverage']:.3f} |" in card
    assert f"| accuracy | {figures['eval_data']['summary']['accuracy']:.3f} |" in card
    metadata = json.loads(files["model_metadata.json"])
    assert f"{metadata['split']['n_train']} to train and {metadata['split']['n_validation']} to validate" in card
    assert metadata["data_sha256"] in card
    assert metadata["libraries"]["scikit-learn"] in card


def test_labels_and_notes_cannot_write_markdown_or_html(card: str) -> None:
    assert "<b>" not in re.sub(r"\\.", "", card)
    assert "](http" not in re.sub(r"\\.", "", card)
    rows = [line for line in card.splitlines() if "Trust me" in line and line.startswith("|")]
    assert rows
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 3

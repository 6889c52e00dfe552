"""A trained model acts on tickets like those of training, and never on what is no ticket."""

import json

import pytest

from app.models.artifacts import write_version
from app.models.classifier import METADATA_NAME, TicketClassifier
from app.training.fitting.ticket_teller import read_no_tickets
from app.training.fitting.word_vectors import WordVectors
from app.training.intake.labelled_tickets import Tickets
from app.training.pipeline import TrainingOptions, train
from data.generate_dataset import generate


@pytest.fixture(scope="module")
def tickets() -> Tickets:
    generated = list(generate(600, seed=1))
    return Tickets(
        titles=[ticket.title for ticket in generated],
        descriptions=[ticket.description for ticket in generated],
        labels={"department": [ticket.department for ticket in generated]},
        groups=[ticket.situation for ticket in generated],
        sha256="",
        notes=(),
    )


@pytest.fixture(scope="module")
def trained(tickets: Tickets, tmp_path_factory: pytest.TempPathFactory) -> TicketClassifier:
    options = TrainingOptions(
        version="1.0.0", trained_at="", word_vectors=WordVectors.load(), no_tickets=read_no_tickets()
    )
    files = train(tickets, options)
    shares = json.loads(files[METADATA_NAME])["share_unlike_training"]
    assert 0.0 < shares["out_of_fold"] < 0.1
    assert shares["validation"] < 0.2
    directory = tmp_path_factory.mktemp("models") / "v1.0.0"
    write_version(directory, files)
    return TicketClassifier.load(directory)


@pytest.mark.parametrize(
    "text",
    [
        "The cat is on the mat",
        "Spin the wheel at our casino and win a jackpot, no deposit needed!",
        "Whisk the eggs with sugar and bake the cake for forty minutes",
        "colourless green dreams sleep on the moon",
        "def main():\n    print('hello')",
    ],
)
def test_nonsense_and_advertising_are_never_auto(trained: TicketClassifier, text: str) -> None:
    for title, description in (("", text), (text, "")):
        answer = trained.predict(title, description).heads["department"]
        assert answer.decision != "auto"
        assert "unlike_training" in answer.reasons


def test_few_of_its_own_tickets_are_strange_to_it(trained: TicketClassifier, tickets: Tickets) -> None:
    answers = [p.heads["department"] for p in trained.predict_batch(tickets.titles, tickets.descriptions)]
    assert sum("unlike_training" in answer.reasons for answer in answers) < 0.05 * len(answers)

"""A ticket unlike those of training is never acted on, however sure the labels are of each other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.artifacts import write_version
from app.models.classifier import TicketClassifier
from app.models.likeness import TrainingLikeness, least_unseen_idf
from app.models.model_data import MODEL_NAME, ModelData, to_files
from tests.models.conftest import make_model, model_files

N_TICKETS = 5
FORMAT_1 = Path(__file__).with_name("model_format_1.json")
LIKENESS = TrainingLikeness(N_TICKETS, known_words=4.0, known_pairs=3.0, evidence=0.5, least=4.0, least_ticket=1.0)
WORDS = st.lists(st.sampled_from(["server", "down", "all", "users", "invoice", "café", "unheard"]), max_size=9).map(
    " ".join
)


def classifier(model: ModelData) -> TicketClassifier:
    return TicketClassifier(model, {"version": "1.0.0"})


def sure_model(likeness: TrainingLikeness | None) -> ModelData:
    """A model that is always sure; of its words, no ticket of the training had "invoice"."""
    model = make_model(likeness=likeness)
    idf = np.where(np.array(model.terms[0] + model.terms[1]) == "invoice", least_unseen_idf(N_TICKETS) + 0.1, 1.0)
    heads = [replace(head, bias=(9.0, *head.bias[1:])) for head in model.heads]
    return replace(model, idf=idf, heads=tuple(heads))


STRICT = classifier(sure_model(LIKENESS))


def reasons(likeness: TrainingLikeness, title: str, description: str = "") -> set[str]:
    answers = classifier(sure_model(likeness)).predict(title, description).heads.values()
    assert all(("unlike_training" in answer.reasons) <= (answer.decision != "auto") for answer in answers)
    return {reason for answer in answers for reason in answer.reasons}


def test_a_word_that_only_a_table_of_vectors_knows_is_an_unknown_one() -> None:
    assert STRICT.predict("server invoice").n_unknown_tokens == 1
    assert classifier(sure_model(None)).predict("server invoice").n_unknown_tokens == 0, "of before it was told"
    assert STRICT.predict("invoice").heads["priority"].reasons == ("no_known_words",)


@pytest.mark.parametrize(
    ("likeness", "like", "unlike"),
    [
        (TrainingLikeness(N_TICKETS, 1.0, 0.0, 0.0, least=0.7), "server down", "server down invoice"),
        (TrainingLikeness(N_TICKETS, 0.0, 1.0, 0.0, least=0.6), "server down", "down server"),
        (TrainingLikeness(N_TICKETS, 0.0, 1.0, 0.0, least=0.6), "all users", "all"),
    ],
)
def test_fewer_words_or_pairs_of_the_training_make_a_ticket_unlike(
    likeness: TrainingLikeness, like: str, unlike: str
) -> None:
    assert "unlike_training" not in reasons(likeness, like)
    assert "unlike_training" in reasons(likeness, unlike)


def test_little_evidence_makes_a_ticket_unlike() -> None:
    strong, weak = TrainingLikeness(N_TICKETS, 0.0, 0.0, 1.0, least=1.0), TrainingLikeness(N_TICKETS, 0.0, 0.0, 1.0, 99)
    assert "unlike_training" not in reasons(strong, "server down")
    assert "unlike_training" in reasons(weak, "server down")


def test_a_text_whose_terms_do_not_speak_for_a_ticket_is_unlike_them() -> None:
    tells = replace(LIKENESS, least=-np.inf, least_ticket=2.0)
    assert "unlike_training" not in reasons(tells, "server down", "all users")
    assert "unlike_training" in reasons(tells, "all")


def test_the_column_for_tickets_is_no_label() -> None:
    with_column, without = classifier(make_model(likeness=LIKENESS)), classifier(make_model())
    for head, probabilities in without.predict_proba(["server down"], ["all users"]).items():
        np.testing.assert_array_equal(with_column.predict_proba(["server down"], ["all users"])[head], probabilities)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=7))
def test_it_is_the_same_alone_in_a_batch_by_column_and_explained(tickets: list[tuple[str, str]]) -> None:
    texts = [title for title, _ in tickets], [text for _, text in tickets]
    alone = [STRICT.predict(*ticket) for ticket in tickets]
    assert STRICT.predict_batch(*texts) == alone
    for name, column in STRICT.predict_columns(*texts).items():
        assert column.decisions == [prediction.heads[name].decision for prediction in alone]
    for ticket, prediction in zip(tickets, alone, strict=True):
        for name, head in STRICT.explain(*ticket).heads.items():
            assert head.reasons == prediction.heads[name].reasons


def test_the_summary_says_that_a_ticket_is_unlike() -> None:
    strict = classifier(sure_model(replace(LIKENESS, least=99.0)))
    summary = strict.explain("server down").heads["priority"].summary
    assert "it is unlike the tickets that the model learned from" in summary


@pytest.mark.parametrize("likeness", [LIKENESS, replace(LIKENESS, least_ticket=None)])
def test_it_is_kept_with_the_model(tmp_path: Path, likeness: TrainingLikeness) -> None:
    model = sure_model(likeness)
    write_version(tmp_path / "v1.0.0", model_files(model))
    texts = ["server", "server down", "down"], ["", "all users", "invoice"]
    assert TicketClassifier.load(tmp_path / "v1.0.0").predict_batch(*texts) == classifier(model).predict_batch(*texts)


def test_a_model_of_the_first_format_answers_as_before(tmp_path: Path) -> None:
    files = model_files(make_model()) | {MODEL_NAME: FORMAT_1.read_bytes()}
    assert files[MODEL_NAME] != to_files(make_model())[MODEL_NAME]
    write_version(tmp_path / "v1.0.0", files)
    texts = ["server", "server down"], ["", "all users"]
    loaded = TicketClassifier.load(tmp_path / "v1.0.0")
    assert loaded.predict_batch(*texts) == classifier(make_model()).predict_batch(*texts)

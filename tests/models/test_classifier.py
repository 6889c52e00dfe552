"""The classifier: one by one as in a batch, from memory as from files, and a decision for every ticket."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.artifacts import ArtifactError, Manifest, write_version
from app.models.classifier import TicketClassifier
from app.models.decisions import DecisionPolicy, OperatingPoint
from app.models.model_data import from_files, to_files
from app.models.self_test import SELF_TEST_NAME
from tests.models.conftest import make_model, model_files

CLASSIFIER = TicketClassifier(make_model(), {"version": "1.0.0"})
MANY_LABELS = TicketClassifier(
    make_model(labels={"department": tuple("ABCDEFGHIJKLMNOPQRS"), "priority": ("High", "Low")}), {"version": "1.0.0"}
)
VOCABULARY_AND_MORE = st.lists(
    st.sampled_from(["server", "Down", "ALL", "users", "invoice", "CAFÉ", "straße", "unheard", "of", "x", "\n", ","])
).map(" ".join)
TEXT = VOCABULARY_AND_MORE | st.text()


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_a_batch_answers_what_one_by_one_answers(tickets: list[tuple[str, str]]) -> None:
    titles, descriptions = [title for title, _ in tickets], [text for _, text in tickets]
    assert CLASSIFIER.predict_batch(titles, descriptions) == [CLASSIFIER.predict(*ticket) for ticket in tickets]


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_a_head_of_many_labels_has_the_same_bits_alone_and_in_a_batch(tickets: list[tuple[str, str]]) -> None:
    predictions = MANY_LABELS.predict_batch([title for title, _ in tickets], [text for _, text in tickets])
    assert predictions == [MANY_LABELS.predict(*ticket) for ticket in tickets]


@given(st.lists(st.tuples(TEXT, TEXT), max_size=8))
def test_columns_say_what_predictions_say(tickets: list[tuple[str, str]]) -> None:
    texts = [title for title, _ in tickets], [text for _, text in tickets]
    predictions = CLASSIFIER.predict_batch(*texts)
    for name, column in CLASSIFIER.predict_columns(*texts).items():
        of_head = [prediction.heads[name] for prediction in predictions]
        assert column.labels == [answer.label for answer in of_head]
        assert column.confidences == [answer.confidence for answer in of_head]
        assert column.decisions == [answer.decision for answer in of_head]


def test_a_ticket_may_have_a_title_only() -> None:
    assert CLASSIFIER.predict("server down") == CLASSIFIER.predict("server down", "")


@pytest.mark.parametrize(
    ("title", "description", "message"),
    [
        (None, "", "title is NoneType: expected a string, empty if there is none"),
        ("server", None, "description is NoneType: expected a string, empty if there is none"),
        ("server", b"down", "description is bytes: expected a string, empty if there is none"),
        (["server"], ["down"], "title is list: expected a string, empty if there is none"),
    ],
)
def test_what_is_no_text_is_a_type_error_that_says_what_is_expected(
    title: object, description: object, message: str
) -> None:
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        CLASSIFIER.predict(title, description)


@pytest.mark.parametrize("method", ["predict_batch", "predict_proba", "predict_columns"])
@pytest.mark.parametrize(
    ("titles", "descriptions", "error", "message"),
    [
        ("server", "downed", TypeError, "titles is one str: expected a list of strings, one for each ticket"),
        (["s"], "d", TypeError, "descriptions is one str: expected a list of strings, one for each ticket"),
        (["s", math.nan], ["d", ""], TypeError, "titles[1] is float: expected a string, empty if there is none"),
        (["s"], [None], TypeError, "descriptions[0] is NoneType: expected a string, empty if there is none"),
        (["a", "b"], ["c"], ValueError, "2 titles with 1 descriptions: expected one of each a ticket"),
        ([], ["c"], ValueError, "0 titles with 1 descriptions: expected one of each a ticket"),
    ],
)
def test_what_is_no_list_of_texts_is_an_error_that_says_what_is_expected(
    method: str, titles: object, descriptions: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        getattr(CLASSIFIER, method)(titles, descriptions)


@given(TEXT, TEXT)
def test_probabilities_sum_to_one_and_the_label_has_the_largest(title: str, description: str) -> None:
    prediction = CLASSIFIER.predict(title, description)
    for head, probabilities in CLASSIFIER.predict_proba([title], [description]).items():
        answer = prediction.heads[head]
        assert probabilities.sum() == pytest.approx(1)
        assert answer.confidence == pytest.approx(probabilities.max())
        assert answer.label == CLASSIFIER.labels(head)[int(probabilities.argmax())]
        assert all(other.confidence <= answer.confidence for other in answer.alternatives)


@given(st.text(alphabet="xqz ", max_size=60))
def test_a_ticket_without_a_known_word_is_left_to_review_and_says_why(text: str) -> None:
    prediction = CLASSIFIER.predict("", text)
    assert {(head.decision, head.reasons) for head in prediction.heads.values()} == {("review", ("no_known_words",))}


def test_the_files_of_a_model_are_read_back_as_the_same_model(version_directory: Path) -> None:
    loaded = TicketClassifier.load(version_directory)
    tickets = ["Server down", "invoice for all users", "café"], ["all users", "", "straße"]
    for head, probabilities in CLASSIFIER.predict_proba(*tickets).items():
        np.testing.assert_array_equal(loaded.predict_proba(*tickets)[head], probabilities)


def test_saved_loaded_and_saved_again_a_model_has_the_same_bytes(version_directory: Path) -> None:
    files = to_files(make_model())
    manifest = Manifest.of(files)
    assert to_files(from_files(version_directory, manifest)) == files


def test_a_model_that_fails_its_own_test_is_refused(tmp_path: Path) -> None:
    files = model_files(make_model(seed=0))
    files[SELF_TEST_NAME] = model_files(make_model(seed=1))[SELF_TEST_NAME]
    write_version(tmp_path / "v1.0.0", files)
    with pytest.raises(ArtifactError, match="differs by"):
        TicketClassifier.load(tmp_path / "v1.0.0")


@pytest.mark.parametrize(
    ("confidence", "lead", "known_share", "decision", "reasons"),
    [
        (0.9, 0.8, 1.0, "auto", ()),
        (0.9, 0.8, 0.0, "review", ("no_known_words",)),
        (0.9, 0.8, 0.3, "review", ("mostly_unknown_words",)),
        (0.7, 0.5, 1.0, "suggest", ("below_threshold",)),
        (0.7, 0.05, 1.0, "suggest", ("below_threshold", "ambiguous")),
        (0.9, 0.05, 1.0, "suggest", ("ambiguous",)),
        (0.4, 0.2, 1.0, "review", ("below_threshold",)),
    ],
)
def test_a_decision_follows_the_operating_points(
    confidence: float, lead: float, known_share: float, decision: str, reasons: tuple[str, ...]
) -> None:
    policy = DecisionPolicy({"High": OperatingPoint(auto=0.8, suggest=0.5)}, ambiguity_margin=0.1, min_known_share=0.5)
    assert policy.decide("High", confidence, lead, known_share) == (decision, reasons)


@pytest.mark.parametrize(("confidence", "decision"), [(0.99, "suggest"), (0.6, "suggest"), (0.4, "review")])
def test_a_ticket_unlike_those_of_training_is_never_auto(confidence: float, decision: str) -> None:
    policy = DecisionPolicy({"High": OperatingPoint(auto=0.8, suggest=0.5)}, ambiguity_margin=0.1, min_known_share=0.5)
    decided, reasons = policy.decide("High", confidence, 0.5, 1.0, is_unlike=True)
    assert (decided, reasons[0]) == (decision, "unlike_training")


def test_a_label_without_an_operating_point_is_never_auto() -> None:
    policy = DecisionPolicy({"High": OperatingPoint(auto=None, suggest=None)}, 0.1, 0.5)
    assert policy.decide("High", 1.0, 1.0, 1.0) == ("review", ("no_operating_point",))


@pytest.mark.parametrize(("name", "now", "readable"), [("format", 2, "1 and 2"), ("text_format", 1, "1")])
def test_a_model_of_another_format_is_refused(tmp_path: Path, name: str, now: int, readable: str) -> None:
    files = model_files(make_model())
    files["model.json"] = files["model.json"].replace(f'"{name}": {now}'.encode(), f'"{name}": 3'.encode())
    write_version(tmp_path / "v1.0.0", files)
    with pytest.raises(ArtifactError, match=f"has {name} 3; this release reads {readable}: train again"):
        TicketClassifier.load(tmp_path / "v1.0.0")

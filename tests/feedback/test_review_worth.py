"""The order of the review queue: audits, then doubt, and more of it where the label was rare in training."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.feedback.review_worth import label_weights, review_worth
from app.models.classifier import Alternative, HeadPrediction, Prediction, TicketClassifier
from tests.training.conftest import ROOT

METADATA = {"label_distributions": {"department": {"Tech": 400, "Sales": 25}, "priority": {"High": 30, "Low": 30}}}


def head(label: str, confidence: float, *others: float) -> HeadPrediction:
    return HeadPrediction(label, confidence, "review", (), tuple(Alternative(f"other {p}", p) for p in others))


def prediction(**heads: HeadPrediction) -> Prediction:
    return Prediction(heads, 10, 0)


def test_the_smaller_the_lead_the_more_a_judgement_is_worth() -> None:
    leads = [prediction(priority=head("High", first, 1 - first)) for first in (0.99, 0.8, 0.6, 0.5)]

    worths = [review_worth(one) for one in leads]

    assert worths == sorted(worths)
    assert len(set(worths)) == 4


def test_a_close_second_counts_more_than_low_confidence() -> None:
    of_two = prediction(priority=head("High", 0.5, 0.49, 0.01))
    of_many = prediction(priority=head("High", 0.4, 0.1, 0.1, 0.1))

    assert review_worth(of_two) > review_worth(of_many)


def test_the_same_doubt_is_worth_more_where_the_label_was_rare() -> None:
    weights = label_weights(METADATA)
    rare, frequent = (prediction(department=head(label, 0.6, 0.4)) for label in ("Sales", "Tech"))

    assert review_worth(rare, weights) > review_worth(frequent, weights)
    assert weights["department"]["Sales"] / weights["department"]["Tech"] == pytest.approx(4)
    assert weights["priority"] == {"High": 1.0, "Low": 1.0}


def test_a_head_with_one_label_has_nothing_to_doubt() -> None:
    assert review_worth(prediction(priority=head("High", 1.0))) == 0


def test_two_doubtful_heads_are_worth_more_than_one() -> None:
    sure, doubtful = head("High", 0.98, 0.02), head("High", 0.5, 0.45)

    assert review_worth(prediction(a=doubtful, b=doubtful)) > review_worth(prediction(a=doubtful, b=sure))


@pytest.mark.parametrize("found", [None, {}, {"department": {}}, {"department": {"Sales": 0}}, {"other": {"Tech": 3}}])
def test_a_model_that_does_not_say_how_often_its_labels_occurred_weighs_all_alike(found: object) -> None:
    one = prediction(department=head("Sales", 0.6, 0.4))

    assert review_worth(one, label_weights({"label_distributions": found})) == review_worth(one)
    assert label_weights({}) == {}


@given(st.lists(st.tuples(st.floats(0.5, 1), st.sampled_from(["Tech", "Sales"])), min_size=1, max_size=5))
def test_nothing_comes_before_an_audit_and_every_worth_is_from_0_to_1(said: Sequence[tuple[float, str]]) -> None:
    heads = {f"head {i}": head(label, first, 1 - first) for i, (first, label) in enumerate(said)}
    weights = {name: {"Tech": 0.3, "Sales": 7.0} for name in heads}

    worth = review_worth(prediction(**heads), weights)

    assert 0 <= worth < 1 == review_worth(prediction(**heads), weights, is_audit=True)


def test_the_weights_of_a_version_are_for_its_own_labels() -> None:
    classifier = TicketClassifier.load(ROOT / "models" / "v1.0.0")

    weights = label_weights(classifier.metadata)

    assert {name: set(of_head) for name, of_head in weights.items()} == {
        name: set(classifier.labels(name)) for name in classifier.heads
    }
    assert 0 < review_worth(classifier.predict("Server is down", ""), weights) < 1

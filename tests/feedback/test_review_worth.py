"""What a judgement is expected to be worth: the more doubt, the more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.feedback.review_worth import review_worth
from app.models.classifier import Alternative, HeadPrediction, Prediction


def head(confidence: float, *others: float) -> HeadPrediction:
    alternatives = tuple(Alternative(f"other {i}", other) for i, other in enumerate(others))
    return HeadPrediction("label", confidence, "review", (), alternatives)


def prediction(*heads: HeadPrediction) -> Prediction:
    return Prediction({f"head {i}": one for i, one in enumerate(heads)}, 1, 0)


def test_the_most_doubtful_head_counts() -> None:
    sure, doubtful = head(0.98, 0.01), head(0.5, 0.4)

    assert (
        review_worth(prediction(sure, doubtful)) == review_worth(prediction(doubtful)) > review_worth(prediction(sure))
    )


def test_a_head_with_one_label_has_nothing_to_doubt() -> None:
    assert review_worth(prediction(head(1.0))) == 0


@given(st.lists(st.floats(0.5, 1).map(lambda first: head(first, (1 - first) / 2)), min_size=1, max_size=4))
def test_it_is_from_0_to_1(heads: list[HeadPrediction]) -> None:
    assert 0 <= review_worth(prediction(*heads)) <= 1

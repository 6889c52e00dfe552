from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from app.models.classifier import Prediction, TicketClassifier
from app.serving.joint_prediction import MAX_TOGETHER, JointPrediction

ROOT = Path(__file__).parents[2]
TITLES = [f"Invoice {number} is wrong" for number in range(3 * MAX_TOGETHER)]


@pytest.fixture(scope="module")
def classifier() -> TicketClassifier:
    return TicketClassifier.load(ROOT / "models" / "v1.0.0")


class Recorder:
    """A classifier that keeps the sizes of its batches, and fails at some tickets."""

    def __init__(self, classifier: TicketClassifier, *, refused: str = "") -> None:
        self._classifier = classifier
        self._refused = refused
        self.sizes: list[int] = []

    def predict_batch(self, titles: Sequence[str], descriptions: Sequence[str]) -> list[Prediction]:
        self.sizes.append(len(titles))
        if self._refused in titles:
            raise ValueError("canary")
        return self._classifier.predict_batch(titles, descriptions)


def predict_together(joint: JointPrediction, asked: Sequence[tuple[Any, str]]) -> list[Any]:
    async def ask_all() -> list[Any]:
        predictions = [joint.predict(classifier, title, "") for classifier, title in asked]
        return await asyncio.gather(*predictions, return_exceptions=True)

    return asyncio.run(ask_all())


def test_each_gets_the_answer_to_its_own_ticket(classifier: TicketClassifier) -> None:
    joint = JointPrediction(lambda _, __: None)

    assert predict_together(joint, [(classifier, title) for title in TITLES]) == [
        classifier.predict(title, "") for title in TITLES
    ]


def test_tickets_of_one_turn_share_batches_of_a_bounded_size(classifier: TicketClassifier) -> None:
    recorder = Recorder(classifier)
    timed: list[int] = []

    predict_together(JointPrediction(lambda _, n: timed.append(n)), [(recorder, title) for title in TITLES])

    assert recorder.sizes == timed == [MAX_TOGETHER] * 3


def test_a_ticket_that_fails_fails_alone(classifier: TicketClassifier) -> None:
    recorder = Recorder(classifier, refused=TITLES[1])

    before, failed, after = predict_together(
        JointPrediction(lambda _, __: None), [(recorder, title) for title in TITLES[:3]]
    )

    assert isinstance(failed, ValueError)
    assert [before, after] == [classifier.predict(title, "") for title in (TITLES[0], TITLES[2])]


def test_each_is_answered_by_the_model_it_began_with(classifier: TicketClassifier) -> None:
    old, new = Recorder(classifier), Recorder(classifier)
    joint = JointPrediction(lambda _, __: None)

    predict_together(joint, [(old, TITLES[0]), (old, TITLES[1]), (new, TITLES[2])])

    assert (old.sizes, new.sizes) == ([2], [1])


def test_a_request_that_was_cancelled_does_not_disturb_the_others(classifier: TicketClassifier) -> None:
    async def ask() -> Prediction:
        joint = JointPrediction(lambda _, __: None)
        cancelled = asyncio.ensure_future(joint.predict(classifier, TITLES[0], ""))
        other = asyncio.ensure_future(joint.predict(classifier, TITLES[1], ""))
        await asyncio.sleep(0)
        cancelled.cancel()
        return await other

    assert asyncio.run(ask()) == classifier.predict(TITLES[1], "")

"""The shares behind answers are found again, whatever they are; and answers allow for them as Bayes' rule says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from app.models.artifacts import ArtifactError, write_version
from app.models.classifier import TicketClassifier
from app.models.label_shares import Confusion
from app.models.reference import REFERENCE_NAME, HeadReference, Histogram, LabelCounts, Reference
from tests.models.conftest import LABELS, make_model, model_files

HALVES = Histogram((0.5,), (1, 1))
DEPARTMENTS = LABELS["department"]
# Of 400 billing tickets 80 are taken for technical ones, and of 1,600 technical ones 160 for billing.
CONFUSION = Confusion.of(DEPARTMENTS, np.array([[320, 160], [80, 1440]]))
SHARES = st.lists(st.floats(0.02, 1.0), min_size=4, max_size=4).map(lambda values: np.array(values) / sum(values))


def write_version_with(directory: Path, confusion: Confusion | None) -> Path:
    labels = LabelCounts(DEPARTMENTS, (1, 1))
    reference = Reference(HALVES, HALVES, {"department": HeadReference(labels, HALVES, confusion)})
    write_version(directory, model_files(make_model()) | {REFERENCE_NAME: reference.to_bytes()})
    return directory


@given(at_training=SHARES, now=SHARES)
def test_shares_behind_answers_are_found_whatever_they_were_at_training(
    at_training: np.ndarray, now: np.ndarray
) -> None:
    right = 0.7 * np.eye(4) + 0.075 * np.ones((4, 4))
    confusion = Confusion.of("abcd", np.round(1e6 * right * at_training).astype(np.int64))

    found = confusion.shares_behind(1e6 * right @ now)

    assert found == pytest.approx(now, abs=0.01)


def test_answers_as_at_training_leave_the_shares_as_they_were() -> None:
    assert CONFUSION.shares == pytest.approx([0.2, 0.8], abs=1e-4)
    assert CONFUSION.shares_behind([480, 1520]) == pytest.approx([0.2, 0.8], abs=1e-3)


def test_an_estimate_is_not_the_share_of_the_answers_but_allows_for_errors() -> None:
    # Half of either: of 1,000 each, 800 and 100 are answered billing.
    assert CONFUSION.shares_behind([900, 1100]) == pytest.approx([0.5, 0.5], abs=0.01)


def test_few_answers_never_make_a_label_impossible() -> None:
    assert CONFUSION.shares_behind([0, 20]).min() > 0


def test_adapted_answers_follow_the_rule_of_bayes(tmp_path: Path) -> None:
    directory = write_version_with(tmp_path / "v1.0.0", CONFUSION)
    plain = TicketClassifier.load(directory)

    adapted = TicketClassifier.load(directory, shares={"department": {"Billing": 0.6, "Tech Support": 0.4}})

    texts = (["Server down", "invoice", ""], ["all users", "café", ""])
    before, after = plain.predict_proba(*texts), adapted.predict_proba(*texts)
    expected = softmax(np.log(before["department"]) + np.log(np.array([0.6, 0.4]) / CONFUSION.shares), axis=1)
    assert after["department"] == pytest.approx(expected)
    assert (after["priority"] == before["priority"]).all()
    assert adapted.digest != plain.digest, "promises of other answers are others"
    assert (
        adapted.explain("invoice").heads["department"].confidence
        == adapted.predict("invoice").heads["department"].confidence
    )


def test_how_an_adapted_head_errs_is_not_known_any_more(tmp_path: Path) -> None:
    directory = write_version_with(tmp_path / "v1.0.0", CONFUSION)

    adapted = TicketClassifier.load(directory, shares={"department": {"Billing": 0.6, "Tech Support": 0.4}})

    assert adapted.reference is not None
    assert adapted.reference.heads["department"].confusion is None


@pytest.mark.parametrize(
    ("shares", "confusion", "said"),
    [
        ({"colour": {"red": 1.0}}, CONFUSION, '"colour" is no head of the model, which has priority, department'),
        (
            {"department": {"Billing": 1.0}},
            CONFUSION,
            'differ in the label "Tech Support": expected those of Billing, Tech',
        ),
        ({"department": dict.fromkeys(DEPARTMENTS, 0.5)}, None, 'how its head "department" errs'),
    ],
)
def test_shares_that_do_not_fit_refuse_the_version_and_say_why(
    tmp_path: Path, shares: dict[str, dict[str, float]], confusion: Confusion | None, said: str
) -> None:
    directory = write_version_with(tmp_path / "v1.0.0", confusion)

    with pytest.raises(ArtifactError, match=said):
        TicketClassifier.load(directory, shares=shares)


@pytest.mark.parametrize("cells", [(), ((0, 0, 1), (0, 0, 2)), ((0, 2, 1),), ((0, 0, 0),)])
def test_a_confusion_that_counts_nothing_or_twice_is_none(cells: tuple[tuple[int, int, int], ...]) -> None:
    with pytest.raises(ValueError, match="confusion matrix"):
        Confusion(DEPARTMENTS, cells)

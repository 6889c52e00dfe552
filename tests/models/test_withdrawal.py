"""A withdrawn label is suggested where it would have been acted on, and nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from app.models.classifier import Alternative, HeadPrediction, Prediction
from app.models.withdrawal import withdraw

if TYPE_CHECKING:
    from app.models.decisions import Decision

LABELS = ("High", "Low")
DECISIONS: tuple[Decision, ...] = ("auto", "suggest", "review")
WITHDRAWN = st.frozensets(st.tuples(st.sampled_from(["priority", "department"]), st.sampled_from(LABELS)))


@st.composite
def head_predictions(draw: st.DrawFn) -> HeadPrediction:
    decision = draw(st.sampled_from(DECISIONS))
    reasons = () if decision == "auto" else ("below_threshold",)
    label, other = draw(st.permutations(LABELS))
    return HeadPrediction(label, 0.7, decision, reasons, (Alternative(other, 0.3),))


@given(head_predictions(), head_predictions(), WITHDRAWN)
def test_only_what_is_auto_and_withdrawn_becomes_a_suggestion_that_says_why(
    priority: HeadPrediction, department: HeadPrediction, withdrawn: frozenset[tuple[str, str]]
) -> None:
    before = Prediction({"priority": priority, "department": department}, 5, 1)

    after = withdraw(before, withdrawn)

    assert (after.n_tokens, after.n_unknown_tokens) == (5, 1)
    for head, answer in before.heads.items():
        if answer.decision == "auto" and (head, answer.label) in withdrawn:
            expected = answer._replace(decision="suggest", reasons=("promise_broken",))
        else:
            expected = answer
        assert after.heads[head] == expected

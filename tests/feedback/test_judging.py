"""Which labels may be given, and what a judgement counts for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ServiceError
from app.feedback.judging import judge
from app.store.judgement import Answered, HeadAnswer, Judgement, Remark, Source, agreed

LABELS = {"priority": ("High", "Low"), "department": ("Billing", "Sales")}
ANSWERED = Answered(
    prediction_id="01980c2e-7a4b-7c11-8f3e-5b1f0c9a2d47",
    ticket_id="4711",
    model_version="1.0.0",
    model_digest="0123456789ab",
    is_audit=True,
    asked_chance=0.05,
    heads={
        "priority": HeadAnswer("High", "auto", ("Low", "Former")),
        "department": HeadAnswer("Sales", "suggest", ("Billing",)),
    },
)


def remark(source: Source = "api", *, allow_new_labels: bool = False, **labels: str) -> Remark:
    return Remark(labels=labels, source=source, allow_new_labels=allow_new_labels)


def refusal(said: Remark, answered: Answered | None) -> tuple[str, list[str]]:
    with pytest.raises(ServiceError) as refused:
        judge(said, answered, serving_labels=LABELS)
    return refused.value.kind.slug, [error.field for error in refused.value.errors]


def test_a_judgement_copies_what_had_been_answered() -> None:
    (judgement,) = judge(remark(priority="Low"), replace(ANSWERED, is_audit=False), serving_labels=LABELS)

    assert judgement == Judgement(
        "priority",
        "Low",
        predicted_label="High",
        predicted_decision="auto",
        model_version="1.0.0",
        model_digest="0123456789ab",
        is_audit=False,
        asked_chance=0.05,
    )


def test_agreement_is_said_of_heads_that_had_answered_only() -> None:
    judgements = judge(
        remark(priority="High", department="Billing"),
        replace(ANSWERED, heads={"priority": ANSWERED.heads["priority"]}),
        serving_labels=LABELS,
    )

    assert [judgement.head for judgement in judgements] == ["department", "priority"]
    assert agreed(judgements) == {"priority": True}


def test_a_label_that_the_answer_named_is_taken_though_another_model_serves() -> None:
    assert judge(remark(priority="Former"), ANSWERED, serving_labels=LABELS)
    assert refusal(remark(priority="Former"), None) == ("unknown_label", ["labels.priority"])


def test_a_new_label_is_taken_when_that_is_allowed() -> None:
    assert refusal(remark(priority="Blocker"), ANSWERED) == ("unknown_label", ["labels.priority"])

    (judgement,) = judge(remark(priority="Blocker", allow_new_labels=True), ANSWERED, serving_labels=LABELS)

    assert judgement.label == "Blocker"


def test_a_new_head_is_never_taken() -> None:
    said = remark(canary="High", allow_new_labels=True)

    assert refusal(said, ANSWERED) == ("validation_failed", ["labels.(unknown head)"])


@pytest.mark.parametrize(("source", "counts"), [("review", True), ("api", True), ("helpdesk", False)])
def test_an_audit_counts_for_heads_that_said_auto_unless_a_helpdesk_saw_the_answer(
    source: Source, *, counts: bool
) -> None:
    judgements = judge(remark(source, priority="Low", department="Sales"), ANSWERED, serving_labels=LABELS)

    assert {judgement.head: judgement.is_audit for judgement in judgements} == {"department": False, "priority": counts}


def test_what_nobody_was_asked_about_has_no_chance_of_having_been_asked() -> None:
    unasked = replace(ANSWERED, is_audit=False, heads={"priority": ANSWERED.heads["priority"]})

    (judgement,) = judge(remark(priority="Low"), unasked, serving_labels=LABELS)

    assert (judgement.is_audit, judgement.asked_chance) == (False, None)


@given(
    labels=st.dictionaries(st.sampled_from(["priority", "department", "mood"]), st.text(max_size=3), min_size=1),
    allows=st.booleans(),
    has_answer=st.booleans(),
)
def test_what_is_refused_is_never_quoted(labels: dict[str, str], *, allows: bool, has_answer: bool) -> None:
    said = Remark(
        labels={head: f"canary{label}" for head, label in labels.items()}, source="api", allow_new_labels=allows
    )

    refused: ServiceError | None = None
    try:
        judge(said, ANSWERED if has_answer else None, serving_labels=LABELS)
    except ServiceError as error:
        refused = error

    assert refused is not None or allows
    assert refused is None or "canary" not in repr((refused.detail, refused.errors))
